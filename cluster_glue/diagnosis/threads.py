"""A Java thread dump (HotSpot's, by SIGQUIT) in three lines: how many threads, where most are, who blocks whom.

Read line by line in one pass, so that fifty thousand threads cost no more than reading them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

#: Frames of one thread that are looked at.
DEEPEST: Final = 60

_BEGIN = "Full thread dump"
_THREAD = re.compile(r'^"(?P<name>[^"]{0,300})".* (?:tid=|nid=)')
_FRAME = re.compile(r"^\s+at (?P<frame>[\w.$<>/@-]{1,300})\(")
_DEADLOCK = re.compile(r"^Found (?:one|\d+|a total of \d+) .*deadlocks?[.:]")
_HOLDER = re.compile(r'^\s*which is held by "(?P<name>[^"]{1,300})"')
_POOLED = re.compile(r"^(?P<pool>.*)-exec-\d+$")

#: A frame of a pool's thread that waits for work, and frames that only say that a thread waits at all.
_IDLE = re.compile(r"TaskQueue\.(take|poll)|LinkedBlockingQueue\.(take|poll)")
_WAITS = re.compile(
    r"^(java\.lang\.(Object\.wait|Thread\.sleep)|jdk\.internal|sun\."
    r"|java\.util\.concurrent\.(locks|ForkJoinPool|TimeUnit|CountDownLatch))"
)


@dataclass(slots=True)
class _Pool:
    """The threads of one pool: how many, how many of them wait for work, and where the others are."""

    threads: int = 0
    idle: int = 0
    places: Counter[str] = field(default_factory=Counter)


def dump_in(lines: Iterable[str]) -> list[str]:
    """The last thread dump of a log; empty when there is none."""
    found: list[str] = []
    inside = False
    for line in lines:
        if line.startswith(_BEGIN):
            found, inside = [], True
        if inside:
            found.append(line)
    return found


def tell(dump: list[str]) -> Iterator[str]:
    """Lines of evidence from one dump."""
    pools: dict[str, _Pool] = {}
    threads = 0
    dead: list[str] | None = None
    name, frames = "", [""]
    for line in (*dump, '"" tid='):
        if (thread := _THREAD.match(line)) is not None:
            _count(pools, name, frames)
            name, frames = thread["name"], []
            threads += bool(name)
        elif (frame := _FRAME.match(line)) is not None and len(frames) < DEEPEST:
            frames.append(frame["frame"])
        elif _DEADLOCK.match(line):
            dead = []
        elif dead is not None and (holder := _HOLDER.match(line)) is not None:
            dead.append(holder["name"])
    yield f"{threads} threads"
    if dead is not None:
        yield f"deadlock found by the JVM between {', '.join(dict.fromkeys(dead[:8])) or 'some threads'}"
    for title, pool in pools.items():
        yield f"{title}: {pool.threads} threads serve requests, {pool.idle} of them wait for work"
        for place, count in pool.places.most_common(2):
            yield f"{title}: {count} are in {place}"
            if pool.threads >= 2 and not pool.idle and count >= 0.8 * pool.threads:
                yield f"no request thread of {title} is free, and {count} of {pool.threads} hang in {place}"


def _count(pools: dict[str, _Pool], name: str, frames: list[str]) -> None:
    """Count one thread, if it is one of a pool."""
    found = _POOLED.match(name)
    if found is None:
        return
    pool = pools.setdefault(found["pool"], _Pool())
    pool.threads += 1
    if any(_IDLE.search(frame) for frame in frames):
        pool.idle += 1
    else:
        pool.places[next((frame for frame in frames if not _WAITS.match(frame)), "an unknown place")] += 1
