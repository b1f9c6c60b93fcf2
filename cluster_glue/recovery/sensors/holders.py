"""Who holds a listening socket: found once, then confirmed by one readlink(2) for as long as it stays so."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resource_agents.processes import Process, look


@dataclass(frozen=True, slots=True)
class Holder:
    """One process that has the socket open, as descriptor ``path`` (below /proc)."""

    pid: int
    path: str


class Holders:
    """Holders by inode."""

    def __init__(self) -> None:
        self._known: dict[int, Holder] = {}

    def find(self, inodes: Iterable[int], groups: Iterable[Callable[[], Iterable[int]]]) -> dict[int, Holder]:
        """One holder of each socket. ``groups`` give pids, the likeliest first; the next one is asked only in need."""
        wanted = set(inodes)
        found = {inode: self._known[inode] for inode in wanted & self._known.keys() if self._holds(inode)}
        for group in groups:
            missing = wanted - found.keys()
            if not missing:
                break
            for pid in group():
                found.update(_among(pid, missing - found.keys()))
                if missing <= found.keys():
                    break
        self._known = found
        return found

    def _holds(self, inode: int) -> bool:
        with suppress(OSError):
            return os.readlink(self._known[inode].path) == f"socket:[{inode}]"
        return False


def every_pid() -> Iterable[int]:
    """All processes that can be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _among(pid: int, inodes: set[int]) -> dict[int, Holder]:
    """Those of these sockets that the process has open. Listeners are opened early: low numbers come first."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, Holder] = {}
    with suppress(OSError):
        for name in sorted(os.listdir(f"/proc/{pid}/fd"), key=lambda name: (len(name), name)):
            if not wanted:
                break
            path = f"/proc/{pid}/fd/{name}"
            with suppress(OSError):
                inode = wanted.pop(os.readlink(path), None)
                if inode is not None:
                    found[inode] = Holder(pid, path)
    return found


def descends(pid: int, ancestor: int) -> bool:
    """Whether a process is ``ancestor`` or below it."""
    for _ in range(64):
        if pid == ancestor:
            return True
        process = look(pid) if pid > 1 else None
        if process is None:
            return False
        pid = process.ppid
    return False


def introduce(process: Process) -> str:
    """A process in words: pid, command, user, and the systemd unit it runs in."""
    try:
        user = pwd.getpwuid(process.uid).pw_name
    except KeyError:
        user = f"uid {process.uid}"
    command = " ".join(process.argv)[:120] or process.exe or "?"
    words = f"pid {process.pid} ({command}, user {user}"
    unit = _unit(process.pid)
    return words + (f", unit {unit})" if unit else ")")


def _unit(pid: int) -> str:
    """The innermost systemd unit in the control group of a process; empty when there is none."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            for part in reversed(line.split(":", 2)[2].split("/")):
                if part.endswith((".service", ".scope")):
                    return part
    return ""
