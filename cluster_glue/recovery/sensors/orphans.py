"""Being the subreaper: orphans of what we started become our children, and their zombies are ours to reap.

Exit statuses that other code waits for must not be stolen. Every program that koboshi starts itself gets its own
session (:mod:`ocf.programs`, :mod:`resource_agents.spawning`), so a zombie child that leads no session was never
started by us: it is an orphan and is reaped at once. A zombie that leads a session may be either: it is reaped when it
was handed over (``take``), else left alone for ``LEADER_PATIENCE``, which nobody who waits for a program lets pass.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from resource_agents.processes import Identity, children, state_of

PR_SET_CHILD_SUBREAPER = 36

#: Seconds as a zombie after which one that leads a session is nobody's: who waits for a program reaps it at once.
LEADER_PATIENCE = 30.0


def become_subreaper() -> None:
    """From now on, orphans among our descendants become our children (prctl(2)). Raises ``OSError``."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Orphans:
    """Reaps what fell to us. ``clock`` gives seconds that never jump back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._leaders: dict[int, float] = {}
        self._taken: dict[int, Identity] = {}

    def take(self, identity: Identity) -> None:
        """Nobody waits for this process any more: reap it as soon as it is dead, whatever it leads."""
        self._taken[identity.pid] = identity

    def reap(self, spare: Collection[int] = ()) -> dict[int, int]:
        """Reap dead orphans, but none of ``spare``; pid and status of each. Costs a microsecond when nobody is dead."""
        try:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                self._leaders.clear()
                return {}
        except ChildProcessError:
            return {}
        now = self._clock()
        reaped: dict[int, int] = {}
        leaders: dict[int, float] = {}
        for pid in children(os.getpid()):
            if pid in spare or (session := _zombie_session(pid)) is None:
                continue
            if session == pid and not self._is_taken(pid):
                leaders[pid] = self._leaders.get(pid, now)
                if now - leaders[pid] < LEADER_PATIENCE:
                    continue
            with suppress(ChildProcessError):
                result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
                if result is not None:
                    status = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
                    reaped[pid] = status
        self._leaders = leaders
        self._taken = {pid: identity for pid, identity in self._taken.items() if state_of(identity)}
        return reaped

    def _is_taken(self, pid: int) -> bool:
        identity = self._taken.get(pid)
        return identity is not None and state_of(identity) != ""


def _zombie_session(pid: int) -> int | None:
    """The session of a zombie; None for the living."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split(maxsplit=4)
    return int(fields[3]) if fields[0] == b"Z" else None
