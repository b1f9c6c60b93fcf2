"""A server of a test's own that does to its sockets what it is asked to: ``python -m tests.socket_server PORT...``.

``GET /`` answers 200 at once. Other paths, each answered before it is done: ``/hang`` accepts no more, ``/spin``
accepts no more and computes, ``/take/N`` accepts N more, reads nothing of them and hangs, ``/files/N`` opens N files
and keeps them, ``/threads/N`` begins N idle threads, ``/keep`` never closes a connection again, ``/lose`` closes the
listener of the last port. ``/slow/S`` is answered after S seconds by the only thread there is, which accepts nobody
meanwhile.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class Server:
    """One thread accepts and answers; what is asked for beside is done by it as well."""

    def __init__(self, ports: list[int], backlog: int) -> None:
        self.listeners = [socket.create_server(("127.0.0.1", port), backlog=backlog) for port in ports]
        self.kept: list[object] = []
        self.keep = False

    def serve(self) -> None:
        while True:
            for ready in select.select(self.listeners, [], [])[0]:
                client, _ = ready.accept()
                self.answer(client)

    def answer(self, client: socket.socket) -> None:
        with_words = client.recv(4096).split()
        verb, _, number = with_words[1].decode().strip("/").partition("/") if len(with_words) > 1 else ("", "", "")
        if verb == "slow":
            time.sleep(float(number))
        client.sendall(ANSWER)
        if self.keep:
            self.kept.append(client)
        else:
            client.close()
        self.obey(verb, int(float(number or 0)))

    def obey(self, verb: str, number: int) -> None:
        match verb:
            case "hang":
                threading.Event().wait()
            case "take":
                self.kept += [self.listeners[0].accept() for _ in range(number)]
                threading.Event().wait()
            case "spin":
                while True:
                    pass
            case "files":
                self.kept += [open("/dev/null") for _ in range(number)]  # noqa: SIM115 - that they stay open is the point
            case "threads":
                for _ in range(number):
                    threading.Thread(target=threading.Event().wait, daemon=True).start()
            case "keep":
                self.keep = True
            case "lose":
                self.listeners.pop().close()


if __name__ == "__main__":
    Server([int(word) for word in sys.argv[2:]], int(sys.argv[1])).serve()
