"""What the daemon answers on its control socket."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cluster_glue.control import Peer
from cluster_glue.messages import incident_id
from cluster_glue.recovery.engine import now
from cluster_glue.recovery.model import (
    Cleared,
    Event,
    Paused,
    Phase,
    ReloadAsked,
    RestartAsked,
    Resumed,
    StartAsked,
    StopAsked,
)  # fmt: skip
from cluster_glue.recovery.watch import Watch

if TYPE_CHECKING:
    from cluster_glue.daemon import Daemon

Reply = dict[str, Any]

ASKED: Mapping[str, type[StartAsked | StopAsked | RestartAsked | ReloadAsked | Cleared | Resumed]] = {
    "start": StartAsked,
    "stop": StopAsked,
    "restart": RestartAsked,
    "reload": ReloadAsked,
    "clear": Cleared,
    "resume": Resumed,
}


class Answers:
    """One method per request; a reply in any case."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def answer(self, request: Reply, peer: Peer) -> Reply:
        """The reply to one request of a peer that was let in."""
        match request.get("do"):
            case "status":
                await self._daemon.catch_up()
                return self._status()
            case "ping":
                await self._daemon.catch_up()
                return {"ok": True}
            case "ocf":
                return await self._daemon.ocf.answer(request)
            case "reload-config":
                errors = self._daemon.reload()
                return {"ok": not errors, "errors": errors, "error": "; ".join(errors), "remedy": "mend the file"}
            case "pause":
                return self._pause(request, peer)
            case "drain":
                return {"ok": True, "draining": self._daemon.balancer.drain(str(request.get("resource")))}
            case "clear" if self._daemon.connectors.clear(str(request.get("resource"))):
                reply = self._post(request, Cleared(peer.user))
                return reply if reply["ok"] else {"ok": True, "taken_back": True}
            case str(word) if word in ASKED:
                return self._post(request, ASKED[word](f"{peer.user}"))
            case word:
                return refuse(f"there is no request {word!r}", "use the command of the same version as the daemon")

    def _post(self, request: Reply, event: Event) -> Reply:
        watch = self._daemon.engine.watches.get(str(request.get("resource")))
        if watch is None:
            known = ", ".join(sorted(self._daemon.engine.watches)) or "none"
            reply = refuse(f"there is no resource {request.get('resource')!r}", f"the resources are: {known}")
            return {**reply, "unknown": True}
        self._daemon.engine.turn(watch, event)
        return {"ok": True, "resource": describe(watch)}

    def _pause(self, request: Reply, peer: Peer) -> Reply:
        seconds = request.get("for")
        if not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds <= 0:
            return refuse(f"a pause of {seconds!r} s makes no sense", "give a time above 0")
        return self._post(request, Paused(now() + seconds, str(request.get("reason", "")), peer.user))

    def _status(self) -> Reply:
        from cluster_glue.daemon import release

        daemon = self._daemon
        return {
            "ok": True,
            "daemon": {"pid": os.getpid(), "version": release(), "started": daemon.started, "config": str(daemon.path)},
            "resources": [describe(watch) for watch in daemon.engine.watches.values()],
            "handed": daemon.connectors.all_handed(),
        }


def describe(watch: Watch) -> Reply:
    """One resource as ``koboshi status`` shows it. Times are seconds."""
    state, policy, clock = watch.state, watch.config.policy, now()
    waiting = state.phase is Phase.WAITING and state.deadline is not None
    return {
        "name": watch.name,
        "agent": watch.config.agent,
        "phase": state.phase.value,
        "wanted": state.wanted.value,
        "main_pid": watch.remembered.main.pid if watch.remembered and not state.dead else None,
        "since": clock - state.since,
        "reason": state.reason,
        "cause": state.fault.cause if state.fault else None,
        "kind": state.fault.kind.value if state.fault else None,
        "restarts": sum(clock - time < policy.restart_window for time in state.restarts),
        "restart_limit": policy.restart_limit,
        "restart_window": policy.restart_window,
        "paused_for": None if state.paused_until is None else max(0.0, state.paused_until - clock),
        "incident": incident_id(watch.name, state.incident) if state.incident else None,
        "slow": state.slow,
        "sockets": watch.sockets,
        "next_try_in": max(0.0, state.deadline - clock) if waiting and state.deadline is not None else None,
    }


def refuse(error: str, remedy: str) -> Reply:
    """A reply that says no, why, and what to do."""
    return {"ok": False, "error": error, "remedy": remedy}
