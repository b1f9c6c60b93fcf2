"""TCP sockets of this network namespace in bulk, by the kernel's own filters (sock_diag(7)).

A dump walks the kernel's whole connection table, some milliseconds on a big machine, and then pays for each socket that
passes the filter of states and ports. So both filters are the kernel's, both families come in one walk (the older
``TCPDIAG_GETSOCK`` request; two walks where a kernel refuses it), and what comes is counted in blocks: messages of one
length are unpacked together, no object is made for a single socket.
"""

from __future__ import annotations

import math
import socket
import struct
from collections import Counter
from collections.abc import Collection, Iterator

NETLINK_SOCK_DIAG = 4
TCPDIAG_GETSOCK, SOCK_DIAG_BY_FAMILY = 18, 20
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3

#: States as the kernel numbers them (include/net/tcp_states.h).
STATES = {
    1: "established",
    2: "syn-sent",
    3: "syn-recv",
    4: "fin-wait-1",
    5: "fin-wait-2",
    6: "time-wait",
    8: "close-wait",
    9: "last-ack",
    11: "closing",
}
ESTABLISHED, SYN_RECV, CLOSE_WAIT, LISTEN = 1, 3, 8, 10

#: States in which the server has said its last word, and may still hold the connection.
HALF_CLOSED = (4, 5, 11)

#: Extensions in a request, and their attributes in an answer: the connection in figures (struct tcp_info); the socket's
#: memory, and what was dropped at it.
INFO, SKMEMINFO = 2, 7

#: Bytecode of include/uapi/linux/inet_diag.h: source port at least, at most; jump.
_S_GE, _S_LE, _JMP = 2, 3, 1

#: Ports that fit in one filter; more are not filtered by the kernel (a jump's distance has 16 bits).
MOST_PORTS = 1000

#: Bytes of one message before its attributes.
FIXED = 88

_HEADER = struct.Struct("=IHHII")
_OLD_REQUEST = struct.Struct("=BBBB48xII")
_REQUEST = struct.Struct("=BBBxI48x")
_OPERATION = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_QUEUED = struct.Struct("=17xB42x8s4xI8xI")  # state, the kernel's name, bytes unread, inode
_BYTES_RECEIVED = struct.Struct("=128xQ")


def count(states: Collection[int], ports: Collection[int] = ()) -> Counter[tuple[int, int]]:
    """Sockets by (state, local port), of these local ports only where some are given. Raises ``OSError``."""
    raw: Counter[tuple[int, bytes]] = Counter()
    for block, length in _dump(states, _only(ports)):
        raw.update(struct.iter_unpack(f"=17xB2x2s{length - 22}x", block))
    return Counter({(state, int.from_bytes(port, "big")): number for (state, port), number in raw.items()})


def troubled() -> list[tuple[int, int, bytes, int]]:
    """Half-open connections and those whose client closed: (state, local port, the kernel's name, inode).

    A healthy server has few of them, however many connections it has. Raises ``OSError``.
    """
    found: list[tuple[int, int, bytes, int]] = []
    for block, length in _dump((SYN_RECV, CLOSE_WAIT), b""):
        found += [
            (state, int.from_bytes(port, "big"), cookie, inode)
            for state, port, cookie, inode in struct.iter_unpack(f"=17xB2x2s38x8s16xI{length - FIXED}x", block)
        ]
    return found


def inodes(ports: Collection[int] = ()) -> set[int]:
    """Inodes of established connections (of these local ports). Raises ``OSError``."""
    found: set[int] = set()
    for block, length in _dump((ESTABLISHED,), _only(ports)):
        found.update(inode for (inode,) in struct.iter_unpack(f"=84xI{length - FIXED}x", block))
    return found


def destinations(low: int, high: int, listening: Collection[int]) -> Counter[tuple[str, int]]:
    """Local ports from ``low`` to ``high`` in use towards each remote (address, port). Raises ``OSError``.

    A port can be used once from each local address, so it is the local address with the most that counts. Connections
    of our own ``listening`` ports are left out: their remote side is a client.
    """
    raw: Counter[tuple[int, bytes, bytes, bytes]] = Counter()
    ours = {port.to_bytes(2, "big") for port in listening}
    for block, length in _dump(STATES.keys(), _between(low, high)):
        for family, port, remote, local, address in struct.iter_unpack(f"=16xB3x2s2s16s16s{length - 56}x", block):
            if port not in ours:
                raw[family, local, remote, address] += 1
    most: Counter[tuple[str, int]] = Counter()
    for (family, _, remote, address), number in raw.items():
        where = host_of(family, address), int.from_bytes(remote, "big")
        most[where] = max(most[where], number)
    return most


