"""Listening and connected TCP sockets around one server: one dump of the kernel's socket diagnosis (sock_diag(7)).

Between two looks the table shows whether a server still works: a connection that it had accepted and that is gone was
closed by the server, for one that only the client closed stays in ``CLOSE_WAIT`` until the server closes it too. A
connection without an inode waits in the accept queue.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from cluster_glue.diagnosis.resolvers import asking
from resource_agents.booting import describe
from resource_agents.layouts import Address
from resource_agents.listeners import (
    NETLINK_SOCK_DIAG,
    NLM_F_REQUEST_DUMP,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOCK_DIAG_BY_FAMILY,
    listening,
    on,
    sockets_of,
)
from resource_agents.processes import look

#: States of TCP sockets (include/net/tcp_states.h).
ESTABLISHED, SYN_SENT, SYN_RECV, CLOSE_WAIT = 1, 2, 3, 8
_WANTED: Final = 1 << ESTABLISHED | 1 << SYN_SENT | 1 << SYN_RECV | 1 << CLOSE_WAIT

#: Connections that are looked at, at most; half-open ones that are nothing, whatever the queue's room.
MOST: Final = 30_000
FEW: Final = 32

#: Extension INET_DIAG_INFO, and where tcp_info has the bytes acknowledged by the client and received from it.
_INFO, _BYTES_ACKED, _BYTES_RECEIVED = 2, 120, 128

#: Where it has the milliseconds since data was sent and received last.
_LAST_SENT, _LAST_RECEIVED = 44, 52

_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI48x")
_RECORD = struct.Struct("=BBBBHH16s16sI8sIIIII")
_ATTRIBUTE = struct.Struct("=HH")


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection; ``key`` is its local port and its remote end, ``inode`` 0 while it waits to be accepted."""

    key: tuple[int, str, int]
    state: int
    inode: int
    answered: int
    received: int
    expecting: bool = False  # what was sent last has got no answer


@dataclass(frozen=True, slots=True)
class Table:
    """The sockets of one server at one moment."""

    clients: dict[tuple[int, str, int], Connection]
    upstream: Counter[str]
    expecting: Counter[str]
    room: int = 0  # for half-open connections, as far as it was looked at
    questions: Counter[str] = field(default_factory=Counter)  # threads that wait for a name server

    @property
    def half_open(self) -> int:
        return sum(one.state == SYN_RECV for one in self.clients.values())

    @property
    def accepted(self) -> set[tuple[int, str, int]]:
        return {key for key, one in self.clients.items() if one.inode and one.state == ESTABLISHED}

    @property
    def held(self) -> set[tuple[int, str, int]]:
        """Accepted and not closed by the server, those that the client has given up among them."""
        return {key for key, one in self.clients.items() if one.inode and one.state in (ESTABLISHED, CLOSE_WAIT)}

    @property
    def waiting(self) -> set[tuple[int, str, int]]:
        """Who waits to be accepted; those who have given up among them."""
        return {key for key, one in self.clients.items() if not one.inode and one.state != SYN_RECV}


def dump(addresses: Iterable[Address], pids: Iterable[int]) -> Table:
    """The connections of clients to these addresses, and of these processes to back ends. Raises ``OSError``."""
    addresses, pids = tuple(addresses), tuple(pids)
    ports = {address.port for address in addresses}
    inodes = {inode for pid in pids for inode in sockets_of(pid)}
    clients: dict[tuple[int, str, int], Connection] = {}
    upstream: Counter[str] = Counter()
    expecting: Counter[str] = Counter()
    for family in (socket.AF_INET, socket.AF_INET6):
        for remote, one in _connections(family):
            if one.key[0] in ports:
                clients[one.key] = one
            elif one.inode in inodes:
                upstream[f"{remote}:{one.key[2]}"] += 1
                expecting[f"{remote}:{one.key[2]}"] += one.expecting or one.state == SYN_SENT
    table = Table(clients, upstream, expecting, questions=asking(pids))
    if table.half_open < FEW:
        return table
    return replace(table, room=sum(listener.limit for listener in on(addresses, listening())))


