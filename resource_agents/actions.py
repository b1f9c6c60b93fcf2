"""OCF actions carried out in process, without the daemon: complete, and with the same verdicts.

``monitor`` looks first whether anything runs and asks only then; a probe on a node without the software or its files is
"stopped", silently. ``stop`` needs neither a readable configuration nor the program. A start ends early when the server
ended early. All of them plan inside the time they were given.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocf.conditions import Verdict
from ocf.declarations import Parameter, ParameterError
from ocf.environment import Call
from ocf.faults import Fault, Kind
from resource_agents.families import Remembered, find_main, members
from resource_agents.layouts import ConfigurationUnreadable
from resource_agents.memory import group_of, keep, keep_group, recall
from resource_agents.patience import Patience
from resource_agents.processes import everyone
from resource_agents.server import Server, load

#: Seconds kept back of every action's time, for the interpreter's own start and end.
RESERVE = 1.0

#: Seconds that are kept of a start for ending what did not come up.
CLEARING = 3.0


class Actions:
    """The actions on one resource. Raises :class:`ParameterError` for wrong values, unless it shall be ``tolerant``.

    ``spent`` are the seconds of the action's time that are over already.
    """

    def __init__(self, agent: str, call: Call, runtime: Path, tolerant: bool = False, spent: float = 0.0) -> None:
        self._kind, self._call, self._runtime = load(agent), call, runtime
        known = {parameter.name for parameter in self._kind.parameters}
        self._values = {name: value for name, value in call.values.items() if name in known}
        if tolerant:
            self._values = _usable(self._kind, self._values, call.instance)
        self._server = self._make()
        self._remembered = recall(runtime, call.instance)
        self._group = group_of(runtime, call.instance)
        self._patience = Patience(max(1.0, call.timeout - min(RESERVE, call.timeout * 0.1) - spent))

    def left(self) -> float:
        """Seconds that are left of the action's time."""
        return self._patience.left()

    def running(self) -> Verdict:
        """Whether its main process lives."""
        main = find_main(self._server, self._remembered)
        return Verdict("stopped", "it does not run") if main is None else Verdict("running")

    def cannot_start(self) -> Verdict | None:
        """Why a start is in vain on this node, so that nothing needs to be tried; None: it may work, or it runs."""
        missing = self._server.missing()
        unreadable = None if missing else self._unreadable()
        if (not missing and unreadable is None) or find_main(self._server, self._remembered) is not None:
            return None
        return Verdict("missing", missing) if unreadable is None else _failed(unreadable, "start-failed")

    def start(self) -> Verdict:
        """Start it and wait until it serves; adopt it when it runs already."""
        hopeless = self.cannot_start()
        if hopeless is not None:
            return hopeless
        from resource_agents.starting import start
        from resource_agents.stopping import stop

        self._runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = self._runtime / f"{self._call.instance}.out"
        with self._alone():
            patience = Patience(max(1.0, self._patience.left() - min(CLEARING, self._call.timeout * 0.2)))
            started = start(
                self._make, self._make(), self._remembered, self._group, output, patience, launched=self._keep
            )
            self._keep(started.remembered)
            keep_group(self._runtime, self._call.instance, self._group)
            if started.fault is None:
                return Verdict("done")
            if not started.adopted:  # what did not come up must not linger
                stop(self._server, started.remembered, self._group, self._patience, gentle=False)
        return _failed(started.fault, "start-failed")

    def stop(self) -> Verdict:
        """End it, whatever state it is in, and all that is left of it."""
        from resource_agents.stopping import stop

        fault, _ = stop(self._server, self._remembered, self._group, self._patience, gentle=True)
        if fault is not None:
            return Verdict("not-stopped", fault.reason)
        self._keep(None)
        keep_group(self._runtime, self._call.instance, None)
        if self._group is not None:
            self._group.remove()
        return Verdict("done")

    def monitor(self) -> Verdict:
        """Whether it runs, and at this check level serves."""
        if self._deserted():
            return Verdict("stopped")
        main = find_main(self._server, self._remembered)
        if main is None:
            left = members(self._server, self._remembered, self._group)
            if not left:
                return Verdict("stopped")
            pids = ", ".join(str(process.pid) for process in left)
            return Verdict("failed", f"its main process is gone, and orphans hold its place: pid {pids}")
        if main.state == "T":
            return Verdict("failed", f"its main process {main.pid} is stopped (SIGSTOP)")
        from resource_agents.depths import look

        return look(self._server, self._call.level, self._patience)

    def validate(self) -> Verdict:
        """Level 0: the parameters alone, the server's own and those of the recovery; 10: this machine as well.

        The recovery's are judged with the time that the agent advises for a start, as a cluster's is not known here.
        """
        from resource_agents.numbers import declared_start, refuse

        refuse(self._call.values, declared_start(self._kind.operations))
        if self._call.level < 10:
            return Verdict("done")
        missing = self._server.missing()
        if missing:
            return Verdict("missing", missing)
        from resource_agents.checking import check

        fault = self._unreadable() or check(self._make(), self._patience)
        return Verdict("done") if fault is None else _failed(fault, "failed")

    def reload(self) -> Verdict:
        """The server's own configuration changed. A stopped server stays stopped."""
        if find_main(self._server, self._remembered) is None:
            return Verdict("stopped", "it does not run, so there is nothing to reload")
        from resource_agents.checking import reload

        fault = reload(self._make(), self._remembered, self._patience)
        return Verdict("done") if fault is None else _failed(fault, "failed")

    def _keep(self, remembered: Remembered | None) -> None:
        keep(self._runtime, self._call.instance, remembered)

    def _make(self) -> Server:
        return self._kind(self._values, self._call.instance)

    def _deserted(self) -> bool:
        """Whether a look at the programs that run shows already that nothing of it is there; reads no configuration."""
        if self._remembered is not None or (self._group is not None and self._group.members()):
            return False
        return not any(self._server.is_kin(each) or self._server.claims(each) for each in everyone() if not each.dead)

    def _unreadable(self) -> Fault | None:
        try:
            _ = self._server.layout
        except ConfigurationUnreadable as unreadable:
            return unreadable.fault
        return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One start at a time: the second finds the first one's server, or its failure."""
        (self._runtime / "ocf").mkdir(mode=0o700, exist_ok=True)
        with (self._runtime / "ocf" / f"{self._call.instance}.lock").open("w") as lock:
            while self._patience.left() > 0:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._patience.pause(0.05)
            os.set_inheritable(lock.fileno(), False)
            yield


def _failed(fault: Fault, otherwise: str) -> Verdict:
    if fault.kind is Kind.CONFIGURATION:
        return Verdict("misconfigured", fault.reason)
    return Verdict(otherwise, fault.reason)


def _usable(kind: type[Server], values: dict[str, str], instance: str) -> dict[str, str]:
    """The values that a server can be made of: a stop must not fail because one of them is wrong."""
    needed = {parameter.name: _something(parameter) for parameter in kind.parameters if parameter.required}
    kept: dict[str, str] = {}
    for name, value in values.items():
        try:
            kind({**needed, **kept, name: value}, instance)
        except ParameterError:
            continue
        kept[name] = value
    return {**needed, **kept}


def _something(parameter: Parameter) -> str:
    return "0" if parameter.type in ("integer", "boolean") else "/nonexistent"
