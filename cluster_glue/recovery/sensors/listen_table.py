"""The listening sockets of this network namespace, looked at again and again for next to nothing.

One request over a socket that stays open tells the listeners of both families with their queues and what was dropped at
them (the older ``TCPDIAG_GETSOCK`` of sock_diag(7), extension ``INET_DIAG_SKMEMINFO``): some twenty microseconds at any
number of connections. While nothing happens its answer is the same bytes again, which are not unpacked twice: whoever
gets the very list that he got before knows that nobody began or ceased to listen, that no queue changed, and that
nothing was dropped.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from contextlib import suppress

from cluster_glue.recovery.sensors.socket_dump import (
    LISTEN,
    NETLINK_SOCK_DIAG,
    NLM_F_REQUEST_DUMP,
    NLMSG_DONE,
    NLMSG_ERROR,
    SKMEMINFO,
    TCPDIAG_GETSOCK,
    host_of,
)
from resource_agents.listeners import Listener, listening

#: Seconds for which one look serves everybody.
FRESH = 0.5

#: What passes: another look may succeed. Any other error is a kernel that does not take this request.
PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR})

#: Seconds, and microseconds, that the kernel may take for an answer that it makes while it is asked.
_PATIENCE = struct.pack("@ll", 2, 0)

#: Bytes of one datagram of an answer; the kernel fills at most 32 KiB.
_ANSWER = 65536

_HEADER = struct.Struct("=IHHII")
_RECORD = struct.Struct("=16xB3x2s2x16s32xIIII")
_ATTRIBUTE = struct.Struct("=HH")
_DROPS = struct.Struct("=32xI")
_REQUEST = (
    _HEADER.pack(_HEADER.size + 60, TCPDIAG_GETSOCK, NLM_F_REQUEST_DUMP, 1, 0)
    + struct.pack("=BBBB48xII", socket.AF_INET, 0, 0, 1 << (SKMEMINFO - 1), 1 << LISTEN, 0)
)  # fmt: skip


class ListenTable:
    """All listeners, and in ``drops`` what the kernel dropped at each since it was made, by inode (where it tells)."""

    def __init__(self) -> None:
        self.drops: dict[int, int] = {}
        self._listeners: list[Listener] = []
        self._answer = b""
        self._at = float("-inf")
        self._view = memoryview(bytearray(_ANSWER))  # kept: a new one for each answer costs more than the answer
        self._netlink: socket.socket | None = None
        self._refused = False

    def close(self) -> None:
        """Hold nothing open; what was seen is not recent any more."""
        self._at = float("-inf")
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def look(self) -> list[Listener]:
        """All listeners now; the same list as before while nothing changed. Raises ``OSError``."""
        if not self._refused:
            try:
                answer = self._ask()
            except OSError as error:
                self.close()
                self._answer = b""
                if error.errno in PASSING:
                    raise
                self._refused, self.drops = True, {}
            else:
                if answer != self._answer or not self._answer:
                    self._unpack(answer)
                    self._answer = answer
        if self._refused:
            self._listeners = listening()
        self._at = time.monotonic()
        return self._listeners

    def recent(self) -> list[Listener]:
        """The listeners as of a moment ago. Raises ``OSError``."""
        return self._listeners if time.monotonic() - self._at < FRESH else self.look()

    def _ask(self) -> bytes:
        """The kernel's whole answer. Raises ``OSError``."""
        if self._netlink is None:
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
            self._netlink = socket.socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
            self._netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        self._netlink.sendto(_REQUEST, (0, 0))
        parts: list[bytes] = []
        while True:
            part = bytes(self._view[: self._netlink.recv_into(self._view)])
            at = _last(part)
            if at < 0:
                parts.append(part)
                continue
            parts.append(part[:at])
            return b"".join(parts)

    def _unpack(self, answer: bytes) -> None:
        self._listeners, self.drops = [], {}
        at = 0
        while at + _HEADER.size <= len(answer):
            length, _, _, _, _ = _HEADER.unpack_from(answer, at)
            family, port, address, depth, limit, uid, inode = _RECORD.unpack_from(answer, at)
            host = host_of(family, address)
            plain = "" if host in ("0.0.0.0", "::") else host
            self._listeners.append(Listener(plain, int.from_bytes(port, "big"), inode, depth, limit, uid))
            with suppress(struct.error):
                self._find_drops(inode, answer, at + _HEADER.size + 72, at + length)
            at += max(_HEADER.size, (length + 3) & ~3)

    def _find_drops(self, inode: int, answer: bytes, at: int, end: int) -> None:
        while at + _ATTRIBUTE.size <= end:
            length, kind = _ATTRIBUTE.unpack_from(answer, at)
            if kind == SKMEMINFO:
                (self.drops[inode],) = _DROPS.unpack_from(answer, at + _ATTRIBUTE.size)
            at += max(_ATTRIBUTE.size, (length + 3) & ~3)


def _last(part: bytes) -> int:
    """Where in a datagram the end of the answer is told; -1 when more is to come. Raises ``OSError`` for a refusal."""
    at = 0
    while at + _HEADER.size <= len(part):
        length, kind, _, _, _ = _HEADER.unpack_from(part, at)
        if kind == NLMSG_DONE:
            return at
        if kind == NLMSG_ERROR:
            raise OSError(-struct.unpack_from("=i", part, at + _HEADER.size)[0], "sock_diag")
        at += max(_HEADER.size, (length + 3) & ~3)
    return -1
