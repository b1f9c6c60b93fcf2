"""An OCF action from beginning to end: ask the daemon when it is there, else do the work here.

Run by the installed executables as ``python -I -S entry.py AGENT ACTION``. The daemon is a convenience, never a
condition: when it does not answer within a short deadline the action is carried out in process, with the same verdicts.
A stop asks nobody: it takes the mandate away, which ends the daemon's part at any rate, and does the work itself.
Exactly one ``ocf-exit-reason:`` line is printed for a failure, and it is the last one.
"""

from __future__ import annotations

import os
import sys
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

#: Seconds that the daemon has for an answer which it already knows.
MONITOR_PATIENCE = 2.0

#: Seconds that a daemon which has to be started may take until it listens, as long as the action has them.
WAKING = 10.0

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
        self._agent, self._call, self._env = agent, call, env
        self._runtime = Path(env.get("KOBOSHI_RUNTIME_DIR") or "/run/koboshi")
        self._recovers = truth(call.values.get(LOCAL_RECOVERY) or "true")

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

        return Actions(self._agent, self._call, self._runtime, tolerant)

    # -- the actions ---------------------------------------------------------------------------------------------------

    def _start(self) -> Verdict:
        here = self._here()  # what is wrong in itself is refused before the daemon hears of it
        if not self._recovers:
            mandates.withdraw(self._runtime, self._call.instance)
            return here.start()
        hopeless = here.cannot_start()
        if hopeless is not None:
            return hopeless
        mandate = mandates.give(self._runtime, self._call.instance, self._mandate())
        verdict = self._ask(self._runtime, here, mandate.name)
        if verdict is not None:
            return verdict
        mandates.withdraw(self._runtime, self._call.instance)  # or it would be started twice
        verdict = here.start()
        if verdict.good:
            mandates.give(self._runtime, self._call.instance, self._mandate())
        return verdict

    def _stop(self) -> Verdict:
        mandates.withdraw(self._runtime, self._call.instance)
        try:
            return self._here(tolerant=True).stop()
        except ParameterError as error:
            if recall(self._runtime, self._call.instance) is None:
                return Verdict("done")  # with such values nothing can have been started
            return Verdict("not-stopped", str(error))

    def _monitor(self) -> Verdict:
        """The daemon's view where it has one; what it does not look at is looked at here."""
        if mandates.current(self._runtime, self._call.instance) is not None:
            verdict = self._exchange("", min(MONITOR_PATIENCE, self._call.timeout / 4))
            if verdict is not None and (verdict.condition != "running" or self._call.level == 0):
                return verdict
        try:
            here = self._here()
        except ParameterError:
            if self._call.probe:
                return Verdict("stopped")
            raise
        return here.monitor()

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
            "values": dict(self._call.values),
            "timeout": self._call.timeout,
        }

    def _ask(self, runtime: Path, here: Actions, mandate: str) -> Verdict | None:
        """The daemon's answer to a start, waking it where it sleeps; None when there is none."""
        from resource_agents.daemon_client import DaemonAbsent, exchange, wake

        try:
            exchange(runtime, {"do": "ping"}, MONITOR_PATIENCE)
        except DaemonAbsent as absent:
            command = self._env.get("KOBOSHI_COMMAND", "")
            if absent.silent or not wake(runtime, command, min(WAKING, self._call.timeout / 2)):
                return None
        return self._exchange(mandate, here.left(), watched=True)

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
        except DaemonAbsent:
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
