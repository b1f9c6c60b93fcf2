"""One resource as the socket sensor sees it: its readings, judged, and what the status shows of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cluster_glue.recovery.sensors import socket_dump
from cluster_glue.recovery.sensors.conditions import EASE, Board, Finding, Reading
from cluster_glue.recovery.sensors.descriptors import task_limits, usage
from cluster_glue.recovery.sensors.listening import Listening
from cluster_glue.recovery.sensors.pressure import Pressure
from ocf.faults import Fault
from resource_agents.families import layout_of, members
from resource_agents.layouts import Address
from resource_agents.listeners import Listener, on
from resource_agents.processes import children

if TYPE_CHECKING:
    from cluster_glue.recovery.watch import Watch

#: Seconds between two looks at processes at the least.
PROCESSES_EVERY = 5.0

#: Processes of one server that are looked at.
MOST_PROCESSES = 300

#: Conditions that are measured only with the processes.
OF_PROCESSES = frozenset({"descriptors", "tasks"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look saw of all sockets; every resource takes its own part. Times are seconds on the looks' clock."""

    now: float
    processes_every: float
    listeners: list[Listener]
    dropped: dict[int, int]  # by inode of the listener
    troubled: list[tuple[int, int, bytes, int]]
    census: Counter[tuple[int, int]]
    census_at: float
    somaxconn: int
    overflows: int | None


@dataclass(slots=True)
class Subject:
    """One resource with a living main process."""

    watch: Watch
    main: int
    listening: Listening
    pressure: Pressure
    board: Board
    elsewhere: bool  # in another network namespace than ours: its sockets are not to be seen
    ports: set[int] = field(default_factory=set)
    status: dict[str, Any] = field(default_factory=dict)
    _held: frozenset[int] | None = None  # inodes of the listeners it had open at the first look
    _looked_at: float = float("-inf")  # its processes

    @property
    def every_port(self) -> set[int]:
        """The ports that it is configured to listen on, and those that it had besides."""
        return self.ports | {address.port for address in layout_of(self.watch.server).addresses}

    def own(self, listeners: list[Listener]) -> list[Listener]:
        """The listeners of this server: on its configured addresses, and what its processes had open besides."""
        if self.elsewhere:
            return []
        if self._held is None:
            self._held = frozenset(one.inode for one in self.listening.own(listeners))
        wanted = {one.inode for one in on(layout_of(self.watch.server).addresses, listeners)} | self._held
        return [one for one in listeners if one.inode in wanted]

    def judge(self, seen: Seen) -> list[Finding]:
        """What is new about it."""
        kept = OF_PROCESSES
        readings = list(self._of_sockets(seen))
        if seen.now - self._looked_at >= seen.processes_every or kept & self.board.levels().keys():
            kept = frozenset()
            readings += self._of_processes(seen.now)
            self._looked_at = seen.now
        found = self.board.judge(readings, seen.now, kept)
        self.status["conditions"] = self.board.levels()
        return found

    def unreached(self) -> Fault | None:
        """What holds at this moment, and lets nobody reach it, although it answers whoever asks on this machine.

        Asks the kernel. Under a cluster only, as the readings.
        """
        config = self.watch.config
        if self.elsewhere or config.policy.on_exhausted != "failover":
            return None
        readings = self.listening.left(self.watch.server, config.thresholds)
        return next((one.fault for one in readings if one.value >= one.error), None)

    def _of_sockets(self, seen: Seen) -> Iterator[Reading]:
        if self.elsewhere:
            return
        limits, own = self.watch.config.thresholds, self.own(seen.listeners)
        half_open = Counter(port for state, port, _, _ in seen.troubled if state == socket_dump.SYN_RECV)
        closed = [each for each in seen.troubled if each[0] == socket_dump.CLOSE_WAIT]
        yield from self.listening.readings(self.watch.server, seen.listeners, limits, seen.now)
        # alone, a start that fails for a missing address waits until it is back, and nothing is given up
        if self.watch.config.policy.on_exhausted == "failover":
            yield from self.listening.left(self.watch.server, limits)
        yield from self.pressure.of_queues(own, seen.dropped, seen.overflows or 0, seen.somaxconn, limits, seen.now)
        yield from self.pressure.of_half_open(half_open, own, limits)
        yield from self.pressure.of_connections(closed, self.ports, lambda: family(self.main), limits, seen.now)
        states: Counter[str] = Counter()
        for (state, port), number in seen.census.items():
            if port in self.ports:
                states[socket_dump.STATES.get(state, str(state))] += number
        self.status["listeners"] = [
            {
                "address": str(Address(one.host, one.port)),
                "depth": one.depth,
                "limit": one.limit,
                "drops": seen.dropped.get(one.inode),
            }
            for one in own
        ]
        self.status["connections"] = dict(states)
        self.status["connections_age"] = round(seen.now - seen.census_at, 1)
        self.status["overflows"] = seen.overflows

    def _of_processes(self, now: float) -> Iterator[Reading]:
        limits = self.watch.config.thresholds
        usages = [each for pid in family(self.main) if (each := usage(pid)) is not None]
        bounds = task_limits(self.main, usages, limits.tasks_warning / 100 * EASE)
        yield from self.pressure.of_processes(usages, limits, now)
        yield from self.pressure.of_tasks(usages, bounds, limits, now)
        bounded = [each for each in usages if each.files_limit] or usages
        worst = max(bounded, key=lambda each: each.files / max(1, each.files_limit), default=None)
        bound = max(bounds, key=lambda each: each.used / max(1, each.most), default=None)
        self.status["descriptors"] = worst and {"pid": worst.pid, "used": worst.files, "limit": worst.files_limit}
        self.status["tasks"] = {
            "own": sum(each.tasks for each in usages),
            "used": bound.used if bound else None,
            "limit": bound.most if bound else None,
        }


def subject_of(watch: Watch, main: int) -> Subject:
    """This resource, whose main process is ``main``, before the first look."""
    make = watch.executor.make
    listening = Listening(main, make, lambda: _members(watch))
    return Subject(watch, main, listening, Pressure(type(watch.server)), Board(watch.name), not near(main))


def family(main: int) -> list[int]:
    """The main process and all below it."""
    found: list[int] = []
    waiting = [main]
    while waiting and len(found) < MOST_PROCESSES:
        pid = waiting.pop(0)
        found.append(pid)
        waiting += children(pid)
    return found


def _members(watch: Watch) -> Iterable[int]:
    return [process.pid for process in members(watch.server, watch.remembered, watch.group)]


def near(pid: int) -> bool:
    """Whether a process sees the same sockets as we do."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
    except OSError:
        return True