def tell(now: Table, before: Table | None, elapsed: float) -> Iterator[str]:
    """Lines of evidence; ``before`` was ``elapsed`` seconds ago."""
    accepted = now.accepted
    leaked = sum(one.inode != 0 and one.state == CLOSE_WAIT for one in now.clients.values())
    yield f"clients: {len(accepted)} accepted, {len(now.waiting)} waiting to be accepted, {leaked} in CLOSE_WAIT"
    if leaked >= 20 and leaked >= 4 * len(accepted):
        yield f"{leaked} connections that clients closed are still open in the server (CLOSE_WAIT)"
    # where nobody accepts, connections are half open behind a full accept queue, and that is no flood
    if now.room and now.half_open >= now.room and now.half_open > 10 * len(now.waiting):
        yield f"{now.half_open} half-open connections (SYN_RECV) fill its queues, which have room for {now.room}"
    for where, count in now.upstream.most_common(3):
        yield f"{count} connections to {where}"
        asked = now.expecting[where]
        if len(accepted) >= 2 and asked >= 0.8 * len(accepted):
            yield f"{asked} requests to {where} wait for its answer, for {len(accepted)} clients"
    for where, count in now.questions.most_common(3):
        if now.held and count >= 0.8 * len(now.held):
            yield f"{count} threads wait for the name server {where}, for {len(now.held)} clients"
    if before is not None:
        yield from _compare(now, before, elapsed)


def _compare(now: Table, before: Table, elapsed: float) -> Iterator[str]:
    had = before.held
    finished = {key for key in had if key not in now.clients}
    grown = {key for key in had & now.held if now.clients[key].answered > before.clients[key].answered}
    if had:
        words = "no answer was given" if not finished and not grown else "the server works on"
        yield (
            f"{words}: of {len(had)} accepted connections {len(finished)} were finished"
            f" and {len(grown)} got answers within {elapsed:.1f} s"
        )
    elif before.waiting and before.waiting <= now.waiting and not now.accepted:
        yield f"no answer was given: {len(before.waiting)} connections wait to be accepted for {elapsed:.1f} s at least"
    held = [(now.clients[key], before.clients[key]) for key in before.accepted & now.accepted]
    silent = sum(not one.received for one, _ in held)
    dripping = sum(not one.answered and 0 < one.received - past.received < 200 for one, past in held)
    if len(held) >= 3 and silent + dripping >= 0.8 * len(held):
        yield (
            f"of {len(held)} clients {silent} have sent nothing and {dripping} send their request"
            f" a few bytes at a time, for {elapsed:.1f} s at least"
        )


def tell_listeners(addresses: Iterable[Address], pids: Iterable[int]) -> Iterator[str]:
    """The listeners of these addresses, their queues, and who holds them."""
    wanted = tuple(addresses)
    mine = {inode: pid for pid in pids for inode in sockets_of(pid)}
    held = on(wanted, listening())
    for listener in held:
        where = f"{listener.host or '*'}:{listener.port}"
        full = ": full" if listener.limit and listener.depth >= listener.limit else ""
        holder = "this server" if listener.inode in mine else _holder(listener.inode)
        yield f"{where} is held by {holder}; {listener.depth} of {listener.limit} connections wait{full}"
    for address in wanted:
        if not on((address,), held):
            yield f"nobody listens on {address}"


def _holder(inode: int) -> str:
    for name in os.listdir("/proc"):
        if name.isdigit() and inode in sockets_of(int(name)):
            process = look(int(name))
            if process is not None:
                return f"somebody else: {describe(process)}"
    return "nobody that can be seen"


def _connections(family: int) -> Iterator[tuple[str, Connection]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(1.0)
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << _INFO - 1, _WANTED)
        header = _HEADER.pack(_HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
        netlink.sendto(header + request, (0, 0))
        count = 0
        while count < MOST:
            data = netlink.recv(262144)
            at = 0
            while at + _HEADER.size <= len(data):
                length, kind, *_ = _HEADER.unpack_from(data, at)
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", data, at + _HEADER.size)[0], "sock_diag")
                yield _record(family, data[at + _HEADER.size : at + length])
                count += 1
                at += (length + 3) & ~3


def _record(family: int, data: bytes) -> tuple[str, Connection]:
    _, state, _, _, local, remote, _, destination, _, _, _, _, _, _, inode = _RECORD.unpack_from(data)
    host = socket.inet_ntop(family, destination[:4] if family == socket.AF_INET else destination)
    host = host.removeprefix("::ffff:")
    key = (socket.ntohs(local), host, socket.ntohs(remote))
    answered = received = 0
    expecting = False
    at = _RECORD.size
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            break
        if kind == _INFO and length >= 4 + _BYTES_RECEIVED + 8:
            answered, received = struct.unpack_from("=QQ", data, at + 4 + _BYTES_ACKED)
            (sent_ago,) = struct.unpack_from("=I", data, at + 4 + _LAST_SENT)
            (received_ago,) = struct.unpack_from("=I", data, at + 4 + _LAST_RECEIVED)
            expecting = answered > 1 and (not received or sent_ago < received_ago)
        at += (length + 3) & ~3
    return host, Connection(key, state, inode, answered, received, expecting)
