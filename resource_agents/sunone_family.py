"""The process tree of one Sun ONE instance, and what it proves together with an HTTP answer.

Watchdog, primordial and workers carry the same arguments; the instance is told by the two words ``-d INSTANCE/config``
(``https-test`` is a prefix of ``https-test2``), primordial and worker only by their parents. The listening socket is
the watchdog's: a TCP connect succeeds whatever state the workers are in, so that only an answer proves service. All of
it was measured on a running 7.0 server.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum

from ocf.faults import Fault, Kind
from resource_agents.processes import Process

#: Age in seconds below which a worker that gives no answer is taken for one of a crash loop's many.
YOUNG = 5.0


class Standing(Enum):
    """How an instance stands; the letters are those of the classes in which real servers were seen."""

    GOOD = "good"  # (a) tree complete, and an answer (or nobody asked)
    UNMANAGED = "unmanaged"  # (b) processes of ours without a watchdog, whether they answer or not
    CRASH_LOOP = "crash loop"  # (c) no worker, or one that never gets old
    STALLED = "stalled"  # (d) tree complete, no answer
    PORT_THIEF = "port thief"  # (e) nothing of ours, somebody answers
    HALF_STARTED = "half started"  # (f) no worker and no pid file: it waits for a key password
    FROZEN_PARENT = "frozen parent"  # serves, but watchdog or primordial is stopped: the next death is not mended
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Names:
    """Program names by release: 7.0 and 6.1 run webservd-wdog and webservd, 6.0 runs uxwdog and ns-httpd."""

    watchdogs: frozenset[str] = frozenset({"webservd-wdog", "uxwdog"})
    servers: frozenset[str] = frozenset({"webservd", "ns-httpd"})


def program_of(process: Process) -> str:
    """The bare name of the program; argv[0]'s where the executable cannot be seen."""
    exe = process.exe.removesuffix(" (deleted)")
    return os.path.basename(exe or (process.argv[0] if process.argv else ""))


def option(process: Process, letter: str) -> str:
    """The word after ``-letter`` on the command line; empty when there is none."""
    for flag, value in zip(process.argv, process.argv[1:], strict=False):
        if flag == f"-{letter}":
            return value
    return ""


def belongs(process: Process, config: str, programs: Collection[str]) -> bool:
    """Whether a living process runs one of ``programs`` on exactly this configuration directory."""
    if process.dead or program_of(process) not in programs:
        return False
    named = option(process, "d")
    return bool(named) and (os.path.normpath(named) == config or os.path.realpath(named) == os.path.realpath(config))


@dataclass(frozen=True, slots=True)
class Family:
    """The living processes of one instance. ``orphans`` have no living watchdog above them."""

    watchdog: Process | None
    primordials: tuple[Process, ...] = ()
    workers: tuple[Process, ...] = ()
    orphans: tuple[Process, ...] = ()


def gather(processes: Iterable[Process], config: str, names: Names) -> Family:
    """Sort an instance's processes by their parents; the oldest watchdog counts."""
    table = list(processes)
    dogs = sorted((p for p in table if belongs(p, config, names.watchdogs)), key=lambda p: p.start)
    servers = {p.pid: p for p in table if belongs(p, config, names.servers)}
    dog_pids = {dog.pid for dog in dogs}
    primordials = tuple(p for p in servers.values() if p.ppid in dog_pids)
    first = {p.pid for p in primordials}
    workers = tuple(p for p in servers.values() if p.ppid in first)
    placed = first | {p.pid for p in workers}
    return Family(
        watchdog=dogs[0] if dogs else None,
        primordials=primordials,
        workers=workers,
        orphans=tuple(p for p in servers.values() if p.pid not in placed),
    )


def age(process: Process, now: float) -> float:
    """Seconds since the process began; ``now`` is in seconds since boot."""
    return now - process.start / os.sysconf("SC_CLK_TCK")


