"""The daemon's side of the OCF executables: takes resources over, answers start and monitor, keeps the lease.

A resource is in the daemon's care as long as its mandate (:mod:`resource_agents.mandates`) is there, from the cluster's
``start`` to its ``stop``. Mandates are looked for at the start and all the time: so a daemon that was killed, or that
hung while the executables did its work, goes on with what is true now. Each recurring monitor with a good answer renews
the lease; when the cluster stops asking (maintenance, shutdown), koboshi only observes. When it asks again, koboshi may
act again, whatever fell meanwhile.

A monitor says "running" while a repair is under way, but not for ever: after ``repair_time`` the cluster hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster_glue import ocf_requests
from cluster_glue.ocf_requests import WRONG, Mandated
from cluster_glue.ocf_status import StatusFiles
from cluster_glue.recovery.engine import Engine, now
from cluster_glue.recovery.model import IN_FLIGHT, Phase, Renewed, StartAsked, StopAsked, Tell, Wanted
from cluster_glue.recovery.policy import PolicyError
from cluster_glue.recovery.repair import lapsed, refused
from cluster_glue.recovery.watch import Watch
from ocf.conditions import Verdict
from ocf.faults import Kind
from resource_agents import mandates, memory
from resource_agents.families import find_main
from resource_agents.numbers import FIRST_LEASE

#: Seconds between two looks at mandates, leases and status files.
EVERY = 0.5

#: Seconds in which a monitor that renews a lapsed lease waits for the clusterware's permission.
PERMISSION = 1.0

#: Seconds of a start that are kept for stopping again what did not come up.
CLEARING = 5.0

CLUSTER = "the cluster"

#: Phases in which a repair is under way, and the cluster has nothing to do but wait.
REPAIRING = frozenset({*IN_FLIGHT, Phase.ASKING, Phase.WAITING})

#: Phases in which nothing is under way that somebody waits for.
SETTLED = frozenset({Phase.UP, Phase.IDLE, Phase.FAILED, Phase.MISCONFIGURED, Phase.BLOCKED, Phase.OBSERVING})


@dataclass(slots=True)
class _Ours:
    """A resource in our care. ``stamp`` tells whether its mandate was amended.

    ``down_since`` (seconds since boot) is when it fell, or when it became ours to repair again.
    """

    watch: Watch
    mandated: Mandated
    path: Path
    stamp: int
    down_since: float | None = None


class OcfService:
    """All resources that a cluster has handed over.

    ``last_incident`` gives a resource's latest incident number, ``drain_wait`` the seconds that its load balancer gets.
    """

    def __init__(
        self,
        engine: Engine,
        runtime: Path,
        last_incident: Callable[[str], int],
        tell: Callable[[str, Tell], None],
        drain_wait: Callable[[str], float],
    ) -> None:
        self._engine, self._runtime, self._last_incident, self._tell = engine, runtime, last_incident, tell
        self._drain_wait = drain_wait
        mandates.folder(runtime).mkdir(mode=0o700, exist_ok=True)
        self._files = StatusFiles(mandates.folder(runtime))
        self._ours: dict[str, _Ours] = {}
        self._refused: set[Path] = set()

    # -- questions -----------------------------------------------------------------------------------------------------

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one action; without a ``condition`` the executable does the work itself."""
        try:
            verdict = await self._act(request)
        except WRONG as error:
            verdict = Verdict("wrong-parameter", str(error))
        if verdict is None:
            return {"ok": True}
        return {"ok": True, "condition": verdict.condition, "reason": verdict.reason}

    async def _act(self, request: dict[str, Any]) -> Verdict | None:
        name, timeout = str(request["instance"]), float(request["timeout"])
        if request["action"] == "start":
            return await self._start(name, str(request["mandate"]), timeout)
        self._follow(name)
        ours = self._ours.get(name)
        if ours is None or request["action"] not in ("monitor", "status"):
            return None
        interval = float(request["interval"])
        if interval > 0 and _forsaken(ours.watch):
            self._renew(ours, interval, timeout)
            await self._settle(ours.watch, now() + min(PERMISSION, timeout / 8), frozenset(Phase) - {Phase.ASKING})
            return self._judge(ours) if self._ours.get(name) is ours else None
        verdict = self._judge(ours)
        if verdict.good and interval > 0:  # what the cluster hears of is the cluster's to mend
            self._renew(ours, interval, timeout)
        return verdict

    async def _start(self, name: str, mandate: str, timeout: float) -> Verdict | None:
        self._follow(name)
        path = mandates.folder(self._runtime) / Path(mandate).name
        if not path.exists():
            return None
        if name in self._engine.watches and name not in self._ours:
            return Verdict("start-failed", f"koboshi's own configuration has a resource {name} already")
        ours = self._ours.get(name) or self._take(path)
        watch, end = ours.watch, now() + timeout
        self._engine.turn(watch, StartAsked(CLUSTER))
        await self._settle(watch, end - min(CLEARING, timeout * 0.25))
        state = watch.state
        if state.phase is Phase.UP:
            return Verdict("done")
        reason = state.fault.reason if state.fault else state.reason
        self._engine.turn(watch, StopAsked(CLUSTER))  # the cluster decides what comes next
        await self._settle(watch, end - min(1.0, timeout * 0.1))
        if state.phase is Phase.MISCONFIGURED:
            return Verdict("misconfigured", reason)
        return Verdict("start-failed", reason)

    def _judge(self, ours: _Ours) -> Verdict:
        """What is known of it, as a monitor's verdict."""
        state = ours.watch.state
        reason = state.fault.reason if state.fault else state.reason
        if state.phase is Phase.UP:
            return Verdict("running")
        if state.phase in REPAIRING and state.wanted is Wanted.UP:
            down = now() - (ours.down_since or now())
            if down <= ours.mandated.repair_time:
                return Verdict("degraded" if ours.mandated.openly else "repairing", reason)
            return Verdict("exhausted", f"not repaired after {down:.0f} s: {reason}")
        match state.phase:
            case Phase.MISCONFIGURED:
                return Verdict("misconfigured", reason)
            case Phase.BLOCKED:
                return Verdict("failed", reason)
            case Phase.FAILED:
                hopeless = state.fault is not None and state.fault.kind is Kind.HOST
                return Verdict("hopeless" if hopeless else "exhausted", reason)
            case Phase.OBSERVING if not state.dead:
                return Verdict("failed", reason)
        return Verdict("stopped", reason if state.wanted is Wanted.UP else "")

    def _renew(self, ours: _Ours, interval: float, timeout: float) -> None:
        lease, policy = 3 * interval + timeout, ours.watch.config.policy
        if policy.lease < lease or policy.lease == FIRST_LEASE:
            with suppress(PolicyError):
                ours.watch.config = replace(ours.watch.config, policy=replace(policy, lease=lease))
        self._engine.turn(ours.watch, Renewed())

    async def _settle(self, watch: Watch, deadline: float, final: frozenset[Phase] = SETTLED) -> None:
        while watch.state.phase not in final and (left := deadline - now()) > 0:
            if self._engine.watches.get(watch.name) is not watch:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(watch.turned.wait(), left)

    # -- mandates ------------------------------------------------------------------------------------------------------

    def take_up(self) -> None:
        """Go on with what was handed over before, and with what other hands did meanwhile."""
        for name in list(self._ours):
            self._follow(name)
        for name, path in list(mandates.every(self._runtime)):
            if name in self._engine.watches or path in self._refused:
                continue
            try:
                self._take_if_there(name, path)
            except WRONG as error:
                self._refused.add(path)
                self._tell(name, Tell("config-refused", f"what the cluster handed over cannot be watched: {error}"))

    def _take_if_there(self, name: str, path: Path) -> None:
        """What has no saved state was started without us: watch it once it runs, and start nothing."""
        if self._engine.knows(name):
            self._take(path)
            return
        request = mandates.read(path)
        if not request:
            return
        mandated = ocf_requests.read(request)
        from resource_agents.server import load

        server = load(mandated.config.agent)(dict(mandated.config.values), name)
        if find_main(server, None) is not None:
            self._engine.turn(self._take(path).watch, StartAsked(CLUSTER))

    def _take(self, path: Path) -> _Ours:
        stamp = _stamp(path)
        mandated = ocf_requests.read(mandates.read(path))
        name = mandated.config.name
        spent = memory.spent(self._runtime, name)
        self._engine.add(mandated.config, self._last_incident(name), str(path), spent)
        watch = self._engine.watches[name]
        ours = self._ours[name] = _Ours(watch, mandated, path, stamp)
        memory.keep_group(self._runtime, name, watch.group)
        self.attend(watch)
        return ours

    def _follow(self, name: str) -> None:
        """Let go what was taken away, and take new parameters over."""
        ours = self._ours.get(name)
        if ours is None:
            return
        stamp = _stamp(ours.path)
        if not stamp:
            self._engine.let_go(ours.watch)
        elif stamp != ours.stamp:
            ours.stamp = stamp
            with suppress(*WRONG):
                ours.mandated = ocf_requests.read(mandates.read(ours.path), ours.watch.config.policy.lease)
                self._engine.change(ours.mandated.config)

    # -- files ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the status files fresh, notice renewals and mandates; until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            self.take_up()
            for ours in list(self._ours.values()):
                self.attend(ours.watch)
                renewal = self._files.renewal(ours.watch.name)
                if renewal is not None:
                    self._renew(ours, *renewal)

    def attend(self, watch: Watch) -> None:
        """The resource is as it is now; called after each turn as well."""
        ours = self._ours.get(watch.name)
        if ours is None:
            return
        if watch.state.phase in (Phase.UP, Phase.OBSERVING):  # who only looks on uses up no time for repairs
            ours.down_since = None
        elif ours.down_since is None:
            ours.down_since = now()
        self._files.show(watch, self._drain_wait(watch.name))

    def leave(self, watch: Watch) -> None:
        """It is ours no longer, or its parameters change."""
        self._files.hide(watch.name)
        if self._engine.watches.get(watch.name) is not watch:
            self._ours.pop(watch.name, None)


def _forsaken(watch: Watch) -> bool:
    """Whether nothing but its lapsed lease keeps us from repairing it: no stop, no pause."""
    refusal = lapsed(watch.state, now(), watch.config.policy)
    return (
        watch.state.phase is Phase.OBSERVING
        and bool(refusal)
        and refused(watch.state, now(), watch.config.policy) == refusal
    )


def _stamp(path: Path) -> int:
    """When the mandate was written; 0 when it is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
