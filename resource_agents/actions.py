"""OCF actions carried out in process, without the daemon: complete, and with the same verdicts.

``monitor`` looks first whether anything runs and asks only then; a probe on a node without the software or its files is
"stopped", silently. ``stop`` needs neither a readable configuration nor the program. A start ends early when the server
ended early. All of them plan inside the time they were given.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ocf.conditions import Verdict
from ocf.environment import Call
from ocf.faults import Fault, Kind
from resource_agents.cgroups import place, tag_of
from resource_agents.checking import check, reload
from resource_agents.families import find_main, members
from resource_agents.http import Verdict as Answered
from resource_agents.memory import keep, recall
from resource_agents.patience import Patience
from resource_agents.server import ConfigurationUnreadable, Server
from resource_agents.starting import health, start
from resource_agents.stopping import stop

#: Seconds kept back of every action's time, for the interpreter's own start and end.
RESERVE = 1.0


def runtime_directory() -> Path:
    """Where the daemon and the actions meet."""
    return Path(os.environ.get("KOBOSHI_RUNTIME_DIR") or "/run/koboshi")


class Actions:
    """The actions on one resource. ``make`` gives the server with its configuration as it is now."""

    def __init__(self, make: Callable[[], Server], call: Call, runtime: Path) -> None:
        self._make, self._call, self._runtime = make, call, runtime
        self._server = make()
        self._remembered = recall(runtime, call.instance)
        self._group = place(tag_of(runtime), call.instance)
        self._patience = Patience(max(1.0, call.timeout - min(RESERVE, call.timeout * 0.1)))

    def start(self) -> Verdict:
        """Start it and wait until it serves; adopt it when it runs already."""
        missing = self._server.missing()
        if missing and find_main(self._server, self._remembered) is None:
            return Verdict("missing", missing)
        unreadable = self._unreadable()
        if unreadable is not None and find_main(self._server, self._remembered) is None:
            return _failed(unreadable, "start-failed")
        self._runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = self._runtime / f"{self._call.instance}.out"
        started = start(self._make, self._server, self._remembered, self._group, output, self._patience)
        keep(self._runtime, self._call.instance, started.remembered)
        if started.fault is None:
            return Verdict("running")
        if not started.adopted:  # what did not come up must not linger
            stop(self._server, started.remembered, self._group, Patience(10.0), gentle=False)
        return _failed(started.fault, "start-failed")

    def stop(self) -> Verdict:
        """End it, whatever state it is in, and all that is left of it."""
        fault, _ = stop(self._server, self._remembered, self._group, self._patience, gentle=True)
        if fault is not None:
            return Verdict("not-stopped", fault.reason)
        keep(self._runtime, self._call.instance, None)
        if self._group is not None:
            self._group.remove()
        return Verdict("stopped")

    def monitor(self) -> Verdict:
        """Whether it runs, and at this check level serves."""
        main = find_main(self._server, self._remembered)
        if main is None:
            left = members(self._server, self._remembered, self._group)
            if not left:
                return Verdict("stopped")
            pids = ", ".join(str(process.pid) for process in left)
            return Verdict("failed", f"its main process is gone, and orphans hold its place: pid {pids}")
        if main.state == "T":
            return Verdict("failed", f"its main process {main.pid} is stopped (SIGSTOP)")
        fault = self._unhealthy()
        return Verdict("running") if fault is None else Verdict("failed", fault)

    def validate(self) -> Verdict:
        """Level 0: the parameters alone, which the server's own construction has done; 10: this machine as well."""
        if self._call.level < 10:
            return Verdict("running")
        missing = self._server.missing()
        if missing:
            return Verdict("missing", missing)
        fault = self._unreadable() or check(self._make(), self._patience)
        return Verdict("running") if fault is None else _failed(fault, "failed")

    def reload(self) -> Verdict:
        """The server's own configuration changed. A stopped server stays stopped."""
        if find_main(self._server, self._remembered) is None:
            return Verdict("stopped", "it does not run, so there is nothing to reload")
        fault = reload(self._make(), self._remembered, self._patience)
        return Verdict("running") if fault is None else _failed(fault, "failed")

    def _unreadable(self) -> Fault | None:
        try:
            _ = self._server.layout
        except ConfigurationUnreadable as unreadable:
            return unreadable.fault
        return None

    def _unhealthy(self) -> str | None:
        """Why it does not serve; asked twice before it is believed, as long as there is time."""
        share = self._patience.left() / 3
        for _ in range(2):
            answer = health(self._server, min(share, 5.0), min(share, 10.0))
            if answer is None or answer.verdict is Answered.GOOD:
                return None
        return f"it runs, but does not serve: {answer.detail}" if answer else None


def _failed(fault: Fault, otherwise: str) -> Verdict:
    if fault.kind is Kind.CONFIGURATION:
        return Verdict("misconfigured", fault.reason)
    return Verdict(otherwise, fault.reason)
