"""What a dead server leaves behind and a new one stumbles over: pid files and SysV semaphore sets.

Only what belongs to the dead is removed: a pid file that names no living process of this server, a semaphore set whose
last users are all dead and which this very server made (or whose user runs no such program at all any more).
"""

from __future__ import annotations

import ctypes
import os
import pwd
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resource_agents.layouts import Layout
from resource_agents.processes import Process, everyone, look
from resource_agents.server import Server

_GETPID, _IPC_RMID = 11, 0  # semctl(2) commands, <linux/sem.h> and <linux/ipc.h>


@dataclass(frozen=True, slots=True)
class SemaphoreSet:
    """One SysV semaphore set; ``changed`` (seconds since the epoch) tells it from a later one with the same number."""

    number: int
    size: int
    uid: int
    mode: int
    changed: int

    @property
    def key(self) -> tuple[int, int]:
        return self.number, self.changed


def semaphore_sets() -> list[SemaphoreSet]:
    """All semaphore sets of this IPC namespace (proc(5), /proc/sysvipc/sem)."""
    found = []
    with suppress(OSError), Path("/proc/sysvipc/sem").open(encoding="ascii") as table:
        next(table, None)
        for line in table:
            fields = [int(word) for word in line.split()]
            found.append(
                SemaphoreSet(
                    number=fields[1], size=fields[3], uid=fields[4], mode=int(str(fields[2]), 8), changed=fields[9]
                )
            )
    return found


def made_since(before: Iterable[SemaphoreSet], layout: Layout) -> tuple[tuple[int, int], ...]:
    """Keys of the sets that the server's user has now and had not before."""
    old = {each.key for each in before}
    return tuple(each.key for each in semaphore_sets() if each.key not in old and each.uid in _uids(layout))


def remove(server: Server, layout: Layout, semaphores: Iterable[tuple[int, int]]) -> tuple[str, ...]:
    """Remove what the dead left, and say what it was."""
    notes = []
    stale = [layout.pidfile] if layout.pidfile and _names_nobody_of(server, layout.pidfile) else []
    for path in (*stale, *server.leftovers()):
        with suppress(OSError):
            Path(path).unlink()
            notes.append(f"stale file {path}")
    if layout.semaphores:
        notes += [f"semaphore set {each.number}" for each in _ownerless(server, layout, set(semaphores)) if _drop(each)]
    return tuple(notes)


def _names_nobody_of(server: Server, path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            words = file.read(64).split()
    except OSError:
        return False
    try:
        process: Process | None = look(int(words[0]))
    except (ValueError, IndexError, OverflowError):
        return True
    return process is None or process.dead or not server.is_kin(process)


def _uids(layout: Layout) -> set[int]:
    uids = {os.geteuid()}
    with suppress(KeyError):
        uids.add(pwd.getpwnam(layout.user).pw_uid)
    return uids


def _ownerless(server: Server, layout: Layout, made: set[tuple[int, int]]) -> list[SemaphoreSet]:
    sets = [each for each in semaphore_sets() if each.uid in _uids(layout)]
    if not sets:
        return []
    alone = not any(server.is_kin(process) for process in everyone() if not process.dead)
    mine = [each for each in sets if each.key in made or (alone and _looks_like_a_lock(each))]
    return [each for each in mine if all(_dead(pid) for pid in _last_users(each))]


def _looks_like_a_lock(each: SemaphoreSet) -> bool:
    """The shape of APR's cross-process mutex: one semaphore, mode 0600, not root's."""
    return each.size == 1 and each.mode == 0o600 and each.uid != 0


def _last_users(each: SemaphoreSet) -> list[int]:
    libc = ctypes.CDLL(None, use_errno=True)
    return [int(libc.semctl(each.number, index, _GETPID)) for index in range(each.size)]


def _dead(pid: int) -> bool:
    process = look(pid) if pid > 0 else None
    return process is None or process.dead


def _drop(each: SemaphoreSet) -> bool:
    return int(ctypes.CDLL(None, use_errno=True).semctl(each.number, 0, _IPC_RMID)) == 0
