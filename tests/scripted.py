"""A server that behaves as told, connection by connection: for what real servers do only in their worst hours."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Script = Callable[[socket.socket], None]


@contextmanager
def scripted(script: Script, family: int = socket.AF_INET, address: object = None) -> Iterator[str]:
    """Serve ``script`` for each connection; gives the URL's beginning, without a slash at the end."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    if address is None:
        address = ("::1", 0) if family == socket.AF_INET6 else ("127.0.0.1", 0)
    listener.bind(address)
    listener.listen(2048)
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection:
            script(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield url_of(listener)
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def url_of(listener: socket.socket) -> str:
    """``http://host:port`` of a listening socket; ``unix:/path`` for a Unix socket."""
    name = listener.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}"


def read_head(connection: socket.socket) -> bytes:
    """The whole head of a request."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(65536)
        if not data:
            break
        head += data
    return head


def say(*parts: bytes, every: float = 0.0, again: int = 1) -> Script:
    """Read the request, then send these parts, ``every`` seconds apart, ``again`` times over."""

    def script(connection: socket.socket) -> None:
        read_head(connection)
        for _ in range(again):
            for part in parts:
                connection.sendall(part)
                if every:
                    time.sleep(every)

    return script


def hang(connection: socket.socket) -> None:
    """Read all, answer nothing."""
    while connection.recv(65536):
        pass


def reset(connection: socket.socket) -> None:
    """Read the request, then reset the connection."""
    read_head(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
