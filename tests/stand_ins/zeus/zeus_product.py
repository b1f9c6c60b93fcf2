"""What the stand-in's copied interpreters run: ``zeus.web`` (a parent and its children) and sleeping helpers.

``NAME zeus_product.py ZEUSHOME``. The parent holds the listening sockets, replaces children that die, and takes TERM
(end) and HUP (read the sites again). Assumptions, all of it; only the log's form and the site files' are documented.
"""

import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

CHILDREN = 2


class Home:
    """One ZEUSHOME: its log, its sites, its failure switches."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.pid_file = self.path / "web/internal/pid"
        self._log = os.open(self.path / "web/log/errors", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def log(self, text: str) -> None:
        stamp = time.strftime("[%d/%b/%Y:%H:%M:%S %z]")
        with suppress(OSError):
            os.write(self._log, f"{stamp} {text}\n".encode())

    def is_on(self, switch: str) -> bool:
        return (self.path / "stand-in" / switch).exists()

    def seconds(self, switch: str) -> float:
        with suppress(OSError, ValueError):
            return float((self.path / "stand-in" / switch).read_text())
        return 0.0

    def sites(self) -> dict[str, tuple[str, int]]:
        """Name and address of each running site."""
        found = {}
        for path in sorted((self.path / "web/conf/runningsites").iterdir()):
            pairs = dict(line.split(None, 1) for line in path.read_text().splitlines() if len(line.split(None, 1)) == 2)
            address = pairs.get("address", "*").strip()
            found[path.name] = ("0.0.0.0" if address == "*" else address, int(pairs["port"]))
        return found


class Parent:
    """``zeus.web`` as started: daemon, session leader, parent of all that serves."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.sockets: dict[str, socket.socket] = {}
        self.children: set[int] = set()
        self.helpers: set[int] = set()
        self.wanted: set[int] = set()

    def run(self, tell: int) -> int:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda n, _: self.wanted.add(n))
        if not self.listen():
            os.write(tell, b"f")
            return 1
        self.home.pid_file.write_text(f"{os.getpid()} zeus.web 4.3\n")
        self.helpers = {self.helper("zeus.cgid"), self.helper("zeus.statd")}
        for _ in range(CHILDREN):
            self.spawn()
        self.home.log("INFO:Zeus Web Server started")
        os.write(tell, b"u")
        os.close(tell)
        while True:
            signal.sigtimedwait([], 0.05)
            if signal.SIGTERM in self.wanted and not self.home.is_on("deaf"):
                return self.end()
            if signal.SIGHUP in self.wanted:
                self.wanted.discard(signal.SIGHUP)
                self.listen()
                self.signal_children(signal.SIGTERM)
            self.reap()

    def listen(self) -> bool:
        """Open what the sites ask for and close the rest; False when a first start gets none of its addresses."""
        sites = self.home.sites()
        for name in set(self.sockets) - set(sites):
            self.sockets.pop(name).close()
        for name in set(sites) - set(self.sockets):
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind(sites[name])
                server.listen(511)
                self.sockets[name] = server
            except OSError as error:
                self.home.log(f"SERIOUS:{name}:cannot listen on {sites[name][0]}:{sites[name][1]}: {error.strerror}")
        if sites and not self.sockets:
            self.home.log("FATAL:no virtual server could be started")
            return False
        return True

    def helper(self, name: str) -> int:
        program = str(Path(os.readlink("/proc/self/exe")).parent / name)
        return os.posix_spawn(program, [name, __file__, str(self.home.path)], os.environ)

    def spawn(self) -> None:
        pid = os.fork()
        if not pid:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            serve(self.home, list(self.sockets.values()))
        self.children.add(pid)

    def reap(self) -> None:
        for pid in list(self.children | self.helpers):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if not gone:
                continue
            self.children.discard(pid)
            self.helpers.discard(pid)
            if not self.home.is_on("no-respawn"):
                self.home.log(f"WARN:child {pid} ended (status {os.waitstatus_to_exitcode(status)}), starting another")
                self.spawn()

    def signal_children(self, number: int) -> None:
        for pid in self.children:
            os.kill(pid, number)

    def end(self) -> int:
        time.sleep(self.home.seconds("slow-stop"))
        for pid in self.children | self.helpers:
            os.kill(pid, signal.SIGTERM)
        for pid in self.children | self.helpers:
            os.waitpid(pid, 0)
        with suppress(OSError):
            self.home.pid_file.unlink()
        self.home.log("INFO:Zeus Web Server stopped")
        return 0


def serve(home: Home, servers: list[socket.socket]) -> None:
    """Serve one connection after the other, for ever."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    selector = selectors.DefaultSelector()
    for server in servers:
        server.setblocking(False)
        selector.register(server, selectors.EVENT_READ, server)
    while True:
        for key, _ in selector.select(60):
            with suppress(OSError):
                connection, _ = key.data.accept()
                connection.settimeout(10)
                connection.recv(65536)
                while home.is_on("mute"):
                    time.sleep(0.1)
                page = b"<html><body>zeus</body></html>\n"
                head = (
                    f"HTTP/1.1 200 OK\r\nServer: Zeus/4.3\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
                )
                connection.sendall(head.encode() + page)
                connection.close()


def main() -> int:
    name, home = os.path.basename(sys.orig_argv[0]), Home(sys.argv[1])
    if name != "zeus.web":
        signal.pause()
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        return 0 if os.read(told, 1) == b"u" else 1
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os._exit(Parent(home).run(tell))


if __name__ == "__main__":
    sys.exit(main())
