"""What this machine lets koboshi see, and what it costs to be without: ``koboshi doctor --capabilities``."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cluster_glue.diagnosis.evidence import Absent
from cluster_glue.diagnosis.kernel import KernelLog
from cluster_glue.diagnosis.tables import dump
from cluster_glue.diagnosis.tracefs import Instance
from cluster_glue.recovery.sensors.connector import ProcessConnector, Unavailable
from resource_agents.cgroups import place


@dataclass(frozen=True, slots=True)
class Capability:
    """One facility: ``problem`` is empty when it is there, else ``cost`` is what koboshi cannot do."""

    name: str
    gives: str
    cost: str
    problem: str = ""


def look() -> list[Capability]:
    """Every facility, tried just now and let go again."""
    return [
        Capability(name, gives, cost, _problem(attempt))
        for name, gives, cost, attempt in (
            (
                "signal trace (tracefs)",
                "who sent the signal that ended or stopped a server",
                "a kill is named, but not who did it",
                _trace,
            ),
            (
                "kernel log (/dev/kmsg)",
                "processes killed for lack of memory, crashes with their library, failing disks",
                "a kill for lack of memory looks like any other kill",
                _kernel_log,
            ),
            (
                "process connector",
                "deaths of a server's children, and the status of what others reap",
                "deaths of children are seen by looking now and then",
                _connector,
            ),
            (
                "socket diagnosis (sock_diag)",
                "queues and connections of servers in microseconds",
                "listeners are read from /proc, and connections are not seen",
                _sockets,
            ),
            (
                "pidfd",
                "deaths of main processes within a millisecond, signals that reach nobody else",
                "koboshi does not work without it",
                _pidfd,
            ),
            (
                "control groups (v2)",
                "whole families, ended by one write",
                "families are found by session, ancestry and sockets",
                _groups,
            ),
            (
                "memory counters of control groups",
                "kills for lack of memory inside a control group",
                "such a kill is named only by the kernel's log",
                _memory,
            ),
            (
                "pressure (PSI)",
                "whether processors, memory or disks were short when it fell",
                "the evidence has load and free memory only",
                lambda: _readable("/proc/pressure/cpu"),
            ),
            (
                "kernel stacks",
                "where in the kernel a hung process waits",
                "the evidence has the wait channel only",
                lambda: _readable("/proc/self/stack"),
            ),
        )
    ]


def _problem(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except (Absent, Unavailable) as why:
        return str(why)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _trace() -> None:
    Instance().close()


def _kernel_log() -> None:
    log = KernelLog()
    problem = log.problem
    log.close()
    if problem:
        raise Absent(problem)


def _connector() -> None:
    ProcessConnector().close()


def _sockets() -> None:
    dump((), ())


def _pidfd() -> None:
    os.close(os.pidfd_open(os.getpid()))


def _groups() -> None:
    group = place("koboshi-doctor", str(os.getpid()))
    if group is None:
        raise Absent("no cgroup v2 is mounted")
    made = group.make()
    for folder in (group.path, group.path.parent):
        with suppress(OSError):
            folder.rmdir()
    if not made:
        raise Absent(f"no group can be made below {group.path.parent.parent}")


def _memory() -> None:
    from cluster_glue.diagnosis.host import groups_of

    if not any("memory" in Path(path).name for path in groups_of(os.getpid()).counts):
        raise Absent("our own control groups do not count them")


def _readable(path: str) -> None:
    with open(path, "rb") as file:
        file.read(64)
