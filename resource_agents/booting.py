"""A server between its spawn and its first good answer, and why there is none.

"Ready" means that the health request was answered and that the socket it was asked on belongs to this server's
processes.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, replace
from pathlib import Path

from ocf.faults import Fault, Kind, unknown
from resource_agents.cgroups import Cgroup
from resource_agents.checking import check
from resource_agents.families import Remembered, find_main, layout_of, members, strangers
from resource_agents.http import WORKS, Answer, ask_all, connect_only
from resource_agents.listeners import listening, on, sockets_of
from resource_agents.logs import Log, tail
from resource_agents.patience import Patience
from resource_agents.processes import Identity, Process, look, open_pidfd
from resource_agents.server import Server
from resource_agents.spawning import exit_status

#: Seconds that a server without any address must live to count as started.
SETTLE = 0.2

#: Seconds that a server may take to appear after the command that launched it has ended.
LAUNCH = 5.0

#: Statuses by which a server blames what it forwards to, and seconds that this may come later than the server.
GATEWAY, BACK_END = frozenset({502, 503, 504}), 5.0


@dataclass(frozen=True, slots=True)
class Started:
    """How a start ended: ``fault`` None when the server answers; ``adopted`` when it ran already."""

    fault: Fault | None
    remembered: Remembered | None = None
    adopted: bool = False
    notes: tuple[str, ...] = ()
    server: Server | None = None


def health(server: Server, connect_timeout: float, timeout: float) -> Answer | None:
    """Ask the server how it is; None when it has no address to ask."""
    layout = layout_of(server)
    checks = (*((layout.request,) if layout.request else ()), *layout.exchanges)
    if checks:
        return ask_all(checks, connect_timeout=connect_timeout, timeout=timeout)
    if layout.addresses:
        return connect_only(layout.addresses[0], timeout)
    return None


class Boot:
    """A server between its spawn (or its adoption) and its first good answer."""

    def __init__(
        self,
        server: Server,
        kept: Remembered,
        group: Cgroup | None,
        patience: Patience,
        output: Path,
        log: Log | None = None,
    ) -> None:
        self.server, self.kept, self.group, self.patience = server, kept, group, patience
        self.output, self.log = output, log
        self.answer: Answer | None = None
        self._given, self._asked = patience.left(), log or Log(layout_of(server).error_log)
        # what was spawned, now or by a daemon that was killed meanwhile, is not the server itself
        self._launcher = server.forks and (log is not None or not _is_main(server, kept.main))
        self._pidfd = open_pidfd(kept.main)
        self._left_alone = 0.0

    def wait(self) -> Started:
        """Wait until it answers, died, or time is up."""
        waited, step = 0.0, 0.002
        try:
            while True:
                if self._pidfd is None or self.patience.pause(step, self._pidfd):
                    fault = self._ended(step)
                    if fault is not None:
                        return Started(fault, self.kept, server=self.server)
                waited, step = waited + step, min(step * 1.3, 0.1)
                if not self._launcher and self._ready(waited):
                    return Started(None, self.kept, server=self.server)
                if self.patience.left() <= 0:
                    return Started(self._late(), self.kept, server=self.server)
        finally:
            self._watch(None)

    def _ended(self, step: float) -> Fault | None:
        """What was watched ended: the server (a fault), or the command that launched it (then look for the server)."""
        status = exit_status(self._pidfd) if self._pidfd is not None else None
        if not self._launcher or status not in (0, None):
            return self._failed(status)
        main = find_main(self.server, None)
        if main is not None:
            self._launcher = False
            self.kept = remember(main, self.kept, self.kept.grouped)
            self._watch(open_pidfd(main.identity))
            return None
        self._watch(None)
        self.patience.pause(step)
        self._left_alone += step
        return self._failed(status) if self._left_alone > LAUNCH else None

    def _watch(self, pidfd: int | None) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
        self._pidfd = pidfd

    def _ready(self, waited: float) -> bool:
        self.answer = health(self.server, 1.0, max(0.05, min(5.0, self.patience.left())))
        good = waited >= SETTLE if self.answer is None else self.answer.verdict in WORKS
        return (good or self._only_forwards()) and _thief(self.server, self.kept, self.group) is None

    def _only_forwards(self) -> bool:
        """Whether it runs and proves that others are to blame for its answer: no other start would be better."""
        early = self._given - self.patience.left() < min(BACK_END, self._given / 2)
        if early or self.answer is None or self.answer.status not in GATEWAY:
            return False
        fault = self.server.explain(self._asked.news(), "")
        return fault is not None and fault.kind is Kind.DEPENDENCY

    def _failed(self, status: int | None) -> Fault:
        """Why it ended before it answered: its own words first."""
        lines = tail(self.output)
        words = f"start failed ({_status(status)})"
        fault = self.server.explain(lines, words) or self.server.explain(self.log.news() if self.log else [], words)
        last = lines[-1] if lines else ""
        if fault is None or fault.cause == "port-taken":
            holders = strangers(self.server, members(self.server, self.kept, self.group))
            if holders:
                return taken(self.server, holders[0], words, fault.proof if fault else last)
        if fault is not None:
            return fault
        tested = check(self.server, self.patience)  # it is down already, so that the test costs no outage
        if tested is not None and tested.kind is Kind.CONFIGURATION:
            return tested
        return replace(unknown(f"{words}{': ' + last if last else ''}"), proof=last)

    def _late(self) -> Fault:
        thief = _thief(self.server, self.kept, self.group)
        if thief is not None:
            return taken(self.server, thief, "start failed", "")
        said = f": {self.answer.detail}" if self.answer is not None and self.answer.detail else ""
        return unknown(f"it runs, but did not answer well in time{said}")


def _is_main(server: Server, identity: Identity) -> bool:
    process = look(identity.pid)
    return process is None or server.is_main(process)


def remember(main: Process, remembered: Remembered | None, grouped: bool) -> Remembered:
    """What has to be known of it later: ``main``, and of what was ``remembered`` before that which is still true."""
    semaphores = remembered.semaphores if remembered else ()
    return Remembered(main.identity, main.sid if main.sid == main.pid else 0, grouped, semaphores)


def _thief(server: Server, kept: Remembered, group: Cgroup | None) -> Process | None:
    """Who else holds the address on which the health request was answered; None: it is ours."""
    held = on(layout_of(server).addresses[:1], listening())
    inodes = {listener.inode for listener in held}
    if not inodes or inodes & sockets_of(kept.main.pid):
        return None
    family = members(server, kept, group)
    if any(inodes & sockets_of(process.pid) for process in family):
        return None
    others = strangers(server, family)
    return others[0] if others else None


def taken(server: Server, thief: Process, words: str, proof: str) -> Fault:
    """The fault that ``thief`` holds an address of the server's; ``words`` begin the reason."""
    who = describe(thief)
    where = ", ".join(str(address) for address in layout_of(server).addresses)
    advice = f"end {who} or move it to another port"
    return Fault("port-taken", Kind.HOST, f"{words}: {where} is held by {who}", proof or f"pid {thief.pid}", advice)


def describe(process: Process) -> str:
    """A process in words: pid, command, user."""
    try:
        user = pwd.getpwuid(process.uid).pw_name
    except KeyError:
        user = str(process.uid)
    return f"pid {process.pid} ({' '.join(process.argv)[:80] or process.exe}, user {user})"


def _status(status: int | None) -> str:
    if status is None:
        return "it ended"
    return f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
