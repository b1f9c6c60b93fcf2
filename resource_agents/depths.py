"""How deep a monitor looks: the check levels of OCF.

Level 0 asks the server's own health question. Level 10 and above ask in addition what the server has for that level, or
for the next lower one; level 30 is the administrator's own command, where a server has one. All waits together stay
inside the time of the action, and a failed answer is asked for a second time before it is believed.
"""

from __future__ import annotations

from collections.abc import Callable

from ocf.conditions import Verdict
from ocf.programs import run
from resource_agents.booting import health
from resource_agents.http import WORKS, Answer, ask_all
from resource_agents.layouts import ConfigurationUnreadable
from resource_agents.patience import Patience
from resource_agents.server import Server

#: Seconds for a connection, and for a whole answer, where the action has them.
CONNECT, TOTAL = 5.0, 10.0


def look(server: Server, level: int, patience: Patience) -> Verdict:
    """What a monitor of this level says of a server whose main process lives."""
    wrong = _twice(lambda connect, total: health(server, connect, total), patience, 3)
    if wrong:
        return Verdict("failed", f"it runs, but does not serve: {wrong}")
    if level < 10:
        return Verdict("running")
    try:
        checks, command = server.checks_at(level), server.command_at(level)
    except ConfigurationUnreadable as unreadable:
        return Verdict("misconfigured", f"check level {level}: {unreadable.fault.reason}")
    wrong = _twice(lambda connect, total: ask_all(checks, connect_timeout=connect, timeout=total), patience, 2)
    if wrong:
        return Verdict("failed", f"check level {level}: {wrong}")
    if command is not None:
        ended = run(command.argv, patience.left(), command.env, user=command.user, cwd=command.cwd)
        if not ended.ok:
            last = (ended.output.strip().splitlines() or [""])[-1]
            why = ended.problem or f"exit status {ended.status}{': ' + last if last else ''}"
            return Verdict("outside-says-no", f"check level {level}: {' '.join(command.argv)}: {why}")
    return Verdict("running")


def _twice(ask: Callable[[float, float], Answer | None], patience: Patience, shares: int) -> str:
    """What is wrong with the answer, in words; empty when it is good or there is nothing to ask."""
    answer = None
    for _ in range(2):
        share = patience.left() / shares
        answer = ask(min(share, CONNECT), min(share, TOTAL))
        if answer is None or answer.verdict in WORKS:
            return ""
    return answer.detail if answer is not None else ""
