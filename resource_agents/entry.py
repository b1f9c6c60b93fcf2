"""An OCF action from beginning to end: ask the daemon when it is there, else do the work here.

Run by the installed executables as ``python -I -S entry.py AGENT ACTION``. The daemon is a convenience, never a
condition: when it does not answer within a short deadline the action is carried out in process, with the same verdicts.
Exactly one ``ocf-exit-reason:`` line is printed for a failure, and it is the last one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file, isolated: the packages are beside us
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ocf.conditions import CONDITIONS, Verdict
from ocf.declarations import ParameterError, truth
from ocf.environment import PREFIX, Call, read
from resource_agents.actions import Actions, runtime_directory
from resource_agents.daemon_client import DaemonAbsent, exchange, wake
from resource_agents.server import Server, load

#: Seconds that the daemon has for an answer which it already knows.
MONITOR_PATIENCE = 2.0

#: Parameters of the local recovery layer that the actions themselves read.
LOCAL_RECOVERY = "local_recovery"

SILENT = frozenset({"running", "repairing", "degraded"})


def main(argv: list[str], env: dict[str, str]) -> int:
    """Carry out ``argv`` = [agent, action, ...] and give OCF's exit code."""
    agent, call = argv[0], read(argv[1:], env)
    try:
        verdict = _perform(load(agent), call, env)
    except ParameterError as error:
        wrong = Verdict("wrong-parameter", str(error))
        verdict = Verdict("stopped") if call.action == "stop" or call.probe and call.action == "monitor" else wrong
    return _say(call, verdict, env.get("OCF_EXIT_REASON_PREFIX") or "ocf-exit-reason:")


def _perform(kind: type[Server], call: Call, env: dict[str, str]) -> Verdict:
    known = {parameter.name for parameter in kind.parameters}
    values = {name: value for name, value in call.values.items() if name in known}
    runtime = runtime_directory()
    if call.action in ("start", "stop", "monitor", "status", "reload-agent") and _wants_daemon(call):
        verdict = _through_daemon(kind.name, call, env, runtime)
        if verdict is not None:
            return verdict
    actions = Actions(lambda: kind(values, call.instance), call, runtime)
    match call.action:
        case "start":
            return actions.start()
        case "stop":
            verdict = actions.stop()
            return verdict if verdict.condition == "not-stopped" else Verdict("running")
        case "monitor" | "status":
            return actions.monitor()
        case "validate-all":
            return actions.validate()
        case "reload":
            return actions.reload()
        case "reload-agent":
            return Verdict("running")
    return Verdict("unimplemented", f"{kind.name} has no action {call.action!r}")


def _wants_daemon(call: Call) -> bool:
    return truth(call.values.get(LOCAL_RECOVERY) or "true")


def _through_daemon(agent: str, call: Call, env: dict[str, str], runtime: Path) -> Verdict | None:
    """What the daemon answers; None when it does not, so that the work is done here."""
    interval = env.get(PREFIX + "CRM_meta_interval", "0")
    request = {
        "do": "ocf",
        "action": call.action,
        "agent": agent,
        "instance": call.instance,
        "values": dict(call.values),
        "timeout": call.timeout,
        "interval": int(interval) / 1000 if interval.isdigit() else 0.0,
        "probe": call.probe,
        "level": call.level,
    }
    patience = min(MONITOR_PATIENCE, call.timeout / 4) if call.action in ("monitor", "status") else call.timeout - 1.0
    try:
        reply = exchange(runtime, request, patience)
    except DaemonAbsent:
        if call.action != "start" or not wake(runtime, env.get("KOBOSHI_COMMAND", ""), min(10.0, call.timeout / 2)):
            return None
        try:
            reply = exchange(runtime, request, patience)
        except DaemonAbsent:
            return None
    condition = str(reply.get("condition", ""))
    return Verdict(condition, str(reply.get("reason", ""))) if condition in CONDITIONS else None


def _say(call: Call, verdict: Verdict, prefix: str) -> int:
    """Print the reason where there is one to give; a probe of what does not run says nothing."""
    quiet = verdict.condition in SILENT or (verdict.condition == "stopped" and not verdict.reason) or not verdict.reason
    if not quiet and not (call.probe and verdict.condition == "stopped"):
        line = " ".join(verdict.reason.split())
        sys.stderr.write(f"{prefix}{line}\n")
    return verdict.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], dict(os.environ)))
