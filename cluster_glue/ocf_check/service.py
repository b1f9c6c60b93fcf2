"""The service as the kernel shows it inside a case's namespaces.

Nothing is known about the server: what is there after a start and was not there before is the service. Its main
process is the topmost one that owns a listening socket, or else the one whose parent is none of them.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from resource_agents.processes import Identity, Process, everyone

_BIG = sys.byteorder == "big"
LISTEN = "0A"  # TCP_LISTEN in the ``st`` column of /proc/net/tcp


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening TCP socket in the namespace."""

    host: str
    port: int
    inode: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Service:
    """``processes`` are all of the living ones but ``helpers``, ``mains`` those at the top, the oldest first."""

    processes: tuple[Process, ...]
    helpers: tuple[Process, ...]
    mains: tuple[Process, ...]
    listeners: tuple[Listener, ...]

    @property
    def main(self) -> Process | None:
        return self.mains[0] if self.mains else None

    @property
    def workers(self) -> tuple[Process, ...]:
        return tuple(process for process in self.processes if process is not self.main)

    @property
    def identities(self) -> frozenset[Identity]:
        return frozenset(process.identity for process in self.processes)

    @property
    def empty(self) -> bool:
        return not self.processes and not self.listeners

    def __str__(self) -> str:
        there = [f"{process.pid} ({name_of(process)})" for process in self.processes]
        there += [f"a listener on {listener}" for listener in self.listeners]
        return ", ".join(there) or "nothing"


def name_of(process: Process) -> str:
    return os.path.basename(process.exe).removesuffix(" (deleted)") or process.argv[0] or "?"


def look(before: Collection[Identity], helpers: Iterable[str] = ()) -> Service:
    """The service now: what lives in this PID namespace and was not there ``before``."""
    new = [process for process in everyone() if not process.dead and process.identity not in before]
    aside = [process for process in new if any(re.search(helper, " ".join(process.argv)) for helper in helpers)]
    ours = [process for process in new if process not in aside]
    theirs = {inode for process in aside for inode in sockets(process.pid)}
    owned = {inode for process in ours for inode in sockets(process.pid)}
    listeners = tuple(one for one in listening() if one.inode in owned or one.inode not in theirs)
    return Service(tuple(ours), tuple(aside), _mains(ours, {listener.inode for listener in listeners}), listeners)


def _mains(processes: list[Process], inodes: set[int]) -> tuple[Process, ...]:
    owners = [process for process in processes if sockets(process.pid) & inodes]
    among = owners or processes
    pids = {process.pid for process in among}
    parents = {process.pid: process.ppid for process in processes}
    tops = [process for process in among if not pids & _above(process.ppid, parents)]
    return tuple(sorted(tops, key=lambda process: (process.start, process.pid)))


def _above(pid: int, parents: dict[int, int]) -> set[int]:
    """This process and its ancestors among ``parents``: one between may own no socket itself."""
    found: set[int] = set()
    while pid in parents and pid not in found:
        found.add(pid)
        pid = parents[pid]
    return found


def sockets(pid: int) -> set[int]:
    """Inodes of the sockets that a process has open."""
    return _inodes(pid, "socket:[")


def holders(pipes: frozenset[int]) -> list[Process]:
    """Living processes that have one of these pipes open, besides ourselves."""
    return [
        process
        for process in everyone()
        if process.pid != os.getpid() and not process.dead and _inodes(process.pid, "pipe:[") & pipes
    ]


def _inodes(pid: int, prefix: str) -> set[int]:
    found = set()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith(prefix):
                    found.add(int(target[len(prefix) : -1]))
    return found


def listening() -> tuple[Listener, ...]:
    """All listening TCP sockets of this network namespace."""
    found = []
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        with suppress(OSError):
            found += read_listeners(Path(table).read_text())
    return tuple(found)


def read_listeners(table: str) -> list[Listener]:
    """The listeners in /proc/net/tcp or tcp6: an address is words of 32 bits in the machine's byte order."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[3] != LISTEN:
            continue
        address, _, port = fields[1].partition(":")
        words = [bytes.fromhex(address[at : at + 8]) for at in range(0, len(address), 8)]
        packed = b"".join(word if _BIG else word[::-1] for word in words)
        found.append(Listener(str(ip_address(packed)), int(port, 16), int(fields[9])))
    return found


def answers(listener: Listener, within: float = 2.0) -> bool:
    """Whether anything comes back, even a refusal in words or an orderly end, for a plain HTTP request."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.host, listener.host)
    try:
        connection = socket.create_connection((host, listener.port), within)
    except OSError:
        return False
    with connection:
        try:
            connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            connection.recv(1)
        except TimeoutError:
            return False
        except OSError:  # whoever resets it is awake
            return True
    return True
