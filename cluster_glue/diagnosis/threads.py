"""A Java thread dump (HotSpot's, by SIGQUIT) in a few lines: where most threads are, who blocks whom, who is missing.

Read line by line in one pass, so that fifty thousand threads cost no more than reading them. Behind the threads stands
how full the heap is (:mod:`heap`).
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

#: The two threads without which a connector of Tomcat's NIO kind does nothing; with numbers up to Tomcat 8.5. Found
#: anywhere in a line, for other words of the server may have come between.
_PART = re.compile(r'"(?P<connector>[^"]{1,200}-nio-[^"]{1,200})-(?P<part>Acceptor|Poller|ClientPoller)(?:-\d+)?"')

#: A JVM's words of such a thread that an error ended.
ENDED: Final = re.compile(rf"^Exception in thread {_PART.pattern} ")

#: The end of a dump's threads: whoever is not there by then is gone.
_COMPLETE = "JNI global ref"

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


@dataclass(slots=True)
class _Dump:
    """What one pass finds. ``parts`` are the threads of each connector; ``dead`` those of deadlocks, if any."""

    threads: int = 0
    pools: dict[str, _Pool] = field(default_factory=dict)
    parts: dict[str, set[str]] = field(default_factory=dict)
    acceptors: dict[str, list[str]] = field(default_factory=dict)
    dead: list[str] | None = None
    complete: bool = False

    def take(self, name: str, frames: list[str]) -> None:
        """One thread with its stack."""
        self.threads += bool(name)
        if (pooled := _POOLED.match(name)) is not None:
            pool = self.pools.setdefault(pooled["pool"], _Pool())
            pool.threads += 1
            if any(_IDLE.search(frame) for frame in frames):
                pool.idle += 1
            else:
                pool.places[next((frame for frame in frames if not _WAITS.match(frame)), "an unknown place")] += 1
        elif (part := _PART.match(f'"{name}"')) is not None and part["part"] == "Acceptor":
            self.acceptors[part["connector"]] = frames


def begin_of_dump(lines: list[str]) -> int | None:
    """Where the last thread dump of a log begins; None when there is none."""
    return next((at for at in range(len(lines) - 1, -1, -1) if lines[at].startswith(_BEGIN)), None)


def dump_in(lines: Iterable[str]) -> list[str]:
    """The last thread dump of a log; empty when there is none."""
    lines = list(lines)
    begin = begin_of_dump(lines)
    return [] if begin is None else lines[begin:]


def tell(dump: list[str]) -> Iterator[str]:
    """Lines of evidence from one dump."""
    found = _read(dump)
    yield f"{found.threads} threads"
    if found.dead is not None:
        yield f"deadlock found by the JVM between {', '.join(dict.fromkeys(found.dead[:8])) or 'some threads'}"
    yield from _connectors(found)
    for title, pool in found.pools.items():
        yield f"{title}: {pool.threads} threads serve requests, {pool.idle} of them wait for work"
        for place, count in pool.places.most_common(2):
            yield f"{title}: {count} are in {place}"
            if pool.threads >= 2 and not pool.idle and count >= 0.8 * pool.threads:
                yield f"no request thread of {title} is free, and {count} of {pool.threads} hang in {place}"


def _read(dump: list[str]) -> _Dump:
    found = _Dump()
    name, frames = "", [""]
    for line in (*dump, '"" tid='):
        if "-nio-" in line:
            for part in _PART.finditer(line):
                found.parts.setdefault(part["connector"], set()).add(part["part"].removeprefix("Client"))
        if (thread := _THREAD.match(line)) is not None:
            found.take(name, frames)
            name, frames = thread["name"], []
        elif (frame := _FRAME.match(line)) is not None and len(frames) < DEEPEST:
            frames.append(frame["frame"])
        elif _DEADLOCK.match(line):
            found.dead = found.dead or []
        elif found.dead is not None and (holder := _HOLDER.match(line)) is not None:
            found.dead.append(holder["name"])
        found.complete = found.complete or line.startswith(_COMPLETE)
    return found


def _connectors(found: _Dump) -> Iterator[str]:
    """Whether each connector still has both of its threads, and what the one that accepts does."""
    for connector, parts in found.parts.items():
        if found.complete and "Acceptor" not in parts:
            yield f"{connector}: its thread that accepts connections (Acceptor) is gone"
        if found.complete and "Poller" not in parts:
            yield f"{connector}: its thread that reads requests (Poller) is gone"
    for connector, frames in found.acceptors.items():
        if any("LimitLatch.countUpOrAwait" in frame for frame in frames):
            yield f"{connector}: its acceptor waits until a connection ends, as maxConnections are open"
        elif any(frame.endswith("serverSocketAccept") for frame in frames):
            yield f"{connector}: its acceptor stands in accept"
