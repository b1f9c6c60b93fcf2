"""What one server runs out of: descriptors, tasks, places in its queues; and what it leaks.

A limit that is reached under load is too low: what to raise is said. A leak (what grows although it serves nobody) is
the server's own, and ends with its processes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from cluster_glue.recovery.sensors.conditions import EASE, Reading
from cluster_glue.recovery.sensors.descriptors import TaskLimit, Trend, Usage
from cluster_glue.recovery.sensors.socket_dump import inodes
from cluster_glue.recovery.thresholds import Thresholds
from ocf.faults import Fault, Kind
from resource_agents.layouts import Address
from resource_agents.listeners import Listener, sockets_of
from resource_agents.server import Server

#: Seconds over which dropped connections are counted.
DROP_WINDOW = 10.0

#: Seconds for which it is remembered whether descriptors leak; to see it costs milliseconds.
JUDGED_FOR = 10.0

#: Share of a limit from which there is no room for a trend any more.
SPENT = 0.99

#: Half-open connections that are nothing, whatever the queue's limit.
FEW = 32


@dataclass(slots=True)
class Pressure:
    """What is remembered of one server. ``kind`` has its own words for what to raise."""

    kind: type[Server]
    _files: dict[int, Trend] = field(default_factory=dict)  # by pid
    _tasks: Trend = field(default_factory=Trend)
    _leaks: dict[int, tuple[float, bool]] = field(default_factory=dict)
    _born: dict[bytes, float] = field(default_factory=dict)  # connections whose client closed: first seen
    _drops: deque[tuple[float, dict[int, int], int]] = field(default_factory=deque)

    # -- descriptors, tasks ------------------------------------------------------------------------------------------

    def of_processes(self, usages: list[Usage], limits: Thresholds, now: float) -> Iterator[Reading]:
        """Descriptors of the process that is nearest to its limit."""
        self._files = {each.pid: self._files.get(each.pid, Trend()) for each in usages}
        for each in usages:
            self._files[each.pid].add(now, each.files)
        bounded = [each for each in usages if each.files_limit]
        if not bounded:
            return
        worst = max(bounded, key=lambda each: each.files / each.files_limit)
        share = 100 * worst.files / worst.files_limit
        if share < limits.descriptors_warning * EASE:
            return
        leaks = share >= limits.descriptors_error * EASE and self._leak(worst, now)
        growth, since = self._files[worst.pid].growth(worst.files)
        words = f"process {worst.pid} has {worst.files} of {worst.files_limit} descriptors open"
        words += f", {growth} more than {now - since:.0f} s ago" if growth > 0 else ""
        if leaks:
            fault = Fault("descriptor-leak", Kind.RESOURCE, f"{words}, and most of them serve no connection")
            warning = limits.descriptors_warning
            yield Reading("descriptors", share, warning, limits.descriptors_error, fault, limits.leak_hold)
            return
        advice = f"raise {self.kind.files_directive} to {2 * worst.files_limit}"
        fault = Fault("descriptors-exhausted", Kind.CONFIGURATION, words, f"{share:.0f} % of RLIMIT_NOFILE", advice)
        yield Reading("descriptors", share, limits.descriptors_warning, limits.descriptors_error, fault)

    def of_tasks(
        self, usages: list[Usage], bounds: Iterable[TaskLimit], limits: Thresholds, now: float
    ) -> Iterator[Reading]:
        """Processes and threads, of the limit that is nearest."""
        ours = sum(each.tasks for each in usages)
        self._tasks.add(now, ours)
        bound = max(bounds, key=lambda each: each.used / max(1, each.most), default=None)
        if bound is None or 100 * bound.used / max(1, bound.most) < limits.tasks_warning * EASE:
            return
        share = 100 * bound.used / max(1, bound.most)
        words = (
            f"{bound.used} of {bound.most} processes and threads run within {bound.name}, {ours} of them are its own"
        )
        if ours * 2 >= bound.used and self._tasks.grows(ours) and share >= limits.tasks_error * EASE:
            fault = Fault("task-leak", Kind.RESOURCE, f"{words}, more and more")
            yield Reading("tasks", share, limits.tasks_warning, limits.tasks_error, fault, limits.leak_hold)
            return
        fault = Fault("tasks-exhausted", Kind.CONFIGURATION, words, "", f"raise {bound.name} to {2 * bound.most}")
        yield Reading("tasks", share, limits.tasks_warning, limits.tasks_error, fault)

    def _leak(self, worst: Usage, now: float) -> bool:
        """Whether it has descriptors open that serve no living connection, and more and more of them."""
        when, leaks = self._leaks.get(worst.pid, (-math.inf, False))
        if now - when >= JUDGED_FOR:
            try:
                live = len(sockets_of(worst.pid) & inodes())
            except OSError:
                live = worst.files
            grows = self._files[worst.pid].grows(worst.files) or worst.files >= SPENT * worst.files_limit
            leaks = grows and live * 2 < worst.files
            self._leaks = {worst.pid: (now, leaks)}
        return leaks

    # -- connections -------------------------------------------------------------------------------------------------

    def of_connections(
        self,
        troubled: Iterable[tuple[int, int, bytes, int]],
        ports: Collection[int],
        family: Callable[[], Iterable[int]],
        limits: Thresholds,
        now: float,
    ) -> Iterator[Reading]:
        """Connections that the client closed and the server did not: its clients', and its own to back ends."""
        closed = list(troubled)
        if len(closed) < limits.close_wait_warning:
            self._born = {}
            return
        mine = {cookie for _, port, cookie, _ in closed if port in ports}
        if len(closed) - len(mine) >= limits.close_wait_warning:
            held: set[int] = set().union(*(sockets_of(pid) for pid in family()))
            mine |= {cookie for _, _, cookie, inode in closed if inode in held}
        self._born = {cookie: self._born.get(cookie, now) for cookie in mine}
        old = sum(now - since >= limits.close_wait_age for since in self._born.values())
        words = (
            f"{old} connections were closed by the other side more than {limits.close_wait_age:g} s ago and are still"
        )
        words += " open here: it forgets to close them"
        fault = Fault("close-wait-leak", Kind.RESOURCE, words, f"{len(mine)} in CLOSE_WAIT")
        yield Reading("close-wait", old, limits.close_wait_warning, limits.close_wait_error, fault, limits.leak_hold)

    def of_half_open(self, half_open: dict[int, int], own: list[Listener], limits: Thresholds) -> Iterator[Reading]:
        """Connections that never become whole, against the queue that they wait in."""
        for port in sorted({listener.port for listener in own}):
            room = sum(listener.limit for listener in own if listener.port == port)
            number = half_open.get(port, 0)
            if number < FEW or not room:
                continue
            words = f"{number} half-open connections wait on port {port}, of room for {room}: a SYN flood, or answers"
            words += " that do not reach the clients"
            advice = f"set net.ipv4.tcp_syncookies to 1; raise {self._backlog(room)}"
            fault = Fault("syn-flood", Kind.DEPENDENCY, words, f"{number} in SYN_RECV", advice)
            share = 100 * number / room
            yield Reading(f"half-open {port}", share, limits.half_open_warning, limits.half_open_error, fault)

    def of_queues(
        self,
        own: list[Listener],
        dropped: dict[int, int],
        overflows: int,
        somaxconn: int,
        limits: Thresholds,
        now: float,
    ) -> Iterator[Reading]:
        """Accept queues that are too short for what comes, and what was dropped at them.

        A listener's own count holds every packet that it dropped, such as those of connections that another node had;
        no more of them can have met a full queue than the namespace counts as ``overflows``.
        """
        self._drops.append((now, {one.inode: dropped[one.inode] for one in own if one.inode in dropped}, overflows))
        while now - self._drops[0][0] > DROP_WINDOW:
            self._drops.popleft()
        before = self._drops[0][1]
        for one in own:
            where = Address(one.host, one.port)
            advice = f"raise {self._backlog(one.limit)}" + (f" (now {somaxconn})" if one.limit >= somaxconn else "")
            if one.limit and one.depth:
                words = f"{one.depth} of {one.limit} connections wait to be accepted on {where}"
                fault = Fault("accept-queue-full", Kind.CONFIGURATION, words, f"accept queue {one.depth}", advice)
                share = 100 * one.depth / one.limit
                yield Reading(f"accept-queue {where}", share, limits.queue_warning, limits.queue_error, fault)
            lost = dropped.get(one.inode, 0) - before.get(one.inode, dropped.get(one.inode, 0))
            lost = min(lost, overflows - self._drops[0][2])
            if lost > 0:
                words = f"{lost} connections were dropped at {where} within {now - self._drops[0][0]:.0f} s: its accept"
                words += f" queue (limit {one.limit}) was full"
                fault = Fault("accept-queue-overflow", Kind.CONFIGURATION, words, f"{lost} drops", advice)
                yield Reading(f"drops {where}", lost, 1, math.inf, fault, hold=0.0)

    def _backlog(self, limit: int) -> str:
        return f"{self.kind.backlog_directive} and net.core.somaxconn to {max(128, 2 * limit)}"
