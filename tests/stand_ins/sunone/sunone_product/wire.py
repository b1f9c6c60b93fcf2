"""Messages between the three processes: one JSON line each over Unix sockets, a descriptor beside it where asked."""

import json
import os
import selectors
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress


def send(channel: socket.socket, message: dict[str, object], fds: Iterable[int] = ()) -> bool:
    """Send one message; False when nobody is there any more."""
    try:
        socket.send_fds(channel, [json.dumps(message).encode() + b"\n"], list(fds))
    except OSError:
        return False
    return True


def receive(channel: socket.socket) -> tuple[dict[str, object] | None, list[int]]:
    """The next message and its descriptors; None at the end. One message is in flight at a time."""
    data, fds = b"", []
    with suppress(OSError):
        while not data.endswith(b"\n"):
            chunk, more, _, _ = socket.recv_fds(channel, 65536, 4)
            if not chunk:
                return None, fds
            data += chunk
            fds += more
    return (json.loads(data.splitlines()[-1]) if data.endswith(b"\n") else None), fds


def connect(path: str) -> socket.socket | None:
    """A connection to a Unix socket; None when nobody listens."""
    channel = socket.socket(socket.AF_UNIX)
    try:
        channel.connect(path)
    except OSError:
        channel.close()
        return None
    return channel


def listen(path: str) -> socket.socket:
    """A listening Unix socket in place of whatever had that name."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(64)
    return server


class Signals:
    """Signals as readable data, so that one ``select`` sees everything."""

    def __init__(self, selector: selectors.BaseSelector, *numbers: int) -> None:
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)
        selector.register(self._read, selectors.EVENT_READ, self)

    def came(self) -> list[int]:
        """The numbers that came since the last call."""
        with suppress(BlockingIOError):
            return list(os.read(self._read, 256))
        return []


def defaults() -> None:
    """Undo in a forked child what :class:`Signals` did."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGSEGV):
        signal.signal(number, signal.SIG_DFL)
