"""An OCF action from beginning to end: ask the daemon when it is there, else do the work here.

Run by the installed executables as ``python -I -S entry.py AGENT ACTION``. The daemon is a convenience, never a
condition: when it does not answer within a short deadline the action is carried out in process, with the same verdicts.
Nothing waits for a daemon that sleeps: it is roused, and comes up beside the action; what a start has started meanwhile
it then adopts. A stop takes the mandate away, which ends the daemon's part at any rate, and does the work itself; only
a healthy server behind a load balancer is drained before. All waits are counted from the action's beginning.
Exactly one ``ocf-exit-reason:`` line is printed for a failure, and it is the last one.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # run as a file, isolated: the packages are beside us
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ocf.conditions import CONDITIONS, Verdict
from ocf.declarations import ParameterError, truth
from ocf.environment import Call, read
from resource_agents import mandates
from resource_agents.memory import recall

if TYPE_CHECKING:
    from resource_agents.actions import Actions
    from resource_agents.daemon_client import DaemonAbsent

#: Seconds that the daemon has for an answer which it already knows.
MONITOR_PATIENCE = 2.0

#: Seconds that a monitor of what is down waits for a daemon which comes back, as long as the action has twice as many.
RETURN = 10.0

#: The part of a deeper monitor's time that is kept for its own look at what the daemon brought back.
LAST_LOOK = 0.25

#: Seconds between two questions whether the daemon is kept down.
ASK_AGAIN = 1.0

#: The parameter that turns the daemon off.
LOCAL_RECOVERY = "local_recovery"

ACTIONS = ("start", "stop", "monitor", "status", "validate-all", "reload", "reload-agent")


def main(argv: list[str], env: dict[str, str]) -> int:
    """Carry out ``argv`` = [agent, action, ...] and give OCF's exit code."""
    agent, call = argv[0], read(argv[1:], env)
    verdict = perform(agent, call, env)
    return _say(call, verdict, env.get("OCF_EXIT_REASON_PREFIX") or "ocf-exit-reason:")


def perform(agent: str, call: Call, env: dict[str, str]) -> Verdict:
    """Carry out one action; whatever goes wrong is a verdict, too."""
    try:
        return _Act(agent, call, env).perform()
    except ParameterError as error:
        return Verdict("wrong-parameter", str(error))
    except PermissionError as error:
        return Verdict("forbidden", f"{call.action}: {error.filename}: {error.strerror}")
    except Exception as error:  # whatever it is, the cluster gets a reason
        return Verdict("failed", f"{call.action} broke off: {type(error).__name__}: {error}")


