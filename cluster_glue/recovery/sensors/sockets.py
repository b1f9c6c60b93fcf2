"""Sockets, descriptors and tables of all resources: one look a second, its readings taken in a thread.

While the table of listeners and the machine's addresses stay as they were, and nothing was found amiss, a look is that
one comparison; what the table does not show (descriptors, tasks, the machine's tables) is looked at every :data:`REST`
seconds then. What costs more is done as often as its own cost allows (:class:`Pace`), and only when a counter that
costs nothing says that there may be something to see. So a machine at rest pays for one question to the kernel, and
one with many connections never more than a fixed share of a processor.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster_glue.recovery.model import Event, Phase, Tell
from cluster_glue.recovery.sensors import socket_dump
from cluster_glue.recovery.sensors.conditions import Board, Finding, Reading
from cluster_glue.recovery.sensors.counters import BLAMED, Counters
from cluster_glue.recovery.sensors.links import Changes
from cluster_glue.recovery.sensors.listen_table import ListenTable
from cluster_glue.recovery.sensors.pressure import FEW
from cluster_glue.recovery.sensors.subject import PROCESSES_EVERY, Seen, Subject, subject_of
from cluster_glue.recovery.thresholds import Thresholds
from ocf.faults import Fault, Kind
from resource_agents.layouts import Address
from resource_agents.listeners import Listener

if TYPE_CHECKING:
    from cluster_glue.recovery.watch import Watch

#: Seconds between two looks; the least between two counts of ephemeral ports, and of all connections.
EVERY, PORTS_EVERY, CENSUS_EVERY = 1.0, 5.0, 10.0

#: Seconds between two looks at everything while all is well and no listener changes.
REST = 5.0

#: Share of a processor that looks for troubled connections may cost where there were none.
IDLE_SHARE = 0.0005

#: Shares of a processor that looks at troubled connections, counts of all, and those of ephemeral ports may cost.
TROUBLED_SHARE, CENSUS_SHARE, PORTS_SHARE = 0.003, 0.0002, 0.0015

#: Share of a processor that looks at many resources may cost together, and seconds between two looks at processes for
#: each resource there is, by which those cost about as much.
LOOKS_SHARE, PROCESSES_APART = 0.005, 0.1

#: Causes among a resource's own conditions that explain why it does not answer.
BLAMED_OWN = frozenset({"port-taken", "orphaned-children"})


@dataclass(slots=True)
class Pace:
    """Something may be done ``every`` so many seconds, or less often where that would cost more than ``share``."""

    every: float
    share: float
    _due: float = 0.0

    def due(self, now: float) -> bool:
        """Whether it may be done now."""
        return now >= self._due

    def spent(self, now: float, seconds: float) -> None:
        """It was done, and cost so much of the processor."""
        self._due = now + max(self.every, seconds / self.share)


class Sockets:
    """The sensor. ``post`` takes events for the machine of recovery, ``tell`` words; ``problem`` says what is amiss."""

    def __init__(
        self, post: Callable[[str, Event], None], tell: Callable[[str, Tell], None], table: ListenTable
    ) -> None:
        self._post, self._tell, self._table = post, tell, table
        self._well: list[tuple[Listener, int | None]] | None = None  # listeners and drops when nothing was amiss
        self._well_until = 0.0
        self._compared: list[Listener] = []  # the table that was compared with it last
        self._subjects: dict[str, Subject] = {}
        self._blamed: dict[str, Fault] = {}
        self._counters = Counters()
        self._changes = Changes()
        self._machine = Board("")
        self._troubled_pace = Pace(EVERY, TROUBLED_SHARE)
        self._idle_pace = Pace(REST, IDLE_SHARE)  # of the same, while only the number of sockets asks for it
        self._census_pace = Pace(CENSUS_EVERY, CENSUS_SHARE)
        self._ports_pace = Pace(PORTS_EVERY, PORTS_SHARE)
        self._census: Counter[tuple[int, int]] = Counter()
        self._census_at = 0.0
        self._troubled: list[tuple[int, int, bytes, int]] = []
        self._listen_before: dict[str, int] = {}
        self._clock = 0.0
        self._interval = EVERY
        self._cost = 0.0
        self._looked = time.monotonic()
        self.problem = ""

    # -- whom --------------------------------------------------------------------------------------------------------

    def watch(self, watch: Watch, main: int) -> None:
        """Look at this resource from now on, whose main process is ``main``."""
        self._subjects[watch.name] = subject_of(watch, main)
        self._well = None

    def forget(self, name: str) -> None:
        """Look at it no more."""
        subject = self._subjects.pop(name, None)
        if subject is not None:
            subject.watch.sockets = {}
        self._blamed.pop(name, None)

    def close(self) -> None:
        """Look at nothing any more."""
        self._subjects.clear()
        self._counters.close()
        self._changes.close()

    def blame(self, name: str) -> Fault | None:
        """What explains, as things are, that this resource does not answer."""
        return self._blamed.get(name) or self._blamed.get("")

    def unreached(self, name: str) -> Fault | None:
        """What lets nobody reach this resource at this moment, although it answers a probe of ours."""
        subject = self._subjects.get(name)
        return None if subject is None else subject.unreached()

    # -- looks -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self.look()

    async def look(self) -> None:
        """One look at all of them; what is new is told."""
        subjects = list(self._subjects.values())
        if not subjects:
            return
        try:
            listeners, now = self._table.recent(), self._pass_time()
            dropped = self._table.drops
            if not self._changes.any() and now < self._well_until and self._as_it_was(listeners, dropped):
                return
            found = await asyncio.to_thread(self.measure, subjects, listeners, dropped, now)
            self._well = self._ours(listeners, dropped) if self._calm(subjects) else None
            self._well_until = now + REST
            problem = ""
        except Exception as error:  # no reason to lose the other sensors for
            found, problem = [], f"sockets cannot be looked at: {type(error).__name__} {error}"
        if problem and not self.problem:
            self._tell("", Tell("sensor-lost", problem))
        self.problem = problem
        self._blamed = {}
        for fault in self._machine.errors():
            if fault.cause in BLAMED:
                self._blamed[""] = fault
        for subject in subjects:
            if self._subjects.get(subject.watch.name) is subject:
                subject.watch.sockets = {**subject.status, "problem": self.problem}
                for fault in subject.board.errors():
                    if fault.cause in BLAMED_OWN:
                        self._blamed[subject.watch.name] = fault
        for each in found:
            if each.name and each.name not in self._subjects:
                continue
            if each.tell is not None:
                self._tell(each.name, each.tell)
            if each.event is not None:
                self._post(each.name, each.event)

    def _as_it_was(self, listeners: list[Listener], dropped: dict[int, int]) -> bool:
        """Whether nothing was amiss, and the listeners on the ports of ours are the same since."""
        if self._well is None or (listeners is not self._compared and self._ours(listeners, dropped) != self._well):
            return False
        self._compared = listeners
        return True

    def _ours(self, listeners: list[Listener], dropped: dict[int, int]) -> list[tuple[Listener, int | None]]:
        ports = {port for subject in self._subjects.values() for port in subject.every_port}
        return [(one, dropped.get(one.inode)) for one in listeners if one.port in ports]

    def _calm(self, subjects: list[Subject]) -> bool:
        """Whether these are all there are, and nothing is amiss with any."""
        if len(self._troubled) >= _few(subjects) or len(subjects) != len(self._subjects) or not self._machine.calm:
            return False
        return all(one.board.calm and self._subjects.get(one.watch.name) is one for one in subjects)

    def measure(
        self, subjects: list[Subject], listeners: list[Listener], dropped: dict[int, int], now: float
    ) -> list[Finding]:
        """Everything that is new about these resources and the machine. Raises ``OSError``."""
        self._counters.look()
        limits = [subject.watch.config.thresholds for subject in subjects]
        for subject in subjects:
            subject.ports = {one.port for one in subject.own(listeners)}
        ports = {port for subject in subjects for port in subject.ports}
        self._look_at_connections(ports, _few(subjects), now)
        readings, kept = self._of_machine(ports, limits, now)
        found = self._machine.judge(readings, now, kept)
        overflows = self._counters.listen.get("ListenOverflows")
        somaxconn = self._counters.number("sys/net/core/somaxconn")
        seen = Seen(
            now,
            max(PROCESSES_EVERY, len(subjects) * PROCESSES_APART),
            listeners,
            dropped,
            self._troubled,
            self._census,
            self._census_at,
            somaxconn,
            overflows,
        )
        began = time.thread_time()
        for subject in subjects:
            if subject.watch.state.phase is Phase.UP:
                found += subject.judge(seen)
        cost, self._cost = self._cost, time.thread_time() - began
        # a look at processes, which is dearer, is paced by itself: the cheaper one of two looks counts
        self._interval = max(EVERY, min(cost, self._cost) / LOOKS_SHARE)
        return found

    def _pass_time(self) -> float:
        """A clock for conditions: while we are not there to look (a paused machine), it all but stands still."""
        looked, self._looked = self._looked, time.monotonic()
        self._clock += min(self._looked - looked, 2 * self._interval)
        return self._clock

    def _look_at_connections(self, ports: set[int], few: int, now: float) -> None:
        """Count what may be trouble, if anything says that there may be some; count everything now and then."""
        began = time.thread_time()
        counted, self._listen_before = self._listen_before, self._counters.listen
        stirred = counted != self._counters.listen or len(self._troubled) >= few
        stirred = stirred or any(self._census[socket_dump.SYN_RECV, port] for port in ports)
        pace = self._troubled_pace if stirred else self._idle_pace
        if (stirred or self._troubled or self._counters.sockets.get("inuse", few) >= few) and pace.due(now):
            self._troubled = socket_dump.troubled()
            pace.spent(now, time.thread_time() - began)
        began = time.thread_time()
        if ports and self._census_pace.due(now):
            self._census, self._census_at = socket_dump.count(socket_dump.STATES.keys(), ports), now
            self._census_pace.spent(now, time.thread_time() - began)

    # -- readings ----------------------------------------------------------------------------------------------------

    def _of_machine(self, ports: set[int], limits: list[Thresholds], now: float) -> tuple[list[Reading], set[str]]:
        """What the machine has left, by the strictest numbers of its resources; and what was not looked at now."""
        strictest = min(limits, key=lambda each: each.machine_warning)
        readings = self._counters.readings(strictest)
        low, high = self._counters.port_range()
        warning, error = (min(getattr(each, f"ports_{which}") for each in limits) for which in ("warning", "error"))
        size = max(1, high - low + 1)
        sockets = self._counters.sockets
        if sockets.get("inuse", 0) + sockets.get("tw", 0) < size * warning / 100 * 0.8:
            return readings, set()
        if not self._ports_pace.due(now):
            return readings, {key for key in self._machine.levels() if key.startswith("ports ")}
        began = time.thread_time()
        for (host, port), used in socket_dump.destinations(low, high, ports).most_common(8):
            where = Address(host, port)
            words = (
                f"{used} of {size} ephemeral ports are in use towards {where}; without one nothing can connect there"
            )
            advice = "keep connections to it alive; widen net.ipv4.ip_local_port_range; set net.ipv4.tcp_tw_reuse to 1"
            fault = Fault("ports-exhausted", Kind.HOST, words, f"{100 * used / size:.0f} % of {low}-{high}", advice)
            readings.append(Reading(f"ports {where}", 100 * used / size, warning, error, fault, hold=0.0))
        self._ports_pace.spent(now, time.thread_time() - began)
        return readings, set()


def _few(subjects: list[Subject]) -> int:
    """Connections of which fewer are nothing, whatever their state: the machine's other programs have some too."""
    return min(FEW, *(subject.watch.config.thresholds.close_wait_warning for subject in subjects))