def assess(
    family: Family,
    answered: bool | None,
    *,
    pid_written: bool = True,
    port_owned_by_others: bool = False,
    now: float | None = None,
) -> tuple[Standing, Fault | None]:
    """How the instance stands, and its fault. ``answered`` None: nobody asked. ``now`` is in seconds since boot."""
    if family.watchdog is None:
        return _without_watchdog(family, answered, port_owned_by_others)
    if not family.workers:
        return _without_worker(family, pid_written)
    if not answered and answered is not None:
        return _mute(family, time.clock_gettime(time.CLOCK_BOOTTIME) if now is None else now)
    for parent in (family.watchdog, *family.primordials):
        if parent.state in "Tt":
            what = "watchdog" if parent is family.watchdog else "primordial"
            reason = (
                f"{what} {parent.pid} is stopped: the server still answers, but nothing would replace a dead worker"
            )
            proof = f"process {parent.pid} state {parent.state}"
            return Standing.FROZEN_PARENT, Fault(
                f"{what}-stopped", Kind.RESOURCE, reason, proof, f"kill -CONT {parent.pid}"
            )
    return Standing.GOOD, None


def _without_watchdog(family: Family, answered: bool | None, others: bool) -> tuple[Standing, Fault | None]:
    if family.orphans:
        pids = ", ".join(str(p.pid) for p in family.orphans)
        reason = f"the watchdog is gone, its children ({pids}) {'still answer' if answered else 'are left'}"
        advice = "restart: without a watchdog nothing mends it, and the product's own scripts cannot stop it"
        return Standing.UNMANAGED, Fault("watchdog-gone", Kind.RESOURCE, reason, f"orphans {pids}", advice)
    if answered or others:
        reason = "nothing of this instance runs, yet somebody else owns its address"
        return Standing.PORT_THIEF, Fault("port-taken", Kind.HOST, reason, advice="see who listens there: ss -ltnp")
    return Standing.DOWN, Fault("unknown", Kind.RESOURCE, "no process of this instance lives")


def _without_worker(family: Family, pid_written: bool) -> tuple[Standing, Fault]:
    if family.primordials and not pid_written:
        reason = "the start is not finished: no worker and no pid file yet; it may wait for a key password"
        advice = "put the key's pin into server.xml, or turn the password off"
        return Standing.HALF_STARTED, Fault("start-incomplete", Kind.RESOURCE, reason, advice=advice)
    missing = "worker" if family.primordials else "primordial"
    reason = f"no {missing} lives, though the watchdog does: connections are accepted and never answered"
    return Standing.CRASH_LOOP, Fault(
        f"{missing}-missing", Kind.RESOURCE, reason, advice="look into logs/errors and syslog"
    )


def _mute(family: Family, now: float) -> tuple[Standing, Fault]:
    stopped = [p for p in family.workers if p.state in "Tt"]
    blocked = [p for p in family.workers if p.state == "D"]
    if stopped:
        pids = ", ".join(str(p.pid) for p in stopped)
        reason, proof = f"worker {pids} is stopped and answers nothing", f"process {pids} state T"
        return Standing.STALLED, Fault("worker-stopped", Kind.RESOURCE, reason, proof)
    if len(blocked) == len(family.workers):
        pids = ", ".join(str(p.pid) for p in blocked)
        reason, proof = f"worker {pids} waits for the disk and answers nothing", f"process {pids} state D"
        return Standing.STALLED, Fault("worker-blocked", Kind.HOST, reason, proof)
    oldest_worker = max(age(p, now) for p in family.workers)
    oldest_parent = max((age(p, now) for p in family.primordials), default=0.0)
    if oldest_worker < YOUNG < oldest_parent - YOUNG:
        reason = f"the primordial lives for {oldest_parent:.0f} s, no worker for longer than {oldest_worker:.1f} s"
        return Standing.CRASH_LOOP, Fault("crash-loop", Kind.RESOURCE, reason, advice="look into logs/errors: CORE3050")
    return Standing.STALLED, Fault("stalled", Kind.RESOURCE, "all processes live, connections get no answer")


def replaceable(family: Family) -> tuple[Process, ...]:
    """Workers whose end mends a stall: stopped ones, else all; none while their parents could not replace them."""
    parents = (family.watchdog, *family.primordials)
    if not family.primordials or any(parent is None or parent.state in "TtD" for parent in parents):
        return ()
    stopped = tuple(p for p in family.workers if p.state in "Tt")
    return stopped or tuple(p for p in family.workers if p.state != "D")
