"""The control socket: where the command asks and tells the daemon.

``<runtime>/control.sock``, mode 0600; only root and our own user are heard (SO_PEERCRED, unix(7)). A connection carries
one JSON object in one line (at most 64 KiB, within 5 s) and gets one JSON line back:

* ``{"do": "status"}``, ``{"do": "reload-config"}``
* ``{"do": "start"}``, and so ``stop``, ``restart``, ``reload``, ``clear``, ``resume``, with ``"resource": NAME``
* ``{"do": "ocf", ...}``, a cluster's action (:mod:`cluster_glue.conversation` has its fields), and ``{"do": "ping"}``
* ``{"do": "pause", "resource": NAME, "for": SECONDS, "reason": TEXT}``

The reply has ``"ok": true``, or ``"ok": false`` with ``error`` and ``remedy``. When too many connections are open, the
one that has waited longest without a whole request makes room, so that idlers keep nobody out.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster_glue.conversation import LONGEST_REQUEST, encode, no, understand

#: Connections open at the same time.
MOST = 64

#: Seconds for a whole request to arrive, and for a reply to be fetched.
PATIENCE = 5.0

#: Seconds that the daemon may take to answer, where the request does not say.
ANSWER_TIME = 30.0


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel says."""

    pid: int
    uid: int
    gid: int

    @property
    def user(self) -> str:
        """For people; no user database is asked, since that may block."""
        return f"uid {self.uid}" if self.uid else "root"


Answer = Callable[[dict[str, Any], Peer], Awaitable[dict[str, Any]]]


class ControlError(Exception):
    """The control socket cannot be had; the message names it and the remedy."""


class Control:
    """The listening side. ``answer`` gets well-formed requests only."""

    def __init__(self, path: Path, answer: Answer, *, most: int = MOST, patience: float = PATIENCE) -> None:
        self.path = path
        self.answer = answer
        self.patience = patience
        self.open: dict[_Conversation, None] = {}  # in the order they came
        self._most = most
        self._lock = -1
        self._inode = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises :class:`ControlError` when another daemon uses the same place."""
        self._take_lock()
        try:
            listener = self._bind()
            self._inode = os.stat(self.path).st_ino
        except OSError as error:
            self._drop_lock()
            raise ControlError(f"{self.path} cannot be listened on: {error.strerror or error}") from None
        except ControlError:
            self._drop_lock()
            raise
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Conversation(self), sock=listener, backlog=MOST)

    async def stop(self) -> None:
        """Listen no longer; conversations are broken off."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for conversation in list(self.open):
            conversation.hang_up()
        with suppress(OSError):
            if os.stat(self.path).st_ino == self._inode:
                self.path.unlink()
        self._drop_lock()
        await asyncio.sleep(0)

    def admit(self, conversation: _Conversation) -> None:
        """Count a new connection in; the one that idles longest makes room."""
        self.open[conversation] = None
        if len(self.open) > self._most:
            idlers = (one for one in self.open if not one.busy)
            loser = next(idlers, conversation)
            self.open.pop(loser)  # now, not when it is closed: the next one must not choose it again
            loser.hang_up()

    def _take_lock(self) -> None:
        """A lock, not the socket, says whether a daemon lives: it ends with its process, however that ends."""
        name = self.path.with_name(self.path.name + ".lock")
        try:
            self._lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(self._lock, 20, 0).decode(errors="replace").strip() or "?"
            self._drop_lock()
            raise ControlError(
                f"koboshi runs already with {self.path.parent} (pid {holder}):"
                " stop that one first, or set KOBOSHI_RUNTIME_DIR and KOBOSHI_STATE_DIR for a second one"
            ) from None
        except OSError as error:
            self._drop_lock()
            raise ControlError(f"{name} cannot be locked: {error.strerror}") from None

    def _drop_lock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _bind(self) -> socket.socket:
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(self.path).st_mode):
                raise ControlError(f"{self.path} is not a socket: move it away")
            self.path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(self.path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fchmod(listener.fileno(), 0o600)  # before bind, so that there is no moment with a wider mode
            listener.bind(f"/proc/self/fd/{directory}/{self.path.name}")  # an address holds 107 bytes, a path more
        except BaseException:
            listener.close()
            raise
        finally:
            os.close(directory)
        return listener


class _Conversation(asyncio.Protocol):
    """One connection: a request, a reply, the end."""

    def __init__(self, control: Control) -> None:
        self.busy = False  # a whole request is here, or refused
        self._control = control
        self._text = bytearray()
        self._work: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = self._loop.call_later(self._control.patience, self._too_late)
        line = transport.get_extra_info("socket")
        self._peer = _peer(line)
        if self._peer.uid not in (0, os.geteuid()):
            self._reply(no("this user may not talk to koboshi", "ask as root or as the user it runs as (sudo)"))
        else:
            # What waited in the queue has sent its request already: read it before anybody is asked to make room.
            with suppress(OSError):
                self.data_received(os.read(line.fileno(), LONGEST_REQUEST))
        self._control.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._timer.cancel()
        self._control.open.pop(self, None)
        if self._work is not None:
            self._work.cancel()

    def data_received(self, data: bytes) -> None:
        if self.busy:
            return
        self._text += data
        line, end, _ = self._text.partition(b"\n")
        if end and len(line) <= LONGEST_REQUEST:
            self.busy = True
            self._timer.cancel()
            self._transport.pause_reading()
            self._work = self._loop.create_task(self._converse(bytes(line)))
        elif len(self._text) > LONGEST_REQUEST:
            self._reply(no(f"a request has at most {LONGEST_REQUEST} bytes", "send less"))

    def eof_received(self) -> bool:
        return self.busy  # a peer may close its sending half and still read

    def hang_up(self) -> None:
        """Break off at once."""
        self._transport.abort()

    async def _converse(self, line: bytes) -> None:
        request = understand(line)
        if isinstance(request, str):
            self._reply(no(request, "use the koboshi command of the daemon's version"))
            return
        try:
            within = max(ANSWER_TIME, request.get("timeout", 0.0))  # a cluster's action has its own time
            reply = await asyncio.wait_for(self._control.answer(request, self._peer), within)
            text = encode(reply)
        except Exception as error:  # whatever it is, the asker gets an answer and the daemon goes on
            reply = no(f"koboshi could not answer: {type(error).__name__}: {error}", "this is a defect: report it")
            text = encode(reply)
        self._send(text)

    def _reply(self, reply: dict[str, Any]) -> None:
        self.busy = True
        self._send(encode(reply))

    def _send(self, text: bytes) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(self._control.patience, self.hang_up)
        self._transport.write(text)
        self._transport.close()

    def _too_late(self) -> None:
        self._reply(no(f"no whole request came within {self._control.patience:g} s", "end the request with a newline"))


def _peer(line: socket.socket) -> Peer:
    return Peer(*struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))))
