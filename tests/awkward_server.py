"""A web server that behaves as badly as it is told: awkward_server.py PORT FOLDER.

It notes its pid in FOLDER/mains when it begins. What it does is said by the words in FOLDER/manners, read each time:

late      it opens its port only when the word is gone
silent    connections are accepted and get no answer
slow      each answer takes half a second
stubborn  TERM does not end it
broken    it does not start: "manners:1: broken", exit status 1
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def manners(folder: str) -> list[str]:
    """The words as of now."""
    with open(f"{folder}/manners", encoding="utf-8") as file:
        return file.read().split()


class Awkward(BaseHTTPRequestHandler):
    """Answers with its pid, if at all."""

    folder = ""

    def do_GET(self) -> None:
        """Answer as the manners say."""
        while "silent" in manners(self.folder):
            time.sleep(0.02)
        if "slow" in manners(self.folder):
            time.sleep(0.5)
        body = f"{os.getpid()}\n".encode()
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def main(port: int, folder: str) -> None:
    """Serve until TERM, at the best."""
    if "broken" in manners(folder):
        sys.exit("manners:1: broken")
    with open(f"{folder}/mains", "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")

    def leave(number: int, frame: object) -> None:
        if "stubborn" not in manners(folder):
            os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    while "late" in manners(folder):
        time.sleep(0.02)
    Awkward.folder = folder
    ThreadingHTTPServer.allow_reuse_address = True
    ThreadingHTTPServer.daemon_threads = True
    server = ThreadingHTTPServer(("127.0.0.1", port), Awkward)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
