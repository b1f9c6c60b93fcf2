"""The daemon's side of the OCF executables: hand over on start, withdraw on stop, answer monitors, keep the lease.

A cluster's resource is known to the daemon from its ``start`` to its ``stop``. What it needs for that is kept in the
runtime directory, so that a daemon that was killed takes it up again. Each recurring monitor renews the lease; when
the cluster stops asking (maintenance, shutdown), koboshi only observes.

For each resource that is certainly healthy a status file is kept fresh, which the executables read without starting an
interpreter: until when it holds (seconds since boot), and the pid and start time of the server and of this daemon. All
of it is checked by the reader, so that a dead server, a dead or stopped daemon or an old file never reads as healthy.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import suppress
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any

from cluster_glue.config_model import NAME, ResourceConfig
from cluster_glue.recovery.engine import Engine, Watch, now
from cluster_glue.recovery.model import Phase, Renewed, StartAsked, StopAsked
from cluster_glue.recovery.policy import Policy, PolicyError
from cluster_glue.values import ValueWrong, duration
from ocf.conditions import Verdict
from ocf.declarations import ParameterError, truth
from ocf.faults import Kind
from resource_agents.processes import look
from resource_agents.server import load

#: Seconds that a status file holds, and between two writings of it.
HOLDS, EVERY = 2, 0.5

#: Seconds of the first lease, until a recurring monitor has told its interval.
FIRST_LEASE = 120.0

CLUSTER = "the cluster"

#: Phases in which a repair is under way, and the cluster has nothing to do but wait.
REPAIRING = frozenset(
    {Phase.STARTING, Phase.CHECKING, Phase.ASKING, Phase.CLEARING, Phase.WAITING, Phase.RELOADING, Phase.STOPPING}
)


class OcfService:
    """All resources that a cluster has handed over. ``last_incident`` gives a resource's latest incident number."""

    def __init__(self, engine: Engine, runtime: Path, last_incident: Any) -> None:
        self._engine = engine
        self._last_incident = last_incident
        self._directory = runtime / "ocf"
        self._directory.mkdir(mode=0o755, exist_ok=True)
        self._ours: dict[str, Watch] = {}
        self._leases: dict[str, int] = {}
        self._open: dict[str, bool] = {}
        self._me = look(os.getpid())

    def take_up(self) -> None:
        """Go on with what an earlier daemon was handed."""
        for path in sorted(self._directory.glob("*.json")):
            with suppress(
                OSError, ValueError, KeyError, TypeError, LookupError, ParameterError, PolicyError, ValueWrong
            ):
                request = json.loads(path.read_text(encoding="utf-8"))
                self._adopt(request)

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one action; without a ``condition`` the executable does the work itself."""
        try:
            verdict = await self._act(request)
        except (ParameterError, PolicyError, ValueWrong) as error:
            verdict = Verdict("wrong-parameter", str(error))
        if verdict is None:
            return {"ok": True}
        return {"ok": True, "condition": verdict.condition, "reason": verdict.reason}

    async def _act(self, request: dict[str, Any]) -> Verdict | None:
        name, timeout = str(request["instance"]), float(request["timeout"])
        watch = self._ours.get(name)
        match request["action"]:
            case "start":
                return await self._start(request, name, timeout)
            case "stop" if watch is not None:
                return await self._stop(watch, timeout)
            case "monitor" | "status" if watch is not None:
                return self._monitor(watch, float(request["interval"]), timeout)
            case "reload-agent" if watch is not None:
                self._keep(request)
                self._engine.change(replace(config_of(request), policy=policy_of(request, watch.config.policy.lease)))
                return Verdict("running")
        return None

    async def _start(self, request: dict[str, Any], name: str, timeout: float) -> Verdict:
        config = config_of(request)
        if name in self._engine.watches and name not in self._ours:
            return Verdict("start-failed", f"koboshi's own configuration has a resource {name} already")
        self._keep(request)
        if name in self._ours:
            self._engine.change(config)
        watch = self._ours.get(name) or self._adopt(request)
        self._engine.turn(watch, StartAsked(CLUSTER))
        await self._settle(watch, now() + timeout - min(2.0, timeout * 0.1))
        state = watch.state
        if state.phase is Phase.UP:
            return Verdict("running")
        reason = state.fault.reason if state.fault else state.reason
        self._engine.turn(watch, StopAsked(CLUSTER))  # the cluster decides what comes next
        if state.phase is Phase.MISCONFIGURED:
            return Verdict("misconfigured", reason)
        return Verdict("start-failed", reason)

    async def _stop(self, watch: Watch, timeout: float) -> Verdict:
        reserve = min(3.0, timeout * 0.15)
        with suppress(PolicyError):
            policy = replace(watch.config.policy, stop_timeout=max(1.0, timeout - reserve))
            watch.config = replace(watch.config, policy=policy)
        self._engine.turn(watch, StopAsked(CLUSTER))
        await self._settle(watch, now() + timeout - reserve / 2)
        if watch.state.phase is not Phase.IDLE:
            fault = watch.state.fault
            return Verdict("not-stopped", fault.reason if fault else watch.state.reason)
        self._release(watch)
        return Verdict("running")

    def _monitor(self, watch: Watch, interval: float, timeout: float) -> Verdict:
        if interval > 0:
            self._renew(watch, interval, timeout)
        state = watch.state
        reason = state.fault.reason if state.fault else state.reason
        if state.phase is Phase.UP:
            return Verdict("running")
        if state.phase in REPAIRING and state.wanted.value == "up":
            return Verdict("degraded" if self._open.get(watch.name) else "repairing", reason)
        match state.phase:
            case Phase.MISCONFIGURED:
                return Verdict("misconfigured", reason)
            case Phase.FAILED:
                hopeless = state.fault is not None and state.fault.kind is Kind.HOST
                return Verdict("hopeless" if hopeless else "exhausted", reason)
            case Phase.OBSERVING if not state.dead:
                return Verdict("failed", reason)
        return Verdict("stopped")

    def _renew(self, watch: Watch, interval: float, timeout: float) -> None:
        lease = 3 * interval + timeout
        if watch.config.policy.lease < lease or watch.config.policy.lease == FIRST_LEASE:
            with suppress(PolicyError):
                watch.config = replace(watch.config, policy=replace(watch.config.policy, lease=lease))
        self._engine.turn(watch, Renewed())

    async def _settle(self, watch: Watch, deadline: float) -> None:
        final = (Phase.UP, Phase.IDLE, Phase.FAILED, Phase.MISCONFIGURED, Phase.OBSERVING)
        while watch.state.phase not in final and (left := deadline - now()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(watch.turned.wait(), left)

    # -- what is kept --------------------------------------------------------------------------------------------------

    def _adopt(self, request: dict[str, Any]) -> Watch:
        config = config_of(request)
        self._open[config.name] = truth(str(request["values"].get("report_degraded", "")))
        self._engine.add(config, self._last_incident(config.name))
        watch = self._ours[config.name] = self._engine.watches[config.name]
        return watch

    def _keep(self, request: dict[str, Any]) -> None:
        path = self._directory / f"{request['instance']}.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(request), encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(path)

    def _release(self, watch: Watch) -> None:
        self._ours.pop(watch.name, None)
        self._engine.remove(watch.name, "handed back to the cluster")
        for suffix in ("json", "status", "lease"):
            (self._directory / f"{watch.name}.{suffix}").unlink(missing_ok=True)
        if watch.group is not None:
            watch.group.remove()

    # -- the status files ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the status files fresh and notice renewals that were made through files; until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            for watch in list(self._ours.values()):
                self.attend(watch)
                self._notice_lease(watch)

    def attend(self, watch: Watch) -> None:
        """Write or withdraw the status file of ``watch``; called after each turn as well."""
        if watch.name not in self._ours:
            return
        path = self._directory / f"{watch.name}.status"
        state, main = watch.state, watch.remembered
        healthy = state.phase is Phase.UP and not state.failures and state.fault is None and main is not None
        if not healthy or main is None or self._me is None:
            path.unlink(missing_ok=True)
            return
        until = int(time.clock_gettime(time.CLOCK_BOOTTIME)) + HOLDS
        line = f"{until} {main.main.pid} {main.main.start} {self._me.pid} {self._me.start}\n"
        fresh = path.with_suffix(".fresh")
        with suppress(OSError):
            fresh.write_text(line, encoding="ascii")
            fresh.chmod(0o644)
            fresh.replace(path)

    def leave(self, watch: Watch) -> None:
        """No status any more."""
        (self._directory / f"{watch.name}.status").unlink(missing_ok=True)

    def _notice_lease(self, watch: Watch) -> None:
        path = self._directory / f"{watch.name}.lease"
        with suppress(OSError, ValueError):
            stamp = path.stat().st_mtime_ns
            if stamp != self._leases.get(watch.name):
                self._leases[watch.name] = stamp
                interval, timeout = (int(word) / 1000 for word in path.read_text(encoding="ascii").split())
                self._renew(watch, interval, timeout)


def config_of(request: dict[str, Any]) -> ResourceConfig:
    """The resource that a cluster's request describes. Raises what wrong values raise."""
    name, agent = str(request["instance"]), str(request["agent"])
    if not NAME.fullmatch(name):
        raise ParameterError(f"{name!r} cannot be the name of a resource")
    kind = load(agent)
    given = {str(key): str(value) for key, value in request["values"].items()}
    known = {parameter.name for parameter in kind.parameters}
    values = {key: value for key, value in given.items() if key in known}
    kind(values, name)  # raises ParameterError
    return ResourceConfig(name, agent, values, policy_of(request, FIRST_LEASE), autostart=False)


def policy_of(request: dict[str, Any], lease: float) -> Policy:
    """The recovery policy among a request's values. Raises :class:`PolicyError`."""
    given = request["values"]
    numbers: dict[str, Any] = {}
    for each in fields(Policy):
        if given.get(each.name, "") != "":
            numbers[each.name] = _policy_value(each, str(given[each.name]))
    if "start_timeout" not in numbers and request["action"] == "start":
        numbers["start_timeout"] = max(1.0, float(request["timeout"]) * 0.85)
    return Policy(**{"lease": lease, "on_exhausted": "failover", **numbers})


def _policy_value(field: Field[Any], text: str) -> Any:
    """One number of the policy from its OCF text. Raises :class:`ValueWrong`."""
    if field.metadata.get("unit") == "s":
        return duration(text)
    if field.type == "str":
        return text
    try:
        return int(text) if field.type == "int" else float(text)
    except ValueError:
        raise ValueWrong(f"{field.name} = {text!r} is no number") from None
