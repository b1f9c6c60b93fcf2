"""The kernel's process connector (netlink, linux/cn_proc.h): who died, how, and whose child it was.

It answers only in the machine's initial network, process and user namespaces and only to the privileged; elsewhere it
stays silent, so its acknowledgement is demanded and everything else is "unavailable", with the reason. A socket filter
in the kernel drops all but what counts (exits of whole processes with a status other than 0), so that a busy machine's
forks do not wake us.
"""

from __future__ import annotations

import array
import asyncio
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

NETLINK_CONNECTOR = 11
NLMSG_DONE = 3
CN_IDX_PROC = CN_VAL_PROC = 1
PROC_CN_MCAST_LISTEN, PROC_CN_MCAST_IGNORE = 1, 2
PROC_EVENT_NONE, PROC_EVENT_EXIT = 0x00000000, 0x80000000
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33

#: Bytes of events that may wait for us before the kernel drops them.
BUFFER = 1 << 20

#: Events taken in one go, so that a storm of deaths leaves the loop time for other things.
BATCH = 2048

#: Statuses of the latest deaths that are kept for whoever asks, and for how long (s).
MEMORY, MEMORY_TIME = 1024, 60.0

_NETLINK = struct.Struct("=IHHII")
_CONNECTOR = struct.Struct("=IIIIHH")
_EVENT = struct.Struct("=IIQ")
_EXIT = struct.Struct("=IIIIII")
_WHAT = _NETLINK.size + _CONNECTOR.size
_DATA = _WHAT + _EVENT.size


class Unavailable(Exception):
    """The connector does not answer here; the message says why."""


@dataclass(frozen=True, slots=True)
class Exit:
    """A process ended. ``status`` as subprocess gives it, ``parent`` at that moment, ``when`` on CLOCK_MONOTONIC, s."""

    pid: int
    status: int
    parent: int
    when: float


class ProcessConnector:
    """Listens from the moment it is made. Raises :class:`Unavailable` within ``ack_timeout`` seconds."""

    def __init__(self, ack_timeout: float = 0.25) -> None:
        self._recent: dict[int, Exit] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_exit: Callable[[Exit], None] | None = None
        self._on_lost: Callable[[], None] | None = None
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_CONNECTOR
            )
        except OSError as error:
            raise Unavailable(f"no connector socket: {error.strerror}") from None
        try:
            self._listen(ack_timeout)
        except OSError as error:
            self._socket.close()
            raise Unavailable(f"the process connector cannot be used here: {error.strerror}") from None
        except Unavailable:
            self._socket.close()
            raise

    def attach(
        self, loop: asyncio.AbstractEventLoop, on_exit: Callable[[Exit], None], on_lost: Callable[[], None]
    ) -> None:
        """Call ``on_exit`` for each death, and ``on_lost`` when the kernel had to drop some."""
        self._loop, self._on_exit, self._on_lost = loop, on_exit, on_lost
        loop.add_reader(self._socket, self.drain)

    def status_of(self, pid: int) -> int | None:
        """How this process ended a moment ago; None when its exit was not seen, or its status was 0."""
        self.drain()
        seen = self._recent.get(pid)
        return seen.status if seen is not None and time.monotonic() - seen.when < MEMORY_TIME else None

    def drain(self) -> None:
        """Take the events that wait, at most a batch of them; never blocks."""
        for _ in range(BATCH):
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return
                if self._on_lost is not None:
                    self._on_lost()
                continue
            seen = parse_exit(data)
            if seen is None:
                continue
            self._recent[seen.pid] = seen
            if len(self._recent) > MEMORY:
                del self._recent[next(iter(self._recent))]
            if self._on_exit is not None:
                self._on_exit(seen)

    def close(self) -> None:
        """Tell the kernel that there is a listener less, and end."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
        with suppress(OSError):
            self._send(PROC_CN_MCAST_IGNORE, 0)
        self._socket.close()

    def _listen(self, ack_timeout: float) -> None:
        _attach_filter(self._socket)
        with suppress(OSError):  # without the privilege the default size must do
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self._socket.bind((0, CN_IDX_PROC))
        number = int.from_bytes(os.urandom(3), "little")
        self._send(PROC_CN_MCAST_LISTEN, number)
        deadline = time.monotonic() + ack_timeout
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            if not poller.poll(left * 1000):
                break
            code = _acknowledged(self._socket.recv(4096), number)
            if code is not None:
                if code:
                    raise OSError(code, os.strerror(code))
                return
        with suppress(OSError):
            self._send(PROC_CN_MCAST_IGNORE, 0)
        raise Unavailable("the process connector gave no acknowledgement: not in the machine's initial namespaces")

    def _send(self, operation: int, number: int) -> None:
        payload = struct.pack("=I", operation)
        connector = _CONNECTOR.pack(CN_IDX_PROC, CN_VAL_PROC, 0, number, len(payload), 0)
        length = _NETLINK.size + len(connector) + len(payload)
        self._socket.sendto(_NETLINK.pack(length, NLMSG_DONE, 0, 0, 0) + connector + payload, (0, 0))


def parse_exit(data: bytes) -> Exit | None:
    """The exit that a message tells of; None for any other message, and for one from before Linux 4.18 (no parent)."""
    if len(data) < _DATA + _EXIT.size:
        return None
    what, _, nanoseconds = _EVENT.unpack_from(data, _WHAT)
    if what != PROC_EVENT_EXIT:
        return None
    pid, group, code, _, _, parent = _EXIT.unpack_from(data, _DATA)
    if pid != group:
        return None
    return Exit(pid, os.waitstatus_to_exitcode(code & 0xFFFF), parent, nanoseconds / 1e9)


def _acknowledged(data: bytes, number: int) -> int | None:
    """The error number of the acknowledgement of our request (0: granted); None for any other message.

    All listeners get all acknowledgements. Ours has our ``ack`` number plus one; the kernel puts its own into ``seq``.
    """
    if len(data) < _DATA + 4:
        return None
    what, _, _ = _EVENT.unpack_from(data, _WHAT)
    _, _, _, answered, _, _ = _CONNECTOR.unpack_from(data, _NETLINK.size)
    if what != PROC_EVENT_NONE or answered != number + 1:
        return None
    (code,) = struct.unpack_from("=I", data, _DATA)
    return int(code)


def _attach_filter(sock: socket.socket) -> None:
    """Classic BPF (linux/filter.h); it loads words in network order, while the messages are in the machine's own."""
    load, equal, equal_x, to_x, give = 0x20, 0x15, 0x1D, 0x07, 0x06
    program = [
        (load, 0, 0, _WHAT),
        (equal, 7, 0, PROC_EVENT_NONE),  # an acknowledgement: take it
        (equal, 0, 7, socket.htonl(PROC_EVENT_EXIT)),
        (load, 0, 0, _DATA),  # process_pid
        (to_x, 0, 0, 0),
        (load, 0, 0, _DATA + 4),  # process_tgid
        (equal_x, 0, 3, 0),  # a thread's end, not a process's: drop it
        (load, 0, 0, _DATA + 8),  # exit_code
        (equal, 1, 0, 0),
        (give, 0, 0, 0xFFFFFFFF),
        (give, 0, 0, 0),
    ]
    code = array.array("B", b"".join(struct.pack("=HBBI", *line) for line in program))
    address, _ = code.buffer_info()
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program), address))
