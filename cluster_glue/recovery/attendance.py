"""The sensors in attendance: what is watched of which resource, in each phase, and what is told to the engine.

Kernel events wake the loop when something happens (deaths by pidfd, children's deaths by the process connector). One
look every ``LOOK`` seconds serves all resources (process states, accept queues, orphans to reap, changed files). One
probe task per resource asks it at its interval, or at once when a look finds it suspicious. Each source degrades alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from cluster_glue.recovery.engine import Engine
from cluster_glue.recovery.files import Files, trim
from cluster_glue.recovery.model import Answered, ConfigurationChanged, Died, Failed, Found, Phase, Tell
from cluster_glue.recovery.probing import Examine, Probing
from cluster_glue.recovery.proving import Proving
from cluster_glue.recovery.sensors.certificates import Certificates
from cluster_glue.recovery.sensors.children import ChildDeath, ChildDeaths
from cluster_glue.recovery.sensors.connector import ProcessConnector, Unavailable
from cluster_glue.recovery.sensors.death import Death, Deaths
from cluster_glue.recovery.sensors.doubt import Doubt
from cluster_glue.recovery.sensors.listen_table import ListenTable
from cluster_glue.recovery.sensors.orphans import Orphans
from cluster_glue.recovery.sensors.queues import Queues
from cluster_glue.recovery.sensors.sockets import Sockets
from cluster_glue.recovery.sensors.states import States
from cluster_glue.recovery.sensors.status import describe_status
from cluster_glue.recovery.watch import Watch
from ocf.faults import Fault, Kind
from resource_agents import mounts
from resource_agents.families import Remembered, find_main, layout_of
from resource_agents.processes import Identity

#: Seconds between two looks.
LOOK = 0.4

#: Seconds without a look after which it is said, and the least between two times that it is.
STANDSTILL, SELDOM = 2.0, 60.0

#: Looks between two searches for a server that came back by other hands.
SEARCH_EVERY = 12

#: Phases in which a main process is expected to live.
ALIVE = frozenset({Phase.UP, Phase.CHECKING, Phase.RELOADING, Phase.ASKING, Phase.OBSERVING, Phase.WAITING})

#: Phases in which somebody else may start it.
RESTING = frozenset({Phase.OBSERVING, Phase.WAITING, Phase.MISCONFIGURED, Phase.BLOCKED})

#: Phases in which answers are of interest.
ASKED = frozenset({Phase.UP, Phase.OBSERVING, Phase.WAITING})

#: Phases in which a change of the configuration is news; so it is of a server that runs with a broken one.
READ = frozenset({Phase.MISCONFIGURED, Phase.BLOCKED, Phase.CHECKING, Phase.CLEARING, Phase.STARTING})


@dataclass(slots=True)
class _Attended:
    """What is in place for one resource."""

    watch: Watch
    main: Identity | None = None
    probing: Probing | None = None
    files: Files | None = None
    incident: int = 0  # that the latest death opened
    writes: tuple[str, ...] = ()  # what it must be able to open for writing when it is started again


class Sensors:
    """All sensors of one daemon."""

    def __init__(self, engine: Engine, tell: Callable[[str, Tell], None], examine: Examine) -> None:
        self._engine = engine
        self._examine = examine
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._attended: dict[str, _Attended] = {}
        self._doubt = Doubt(self._loop.time)
        self._told_at = float("-inf")  # that we stood still
        self._orphans = Orphans()
        self._table = ListenTable()
        self._queues = Queues(self._table.look)
        self._proving = Proving(self._attended, self._queues, self._doubt.lost, engine.post)
        self._sockets = Sockets(engine.post, tell, self._table)
        self._certificates = Certificates(tell)
        self._connector: ProcessConnector | None = None
        self.missing: dict[str, str] = {}
        try:
            self._connector = ProcessConnector()
        except Unavailable as why:
            self.missing["process connector"] = str(why)
        self._children = ChildDeaths(engine.post, self._child_died, self._connector is not None)
        self._deaths = Deaths(self._loop, self._connector.status_of) if self._connector else Deaths(self._loop)
        self._states = States(self._children.found)
        if self._connector is not None:
            self._connector.attach(self._loop, self._children.seen, self._children.lost)

    # -- what is watched -----------------------------------------------------------------------------------------------

    def attend(self, watch: Watch) -> None:
        """Put in place what this resource's state asks for, and take away what it does not."""
        known = self._attended.get(watch.name)
        if known is None:
            known = self._attended[watch.name] = _Attended(watch)
        phase = watch.state.phase
        living = phase in ALIVE and not watch.state.dead
        main = watch.remembered.main if watch.remembered is not None and living else None
        if main != known.main:
            self._watch_main(known, main)
        elif main is not None:  # reloaded, it may listen elsewhere
            self._queues.watch(watch.name, layout_of(watch.server).addresses)
        probed = phase in ASKED and watch.config.policy.probe_interval > 0
        if probed and known.probing is None:
            known.probing = Probing(
                watch, self._doubt, self._queues.nobody_listens, self._engine.post, self._tell, self._examined
            )
            known.probing.begin()
        elif not probed and known.probing is not None:
            known.probing.end()
            known.probing = None
        fault = watch.state.fault
        read = phase in READ or (phase is Phase.UP and fault is not None and fault.kind is Kind.CONFIGURATION)
        if read != (known.files is not None):
            known.files = Files(watch.server) if read else None

    def leave(self, watch: Watch) -> None:
        """Watch nothing of this resource any more."""
        known = self._attended.pop(watch.name, None)
        if known is None:
            return
        self._watch_main(known, None)
        if known.probing is not None:
            known.probing.end()

    def close(self) -> None:
        """Let everything go; no process is touched."""
        for known in list(self._attended.values()):
            self.leave(known.watch)
        self._deaths.close()
        self._states.close()
        self._sockets.close()
        self._proving.close()
        self._table.close()
        if self._connector is not None:
            self._connector.close()

    def _watch_main(self, known: _Attended, main: Identity | None) -> None:
        name = known.watch.name
        if known.main is not None:
            self._deaths.forget(known.main)
            self._orphans.take(known.main)
        self._forget(name)
        known.main = main
        if main is None:
            return
        policy = known.watch.config.policy
        try:
            self._deaths.watch(
                main, lambda death: self._died(known, death), lambda death: self._explained(known, death)
            )
            self._states.watch(name, main)
        except OSError as error:  # no descriptors left: looks and probes go on
            self._tell(name, Tell("sensor-lost", f"the main process cannot be watched: {error}"))
        known.writes = mounts.real(layout_of(known.watch.server).writes)
        self._children.watch(name, main.pid, policy.child_crash_limit, policy.child_crash_window)
        self._queues.watch(name, layout_of(known.watch.server).addresses)
        self._sockets.watch(known.watch, main.pid)
        self._certificates.watch(known.watch, main.pid)

    def _forget(self, name: str) -> None:
        """No sensor of main processes looks at it any more."""
        for sensor in (self._states, self._children, self._queues, self._proving, self._sockets, self._certificates):
            sensor.forget(name)

    # -- what happened -------------------------------------------------------------------------------------------------

    def _died(self, known: _Attended, death: Death) -> None:
        if known.main != death.identity:
            return
        known.main = None  # but its pidfd is still asked how it ended
        who = f"the main process (pid {death.identity.pid})"
        self._engine.turn(known.watch, Died(_hopeless(describe_status(death.status, who), known.writes)))
        known.incident = known.watch.state.incident
        if known.main is None:
            self._forget(known.watch.name)

    def _explained(self, known: _Attended, death: Death) -> None:
        fault = describe_status(death.status, f"the main process (pid {death.identity.pid})")
        if known.incident:  # the death of a server that was stopped as asked explains nothing
            self._tell(known.watch.name, Tell("explained", fault.reason, known.incident, fault))

    def _child_died(self, death: ChildDeath) -> None:
        if death.signal:
            self._tell(death.name, Tell("child-died", str(death)))

    # -- looks ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at everything, again and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sockets.run())
            group.create_task(self._certificates.run())
            group.create_task(self._look())

    async def _look(self) -> None:
        looks = 0
        due = self._loop.time() + LOOK
        while True:
            await asyncio.sleep(due - self._loop.time())
            due = self._loop.time() + LOOK
            self._stood_still(self._doubt.beat(due))
            looks += 1
            self._orphans.reap(self._deaths.pids)
            suspects = self._look_at_queues()
            for sighting in self._states.look(suspects):
                if sighting.event is not None:
                    self._engine.post(sighting.name, sighting.event)
                else:
                    self._tell(sighting.name, Tell("sighting", sighting.fault.reason, 0, sighting.fault))
            for known in list(self._attended.values()):
                if known.files is not None and known.files.changed():
                    known.files = Files(known.watch.server)
                    self._engine.post(known.watch.name, ConfigurationChanged())
                if looks % SEARCH_EVERY == 0:
                    self._search(known)

    def _stood_still(self, seconds: float) -> None:
        """Say it when koboshi itself was away for long: with the machine, or for want of a processor."""
        now = self._loop.time()
        if seconds < STANDSTILL or now - self._told_at < SELDOM:
            return
        self._told_at = now
        words = f"koboshi was not scheduled for {seconds:.3g} s: what was sensed meanwhile proves nothing"
        self._tell("", Tell("stood-still", words))

    def _look_at_queues(self) -> set[str]:
        suspects = set()
        for suspicion in self._queues.look():
            suspects.add(suspicion.name)
            probing = self._attended[suspicion.name].probing
            if probing is not None:
                probing.suspect()
        self._proving.look(suspects)
        failing = {name for name, known in self._attended.items() if known.probing and known.probing.failing}
        return suspects | self._queues.filled | failing  # whose children are looked at now

    async def _examined(self, watch: Watch, event: Answered | Failed) -> Answered | Failed:
        """A probe's event with its proven name; what the sockets of the machine explain is not the server's fault.

        A good answer to us is no recovery while nobody else can reach the server.
        """
        event = await self._examine(watch, event)
        if isinstance(event, Answered):
            known = watch.state.fault
            apart = known is not None and known.kind is Kind.HOST and self._sockets.unreached(watch.name)
            return Failed(apart) if apart else event
        if event.hard or event.fault.kind is not Kind.RESOURCE:
            return event
        fault = self._sockets.blame(watch.name)
        return event if fault is None else Failed(fault)

    def _search(self, known: _Attended) -> None:
        """Now and then: has somebody else started what we believe dead; has the server's output grown large?"""
        watch = known.watch
        with suppress(OSError):
            trim(watch.executor.output)
        if watch.state.phase not in RESTING or not watch.state.dead:
            return
        main = find_main(watch.server, None)
        if main is not None:
            watch.remembered = Remembered(main.identity, main.sid if main.sid == main.pid else 0)
            self._engine.post(watch.name, Found(True))


def _hopeless(fault: Fault, writes: tuple[str, ...]) -> Fault:
    """The death as it is, or as the machine's fault where a start would fail: a restart is not spent on that."""
    disk = mounts.read_only(writes)
    if disk is None:
        return fault
    return replace(disk, reason=f"{fault.reason}, and it cannot be started again: {disk.reason}", proof=fault.proof)