class _Act:
    """One call of one agent."""

    def __init__(self, agent: str, call: Call, env: dict[str, str]) -> None:
        self._began = time.monotonic()
        self._agent, self._call, self._env = agent, call, env
        self._runtime = Path(env.get("KOBOSHI_RUNTIME_DIR") or "/run/koboshi")
        self._recovers = truth(call.values.get(LOCAL_RECOVERY) or "true")
        self._coming = False

    def perform(self) -> Verdict:
        match self._call.action:
            case "start":
                return self._start()
            case "stop":
                return self._stop()
            case "monitor" | "status":
                return self._monitor()
            case "validate-all":
                return self._here().validate()
            case "reload":
                return self._reload()
            case "reload-agent":
                return self._reload_agent()
        return Verdict("unimplemented", f"{self._agent} has no action {self._call.action!r}")

    def _here(self, tolerant: bool = False) -> Actions:
        from resource_agents.actions import Actions

        return Actions(self._agent, self._call, self._runtime, tolerant, time.monotonic() - self._began)

    # -- the actions ---------------------------------------------------------------------------------------------------

    def _start(self) -> Verdict:
        from resource_agents import numbers

        here = self._here()  # what is wrong in itself is refused before the daemon hears of it
        if not self._recovers:
            mandates.withdraw(self._runtime, self._call.instance)
            return here.start()
        numbers.refuse(self._call.values, self._call.timeout)
        hopeless = here.cannot_start()
        if hopeless is not None:
            return hopeless
        absent = self._absent()
        if absent is None:
            mandate = self._give()
            verdict = self._exchange(mandate.name, here.left(), watched=True) if mandate else None
            if verdict is not None:
                return verdict
        mandates.withdraw(self._runtime, self._call.instance)  # or it would be started twice
        if absent is not None and not absent.silent:
            self._rouse()
        verdict = here.start()
        if verdict.good:
            self._give()
        return verdict

    def _give(self) -> Path | None:
        """Hand it to the daemon; None where that cannot be written: a server is not worse for a full /run."""
        with suppress(OSError):
            return mandates.give(self._runtime, self._call.instance, self._mandate())
        return None

    def _stop(self) -> Verdict:
        self._drain()
        mandates.withdraw(self._runtime, self._call.instance)
        try:
            return self._here(tolerant=True).stop()
        except ParameterError as error:
            if recall(self._runtime, self._call.instance) is None:
                return Verdict("done")  # with such values nothing can have been started
            return Verdict("not-stopped", str(error))

    def _monitor(self) -> Verdict:
        """The daemon's view where it has one; what it does not look at is looked at here.

        What is down, and whose daemon is down as well or gives no answer, is waited for: killed in the middle of a
        repair it finishes it, on a machine that has too much to do it has its turn at last; either is sooner than any
        move.
        """
        entrusted = mandates.current(self._runtime, self._call.instance) is not None
        if entrusted:
            verdict = self._exchange("", min(MONITOR_PATIENCE, self._call.timeout / 4))
            if verdict is not None and (verdict.condition != "running" or self._call.level == 0):
                return verdict
        try:
            here = self._here()
        except ParameterError:
            if self._call.probe:
                return Verdict("stopped")
            raise
        verdict = here.monitor()
        if entrusted and self._coming and verdict.good:
            self._leave_lease()
        if entrusted and self._coming and verdict.condition in ("stopped", "failed"):
            awaited = self._awaited()
            if awaited is not None and awaited.condition == "running" and self._call.level > 0:
                return here.monitor()  # the daemon does not look so deep
            return awaited or verdict
        return verdict

    def _reload(self) -> Verdict:
        verdict = self._here().reload()
        mandate = mandates.current(self._runtime, self._call.instance)
        if verdict.good and mandate is not None:
            mandates.amend(mandate, mandates.read(mandate))  # the daemon, too, reads the configuration anew
        return verdict

    def _reload_agent(self) -> Verdict:
        here = self._here()
        mandate = mandates.current(self._runtime, self._call.instance)
        if mandate is not None:
            mandates.amend(mandate, self._mandate())
        return here.running()

    # -- the daemon ----------------------------------------------------------------------------------------------------

    def _mandate(self) -> dict[str, Any]:
        return {
            "agent": self._agent,
            "instance": self._call.instance,
            "resource": self._call.resource or self._call.instance,
            "values": dict(self._call.values),
            "timeout": self._call.timeout,
        }

    def _absent(self) -> DaemonAbsent | None:
        """Why the daemon is not to be asked; None when it listens."""
        from resource_agents.daemon_client import DaemonAbsent, exchange

        try:
            exchange(self._runtime, {"do": "ping"}, MONITOR_PATIENCE)
        except DaemonAbsent as absent:
            return absent
        return None

    def _drain(self) -> None:
        """Let the daemon tell the load balancer, and wait as long as it was told to; a quarter of the time at most."""
        seconds = min(mandates.drain_wait(self._runtime, self._call.instance), self._call.timeout / 4)
        if not seconds > 0:
            return
        from resource_agents.daemon_client import DaemonAbsent, exchange

        end = time.monotonic() + seconds
        with suppress(DaemonAbsent):
            if exchange(self._runtime, {"do": "drain", "resource": self._call.instance}, seconds).get("draining"):
                time.sleep(max(0.0, end - time.monotonic()))

    def _rouse(self) -> None:
        """Let the daemon come up beside us."""
        from resource_agents.daemon_client import rouse

        with suppress(OSError):  # without it everything is done here
            rouse(self._runtime, self._env.get("KOBOSHI_COMMAND", ""))

    def _remind(self) -> bool:
        """Let a daemon that died come up again beside us; whether one may be coming."""
        from resource_agents.daemon_client import remind

        with suppress(OSError):
            return remind(self._runtime, self._env.get("KOBOSHI_COMMAND", ""))
        return False

    def _awaited(self) -> Verdict | None:
        """What the daemon says when it is back; None when it does not come."""
        from resource_agents.actions import RESERVE
        from resource_agents.daemon_client import kept_down

        timeout = self._call.timeout
        kept = RESERVE + (timeout * LAST_LOOK if self._call.level > 0 else 0.0)
        ask = time.monotonic()
        end = min(ask + min(RETURN, timeout / 2), self._began + timeout - kept)
        verdict = None
        while verdict is None and self._coming and (left := end - time.monotonic()) > 0:
            if time.monotonic() >= ask:
                if kept_down(left):
                    break
                ask = time.monotonic() + ASK_AGAIN
            time.sleep(max(0.0, min(end - time.monotonic(), 0.05)))
            verdict = self._exchange("", min(MONITOR_PATIENCE, max(0.05, end - time.monotonic())))
        return verdict

    def _leave_lease(self) -> None:
        """A daemon that wakes shall find that the cluster asked meanwhile."""
        call = self._call
        if call.interval > 0 and mandates.current(self._runtime, call.instance) is not None:
            with suppress(OSError):
                mandates.leave_lease(self._runtime, call.instance, call.interval, call.timeout)

    def _exchange(self, mandate: str, patience: float, watched: bool = False) -> Verdict | None:
        """What the daemon answers; None when it does not, so that the work is done here."""
        from resource_agents.daemon_client import DaemonAbsent, exchange

        call = self._call
        request = {
            "do": "ocf",
            "action": call.action,
            "instance": call.instance,
            "timeout": max(1.0, patience) if watched else call.timeout,
            "interval": call.interval,
            "mandate": mandate,
        }
        try:
            reply = exchange(self._runtime, request, patience, watched=watched)
        except DaemonAbsent as absent:
            self._coming = self._recovers and (absent.silent or self._remind())
            return None
        condition = str(reply.get("condition", ""))
        return Verdict(condition, str(reply.get("reason", ""))) if condition in CONDITIONS else None


def _say(call: Call, verdict: Verdict, prefix: str) -> int:
    """Print the reason of a failure; a probe of what does not run says nothing."""
    silent = verdict.good or not verdict.reason or (call.probe and verdict.condition == "stopped")
    if not silent:
        sys.stderr.write(f"{prefix}{' '.join(verdict.reason.split())}\n")
    return verdict.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], dict(os.environ)))
