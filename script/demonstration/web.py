"""A small web server of our own, for machines without Apache and nginx: a main process and two workers.

usage: web.py [--check] CONFIGURATION

Like theirs, its workers share the listening socket and go on answering when their main process is gone. The
configuration has one ``word value`` per line; ``listen PORT`` is needed, ``page TEXT`` may be there. A mistake is told
as ``FILE:LINE: what``, exit status 1.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

WORKERS = 2


def read(path: str) -> tuple[int, str]:
    """Port and page. Raises ``ValueError`` with file and line, ``OSError``."""
    port, page = 0, "it works"
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match line.split(maxsplit=1):
                case ["listen", value] if value.strip().isdigit():
                    port = int(value)
                case ["page", text]:
                    page = text.strip()
                case [word, *_]:
                    raise ValueError(f"{path}:{number}: {word!r} is not understood here")
    if not port:
        raise ValueError(f"{path}:1: there is no listen")
    return port, page


def work(door: socket.socket, page: str) -> None:
    """Answer everything, for ever."""
    body = page.encode()
    answer = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
    while True:
        line, _ = door.accept()
        with line:
            try:
                line.settimeout(5)
                if line.recv(65536):
                    line.sendall(answer)
            except OSError:
                continue


def fork(door: socket.socket, page: str) -> int:
    """A new worker's pid."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work(door, page)
    return pid


def serve(port: int, page: str) -> None:
    """Be the main process."""
    door = socket.create_server(("127.0.0.1", port), backlog=128)
    workers: set[int] = set()

    def leave(*_: object) -> None:
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    while True:
        while len(workers) < WORKERS:
            workers.add(fork(door, page))
        pid, _ = os.wait()
        workers.discard(pid)


def main(words: list[str]) -> int:
    """The command line."""
    try:
        port, page = read(words[-1])
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if "--check" not in words:
        serve(port, page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
