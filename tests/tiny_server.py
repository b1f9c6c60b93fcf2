"""A web server for tests: tiny_server.py PORT [--workers=N] [--pidfile=FILE]; with a pid file in the background.

Workers are forks that accept on the same socket; they do not notice when their parent dies.
"""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    """Answers everything with a line that names the process."""

    def do_GET(self) -> None:
        body = f"hello from {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def main(port: int, workers: int, pidfile: str) -> None:
    """Serve until TERM."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Hello)
    if pidfile:
        if os.fork():
            os._exit(0)
        os.setsid()
        with open(pidfile, "w") as file:
            file.write(f"{os.getpid()}\n")
    pids = []
    for _ in range(workers):
        if not (pid := os.fork()):
            server.serve_forever()
        pids.append(pid)

    def leave(number: int, frame: object) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    server.serve_forever()


if __name__ == "__main__":
    options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[2:])
    main(int(sys.argv[1]), int(options.get("workers", "0")), options.get("pidfile", ""))
