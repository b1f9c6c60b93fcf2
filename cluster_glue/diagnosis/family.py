"""The processes of one server: states, wait channels, descriptors against their limits, kernel stacks.

Only what belongs to processes that are known beforehand is read, so that a look costs microseconds for each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from cluster_glue.diagnosis import heap
from cluster_glue.diagnosis.evidence import Absent, read_text, try_text
from cluster_glue.diagnosis.processors import waited
from resource_agents.processes import children

#: Processes that are looked at, at most; and those whose kernel stack is kept.
MOST, STACKS = 200, 12

#: Processors that a server must keep busy to count as computing; those for which it must be ready at least, and keep
#: busy in spite of others, where they do not leave it so much.
BUSY: Final = 0.5
READY: Final = 0.9
SPITE: Final = 0.05

#: The share of the time below which nothing can be said of what a JVM used its own for.
LITTLE: Final = 0.02

#: What runs a JVM.
JVMS: Final = frozenset({"java", "jsvc", "jsvc.exec"})

#: Clock ticks in a second (proc(5)).
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Seen:
    """One process: ``cpu`` are its seconds of CPU, ``files`` its open descriptors of ``files_limit`` (0: unknown).

    ``collectors`` are the seconds of CPU of each thread of a JVM that collects garbage, ``waited`` those for which its
    threads were ready to run and others had the processors.
    """

    pid: int
    state: str
    comm: str
    cpu: float
    threads: int
    wchan: str
    files: int
    files_limit: int
    collectors: dict[int, float] = field(default_factory=dict)
    waited: float = 0.0


def family_of(main: int) -> tuple[int, ...]:
    """The main process and its descendants, three generations deep; the main one first."""
    found, generation = [main], [main]
    for _ in range(3):
        generation = [child for pid in generation for child in children(pid)]
        found += generation
        if not generation or len(found) > MOST:
            break
    return tuple(found[:MOST])


def see(pid: int) -> Seen | None:
    """One process now; None when it is gone."""
    try:
        stat = read_text(f"/proc/{pid}/stat", 4096)
    except Absent:
        return None
    comm, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    if len(fields) < 18:
        return None
    cpu = (int(fields[11]) + int(fields[12])) / TICKS
    files = 0
    with suppress(OSError):
        files = len(os.listdir(f"/proc/{pid}/fd"))
    limit = re.search(r"Max open files\s+(\d+)", try_text(f"/proc/{pid}/limits"))
    wchan = try_text(f"/proc/{pid}/wchan", 64).strip("\0\n")
    collectors = heap.collectors(pid, 1 / TICKS) if comm in JVMS else {}
    most, threads = int(limit[1]) if limit else 0, int(fields[17])
    return Seen(pid, fields[0], comm, cpu, threads, wchan, files, most, collectors, waited(pid))


def look(pids: Iterable[int]) -> dict[int, Seen]:
    """All of these that live."""
    return {pid: seen for pid in pids if (seen := see(pid)) is not None and seen.state not in "ZXx"}


def tell(now: dict[int, Seen], before: dict[int, Seen], elapsed: float) -> Iterator[str]:
    """Lines of evidence: a summary that rules read, then each process. ``before`` was ``elapsed`` seconds ago."""
    used = kept_waiting = 0.0
    for pid, seen in now.items():
        kept_waiting += _kept_waiting(seen, before.get(pid), elapsed)
        used += _share(seen, before.get(pid), elapsed) or 0.0
        if seen.files_limit and seen.files >= max(seen.files_limit - 1, 0.98 * seen.files_limit):
            yield f"pid {pid} ({seen.comm}) has {seen.files} of {seen.files_limit} files open: at its limit"
    workers = [seen for seen in now.values() if seen.pid != next(iter(now))] or list(now.values())
    stopped = [seen.pid for seen in workers if seen.state == "T"]
    if stopped and len(stopped) == len(workers):
        yield f"all {len(stopped)} working processes are stopped (state T)"
    blocked = [seen for seen in now.values() if seen.state == "D" and _was_blocked(before.get(seen.pid))]
    for seen in blocked:
        yield f"pid {seen.pid} ({seen.comm}) hangs in the kernel (state D) in {seen.wchan or '?'} in two looks in a row"
    if used >= BUSY and elapsed >= 1:
        yield f"its processes kept {used:.2f} processors busy for {elapsed:.1f} s"
    elif used >= SPITE and used + kept_waiting >= READY and elapsed >= 1:
        yield (
            f"its processes kept {used:.2f} processors busy for {elapsed:.1f} s,"
            f" and were ready to keep {kept_waiting:.2f} more that others had"
        )
    for pid, seen in now.items():
        past = before.get(pid)
        if past is not None and elapsed >= 0.5 and (spent := _collected(seen, past)):
            most = min(1.0, max(spent) / elapsed)
            part = sum(spent) / max(seen.cpu - past.cpu, sum(spent)) if most >= LITTLE else 0.0
            yield (
                f"pid {pid} ({seen.comm}) collected garbage for {100 * most:.0f} % of {elapsed:.1f} s,"
                f" {100 * part:.0f} % of its processor time"
            )
    for pid, seen in now.items():
        share = _share(seen, before.get(pid), elapsed)
        yield (
            f"pid {pid} {seen.comm} state {seen.state} waits in {seen.wchan if seen.wchan not in ('', '0') else '-'},"
            f" {seen.threads} threads, {seen.files} of {seen.files_limit or '?'} files,"
            f" {'?' if share is None else f'{share:.2f}'} processors busy"
        )


def stacks(pids: Iterable[int]) -> Iterator[str]:
    """The kernel stacks of some processes, as far as they may be read."""
    for pid in list(pids)[:STACKS]:
        text = read_text(f"/proc/{pid}/stack", 4096)
        for line in text.splitlines()[:12]:
            yield f"pid {pid}: {line}"


def _share(seen: Seen, before: Seen | None, elapsed: float) -> float | None:
    """Processors that it kept busy since the look before."""
    return None if before is None or elapsed <= 0 else max(0.0, seen.cpu - before.cpu) / elapsed


def _kept_waiting(seen: Seen, before: Seen | None, elapsed: float) -> float:
    """Processors that it could have kept busy besides since the look before."""
    return 0.0 if before is None or elapsed <= 0 else max(0.0, seen.waited - before.waited) / elapsed


def _collected(seen: Seen, before: Seen) -> list[float]:
    """Seconds of CPU of each of its collectors of garbage since the look before."""
    return [now - before.collectors[tid] for tid, now in seen.collectors.items() if tid in before.collectors]


def _was_blocked(before: Seen | None) -> bool:
    return before is not None and before.state == "D"
