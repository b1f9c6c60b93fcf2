"""A cheap look at the state of main processes, and now and then of their children (proc(5), field 3 of ``stat``).

Each main process's ``stat`` is kept open: reading it costs a few microseconds, and it can never be another process that
got the same number. Children are looked at when somebody is suspicious, and at every ``CHILDREN_EVERY``-th look.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Set
from contextlib import suppress
from dataclasses import dataclass, field

from cluster_glue.recovery.model import Died, Failed
from ocf.faults import Fault, Kind, unknown
from resource_agents.processes import Identity, children, state_of

#: Looks in a row that make a stopped or vanished process a fact.
FACT_AFTER = 2

#: Looks in a row in uninterruptible sleep that are worth a word.
BLOCKED_AFTER = 6

#: Children are looked at in every such look.
CHILDREN_EVERY = 4

#: Seconds after which a fact that still holds is told again.
REMIND_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a look found about ``name``. ``event`` is what the machine shall hear; None: evidence only."""

    name: str
    fault: Fault
    event: Died | Failed | None = None


@dataclass(slots=True)
class _Watched:
    name: str
    identity: Identity
    fd: int
    exe: str
    counts: dict[str, int] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    looks: int = 0


def _nobody(name: str, pids: Set[int]) -> None:
    """Children are of no interest to anybody."""


class States:
    """Looks at many processes in one go. ``children_found`` gets the children whenever they are looked at."""

    def __init__(
        self,
        children_found: Callable[[str, Set[int]], None] = _nobody,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._children_found = children_found
        self._clock = clock
        self._watched: dict[str, _Watched] = {}

    def watch(self, name: str, identity: Identity) -> None:
        """Look at this main process from now on; the same one as before keeps its counts.

        Raises ``OSError`` when its ``stat`` cannot be opened for lack of descriptors; a process that is gone is told as
        dead by the next looks.
        """
        before = self._watched.get(name)
        if before is not None and before.identity == identity:
            return
        self.forget(name)
        fd = -1
        with suppress(FileNotFoundError, ProcessLookupError):
            fd = os.open(f"/proc/{identity.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        if fd >= 0 and state_of(identity) == "":
            os.close(fd)
            fd = -1
        # counts of different resources are spread, so that not all children are looked at in the same look
        self._watched[name] = _Watched(name, identity, fd, _exe(identity.pid), looks=len(self._watched))

    def forget(self, name: str) -> None:
        """Look at it no more."""
        watched = self._watched.pop(name, None)
        if watched is not None and watched.fd >= 0:
            os.close(watched.fd)

    def close(self) -> None:
        """Look at nothing any more."""
        for name in list(self._watched):
            self.forget(name)

    def look(self, suspects: Collection[str] = ()) -> list[Sighting]:
        """One look at everything; children of ``suspects`` too. Only news is returned, and old facts now and then."""
        found: list[Sighting] = []
        for watched in self._watched.values():
            state = _state(watched.fd)
            if state not in ("S", "R", "I") or watched.counts:
                self._judge(watched, state, found)
            watched.looks += 1
            if watched.looks % CHILDREN_EVERY == 0 or watched.name in suspects or "children" in watched.counts:
                self._look_at_children(watched, found)
        return found

    def _judge(self, watched: _Watched, state: str, found: list[Sighting]) -> None:
        pid = watched.identity.pid
        if self._count(watched, "dead", state in ("", "Z", "X", "x"), FACT_AFTER):
            how = "is a zombie" if state == "Z" else "is gone"
            fault = unknown(f"the main process (pid {pid}) {how}; nobody could tell how it ended")
            found.append(Sighting(watched.name, fault, Died(fault)))
        if self._count(watched, "main", state == "T", FACT_AFTER):
            words = (
                f"the main process (pid {pid}) is stopped: it does nothing and takes no signal but SIGKILL and SIGCONT"
            )
            fault = Fault("stopped", Kind.RESOURCE, words, f"state T of pid {pid}")
            found.append(Sighting(watched.name, fault, Failed(fault, hard=True)))
        if self._count(watched, "blocked", state == "D", BLOCKED_AFTER):
            words = f"the main process (pid {pid}) hangs in the kernel (uninterruptible sleep)"
            fault = Fault("blocked", Kind.HOST, words, f"state D of pid {pid}, {_wait_channel(pid)}")
            found.append(Sighting(watched.name, fault))

    def _look_at_children(self, watched: _Watched, found: list[Sighting]) -> None:
        pids = children(watched.identity.pid)
        self._children_found(watched.name, set(pids))
        stopped = _stopped(pids, watched.exe)
        if self._count(watched, "children", bool(stopped), FACT_AFTER):
            pid = watched.identity.pid
            words = f"all {len(stopped)} working children of the main process (pid {pid}) are stopped"
            fault = Fault("stopped", Kind.RESOURCE, words, f"state T of pid {', '.join(map(str, stopped[:8]))}")
            found.append(Sighting(watched.name, fault, Failed(fault, hard=True)))

    def _count(self, watched: _Watched, what: str, holds: bool, enough: int) -> bool:
        """Count looks in a row; true when it is time to tell."""
        if not holds:
            watched.counts.pop(what, None)
            watched.told.pop(what, None)
            return False
        count = watched.counts[what] = watched.counts.get(what, 0) + 1
        now = self._clock()
        if count < enough or now - watched.told.get(what, -REMIND_AFTER) < REMIND_AFTER:
            return False
        watched.told[what] = now
        return True


def _state(fd: int) -> str:
    """The state letter; empty when the process is gone and reaped."""
    if fd < 0:
        return ""
    try:
        stat = os.pread(fd, 512, 0)
    except ProcessLookupError:
        return ""
    at = stat.rindex(b")") + 2
    return stat[at : at + 1].decode()


def _stopped(pids: list[int], exe: str) -> list[int]:
    """The stopped children, if no child that does the server's work runs on; else nobody.

    Who runs the main process's own program does the work; helpers (log pipes) running another one count only where
    nobody does.
    """
    stopped: list[int] = []
    others_run = kin_stopped = False
    for pid in pids:
        state = _state_of_pid(pid)
        if state in ("", "Z", "X", "x"):
            continue
        kin = _exe(pid) in (exe, "")  # who cannot be seen is taken for one that works
        if state == "T":
            stopped.append(pid)
            kin_stopped = kin_stopped or kin
        elif kin:
            return []
        else:
            others_run = True
    return stopped if kin_stopped or not others_run else []


def _state_of_pid(pid: int) -> str:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return _state(fd)
    finally:
        os.close(fd)


def _exe(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def _wait_channel(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/wchan", encoding="ascii", errors="replace") as file:
        return "waits in " + (file.read(64).strip("\0\n") or "?")
    return "where is not known"
