"""Processes as the kernel tells of them: identity is pid and start time, never a pid alone.

Read from ``/proc`` (proc(5)) without third-party code: the OCF executables use this too. A process that vanishes while
it is looked at is simply not there. Signals go through pidfds (pidfd_send_signal(2)), so that none can reach a process
that got the same number later.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_RECENT: list[tuple[float, list[Process]]] = []
_RECENT_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Identity:
    """One process and no other, on this boot: ``start`` is field 22 of /proc/PID/stat, in clock ticks since boot."""

    pid: int
    start: int


@dataclass(frozen=True, slots=True)
class Process:
    """A process at the moment it was looked at. ``state`` is proc(5)'s letter; ``Z`` and ``X`` are dead."""

    pid: int
    start: int
    ppid: int
    pgid: int
    sid: int
    state: str
    exe: str
    argv: tuple[str, ...]
    uid: int

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.start)

    @property
    def dead(self) -> bool:
        return self.state in "ZXx"


def look(pid: int) -> Process | None:
    """The process with this pid; None when there is none (any more)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    exe, argv = "", b""
    with suppress(OSError):  # a zombie or a kernel thread has none
        exe = os.readlink(f"/proc/{pid}/exe")
    with suppress(OSError):
        argv = Path(f"/proc/{pid}/cmdline").read_bytes()
    return Process(
        pid=pid,
        start=int(fields[19]),
        ppid=int(fields[1]),
        pgid=int(fields[2]),
        sid=int(fields[3]),
        state=fields[0].decode(),
        exe=exe,
        argv=tuple(os.fsdecode(word) for word in argv.rstrip(b"\0").split(b"\0")),
        uid=uid,
    )


def state_of(identity: Identity) -> str:
    """The state letter of exactly this process; empty when it is gone."""
    try:
        stat = Path(f"/proc/{identity.pid}/stat").read_bytes()
    except OSError:
        return ""
    fields = stat[stat.rindex(b")") + 2 :].split()
    return fields[0].decode() if int(fields[19]) == identity.start else ""


def alive(identity: Identity) -> bool:
    """Whether exactly this process lives; a zombie does not."""
    return state_of(identity) not in ("", "Z", "X", "x")


def everyone() -> Iterator[Process]:
    """All processes that can be seen, dead ones (zombies) included."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := look(int(name))) is not None:
            yield process


def recently(within: float = 0.5) -> list[Process]:
    """All processes as of at most ``within`` seconds ago: one look serves many starts at the same time."""
    with _RECENT_LOCK:
        if not _RECENT or time.monotonic() - _RECENT[0][0] > within:
            _RECENT[:] = [(time.monotonic(), list(everyone()))]
        return _RECENT[0][1]


def children(pid: int) -> list[int]:
    """Pids of the direct children of all threads of ``pid``."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                found += [int(word) for word in Path(f"/proc/{pid}/task/{task}/children").read_bytes().split()]
    return found


def handles(pid: int, number: int) -> bool:
    """Whether the process has a handler for this signal (proc(5), SigCgt): without one it would be lost, or deadly."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def open_pidfd(identity: Identity) -> int | None:
    """A pidfd of exactly this process; None when it is gone. The caller closes it."""
    try:
        fd = os.pidfd_open(identity.pid)
    except OSError:
        return None
    if state_of(identity) == "":  # the number may have been given to another between the two looks
        os.close(fd)
        return None
    return fd


def send(identity: Identity, number: int) -> bool:
    """Send a signal to exactly this process; False when it is gone."""
    fd = open_pidfd(identity)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True
