"""Listening TCP sockets of this network namespace, and who owns them.

One LISTEN-only dump of the kernel's socket diagnosis (sock_diag(7)) costs tens of microseconds at any number of
connections; ``/proc/net/tcp`` serves where netlink is forbidden. In a listening socket's record the receive queue is
the accept queue's depth and the send queue its limit (Linux, net/ipv4/tcp_diag.c).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resource_agents.layouts import Address
from resource_agents.processes import Process, everyone

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
TCP_LISTEN = 10

_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI48x")
_RECORD = struct.Struct("=BBBB2s2s16s16sI8sIIIII")


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket: ``host`` empty for every address; ``depth`` of ``limit`` connections wait to be accepted."""

    host: str
    port: int
    inode: int
    depth: int
    limit: int
    uid: int


def listening() -> list[Listener]:
    """All listening TCP sockets, IPv4 and IPv6. Raises ``OSError`` when neither netlink nor /proc tells."""
    try:
        return [*_dump(socket.AF_INET), *_dump(socket.AF_INET6)]
    except OSError:
        return _from_proc()


def on(addresses: Iterable[Address], among: Iterable[Listener]) -> list[Listener]:
    """The listeners that hold one of these addresses, or stand in the way of one."""
    wanted = list(addresses)
    return [
        listener
        for listener in among
        if any(a.port == listener.port and (a.host == listener.host or not a.host or not listener.host) for a in wanted)
    ]


def sockets_of(pid: int) -> set[int]:
    """Inodes of the sockets that a process has open."""
    found: set[int] = set()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError, ValueError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    return found


def owners(listeners: Iterable[Listener], among: Iterable[Process] | None = None) -> list[Process]:
    """The living processes that have one of these sockets open."""
    inodes = {listener.inode for listener in listeners}
    if not inodes:
        return []
    candidates = everyone() if among is None else among
    return [process for process in candidates if not process.dead and inodes & sockets_of(process.pid)]


def _dump(family: int) -> list[Listener]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(2.0)
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << TCP_LISTEN)
        header = _HEADER.pack(_HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
        netlink.sendto(header + request, (0, 0))
        found: list[Listener] = []
        while True:
            data = netlink.recv(65536)
            while len(data) >= _HEADER.size:
                length, kind, *_ = _HEADER.unpack_from(data)
                if kind == NLMSG_DONE:
                    return found
                if kind == NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", data, _HEADER.size)[0], "sock_diag")
                found.append(_record(family, data[_HEADER.size : length]))
                data = data[(length + 3) & ~3 :]


def _record(family: int, record: bytes) -> Listener:
    _, _, _, _, port, _, source, _, _, _, _, depth, limit, uid, inode = _RECORD.unpack_from(record)
    host = socket.inet_ntop(family, source[:4] if family == socket.AF_INET else source)
    return Listener(_plain(host), int.from_bytes(port, "big"), inode, depth, limit, uid)


def _plain(host: str) -> str:
    return "" if host in ("0.0.0.0", "::") else host.removeprefix("::ffff:")


def _from_proc() -> list[Listener]:
    found: list[Listener] = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with suppress(FileNotFoundError), Path(f"/proc/net/{name}").open(encoding="ascii") as table:
            next(table, None)
            for line in table:
                fields = line.split()
                if int(fields[3], 16) != TCP_LISTEN:
                    continue
                raw, port = fields[1].split(":")
                words = [int(raw[i : i + 8], 16) for i in range(0, len(raw), 8)]
                host = socket.inet_ntop(family, b"".join(word.to_bytes(4, "little") for word in words))
                depth = int(fields[4].split(":")[1], 16)
                found.append(Listener(_plain(host), int(port, 16), int(fields[9]), depth, 0, int(fields[7])))
    return found