def queued(ports: Collection[int], most: int) -> tuple[set[bytes], int] | None:
    """Who waits at these local ports and was not heard yet (the kernel's names), and how many others are connected.

    A connection in an accept queue belongs to no process yet, so it has no inode. One that was accepted still waits
    when all that its client sent lies unread. Any other counts until the server has closed it, half-closed ones (a
    lingering close) too. None for more than ``most`` connections. Raises ``OSError``.
    """
    waiting: set[bytes] = set()
    heard = total = 0
    for block, length in _dump((ESTABLISHED, CLOSE_WAIT, *HALF_CLOSED), _only(ports), INFO):
        total += len(block) // length
        if total > most:
            return None
        for start in range(0, len(block), length):
            state, cookie, unread, inode = _QUEUED.unpack_from(block, start)
            if not inode:
                if state not in HALF_CLOSED:  # those without an inode are closed and forgotten by their process
                    waiting.add(cookie)
            elif unread and state not in HALF_CLOSED and unread >= _received(block[start + FIXED : start + length]):
                waiting.add(cookie)
            else:
                heard += 1
    return waiting, heard


def _received(attributes: memoryview) -> float:
    """How many bytes a connection has received; infinite where the kernel does not tell."""
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == INFO and length >= _ATTRIBUTE.size + _BYTES_RECEIVED.size:
            return float(_BYTES_RECEIVED.unpack_from(attributes, _ATTRIBUTE.size)[0])
        attributes = attributes[max(_ATTRIBUTE.size, (length + 3) & ~3) :]
    return math.inf


def _dump(states: Collection[int], filter_: bytes, extension: int = 0) -> Iterator[tuple[memoryview, int]]:
    """Blocks of messages of one length each, with that length."""
    mask = sum(1 << state for state in states)
    wanted = 1 << (extension - 1) if extension else 0
    attribute = _ATTRIBUTE.pack(4 + len(filter_), 1) + filter_ if filter_ else b""
    try:
        old = _OLD_REQUEST.pack(socket.AF_INET, 0, 0, wanted, mask, 0)
        yield from _ask(TCPDIAG_GETSOCK, old + attribute)
    except _Refused:
        for family in (socket.AF_INET, socket.AF_INET6):
            request = _REQUEST.pack(family, socket.IPPROTO_TCP, wanted, mask)
            yield from _ask(SOCK_DIAG_BY_FAMILY, request + attribute)


class _Refused(OSError):
    """The kernel does not take this request; nothing was dumped."""


def _ask(kind: int, request: bytes) -> Iterator[tuple[memoryview, int]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(2.0)
        netlink.sendto(_HEADER.pack(_HEADER.size + len(request), kind, NLM_F_REQUEST_DUMP, 1, 0) + request, (0, 0))
        buffer = bytearray(65536)
        view = memoryview(buffer)
        while True:
            size = netlink.recv_into(buffer)
            start = 0
            while size - start >= _HEADER.size:
                length, what, *_ = _HEADER.unpack_from(buffer, start)
                if what == NLMSG_DONE:
                    return
                if what == NLMSG_ERROR:
                    raise _Refused(-struct.unpack_from("=i", buffer, start + _HEADER.size)[0], "sock_diag")
                step = max(_HEADER.size, (length + 3) & ~3)
                many = _alike(buffer, start, size, step)
                yield view[start : start + many * step], step
                start += many * step


def _alike(buffer: bytearray, start: int, size: int, step: int) -> int:
    """How many messages from ``start`` on have this length, all of them sockets: usually the whole datagram."""
    many = (size - start) // step
    head = bytes(buffer[start : start + 6])  # length and type
    if many * step == size - start and all(
        buffer[start + i : size : step].count(head[i]) == many for i in range(len(head))
    ):
        return many
    for number in range(many):
        if buffer[start + number * step : start + number * step + 6] != head:
            return max(1, number)
    return max(1, many)


def _only(ports: Collection[int]) -> bytes:
    """Bytecode that lets sockets of these local ports pass: test after test, from the first that fits to the end."""
    if not ports or len(ports) > MOST_PORTS:
        return b""
    code, total = b"", 20 * len(ports) + 4
    for port in sorted(ports):
        left = total - len(code)
        code += _test(_S_GE, 20, port) + _test(_S_LE, 12, port) + _OPERATION.pack(_JMP, 4, left - 16)
    return code + _OPERATION.pack(_JMP, 4, 8)  # beyond the end: refused


def _between(low: int, high: int) -> bytes:
    return _test(_S_GE, 20, low) + _test(_S_LE, 12, high)


def _test(operation: int, otherwise: int, port: int) -> bytes:
    """A comparison that goes on behind itself, or ``otherwise`` bytes ahead."""
    return _OPERATION.pack(operation, 8, otherwise) + _OPERATION.pack(0, 0, port)


def host_of(family: int, address: bytes) -> str:
    """An address as the kernel has it, in words."""
    return socket.inet_ntop(family, address[:4] if family == socket.AF_INET else address).removeprefix("::ffff:")
