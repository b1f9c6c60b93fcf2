"""One run of one fault: a daemon of its own with one real server, and hands to hurt it with."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cluster_glue.journal_reader import Incident, JournalUnreadable
from resource_agents.cgroups import place, tag_of
from resource_agents.processes import Process, children, send
from tests.diagnosed import apache, nginx
from tests.koboshi_daemon import KoboshiDaemon
from tests.ports import free_port
from tests.tomcat_server import TomcatServer
from tests.waiting import eventually

#: Probes in quick succession, so that a run takes seconds; koboshi's defaults otherwise.
QUICK = (
    "probe_interval = 0.5\nprobe_timeout = 1\nconnect_timeout = 1\nretry_interval = 0.3\n"
    "restart_wait = 0.2\nrestart_wait_max = 5\nstart_timeout = 60\n"
)

#: What is seen, in place of a cause that is proved.
SYMPTOMS = (
    "",
    "unknown",
    "mute",
    "not-accepting",
    "accept-queue-full",
    "cut",
    "wrong-answer",
    "not-listening",
    "exited",
)


@dataclass
class Stage:
    """``right`` may be narrowed by the fault itself: a text that the reason must hold."""

    folder: Path
    server: str
    port: int = field(default_factory=free_port)
    must_say: str = ""
    inside: tuple[str, ...] = ()
    koboshi: KoboshiDaemon | None = None
    tomcat: TomcatServer | None = None
    extra: str = ""
    numbers: str = QUICK
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    # -- before the daemon runs ----------------------------------------------------------------------------------------

    def configure(self, more: str = "", url: str = "/server-status?auto", http: str = "", root: str = "") -> None:
        """Write the server's configuration; ``self.config`` is koboshi's."""
        if self.server == "apache":
            self.config = apache(self.folder / "web", self.port, more, url)
        elif self.server == "nginx":
            self.config = nginx(self.folder / "web", self.port, http, root or "return 200 well;")
        else:
            self.tomcat = tomcat = TomcatServer(self.folder / "tomcat", **({"catalina_opts": more} if more else {}))
            lines = [f'{name} = "{value}"' for name, value in tomcat.values.items()]
            self.config = '[resource.web]\nagent = "tomcat"\n' + "\n".join(lines) + "\n"
            self.port = tomcat.http

    def edit(self, old: str, new: str) -> None:
        """Replace a text in the server's configuration."""
        path = next((self.folder / "web").glob("*.conf"))
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new))

    def run(self) -> None:
        """Start koboshi, which starts the server."""
        self.koboshi = KoboshiDaemon(self.folder, self.config + self.numbers + self.extra, self.inside)
        self.undo.callback(_close, self.koboshi)
        self.koboshi.start()

    # -- hands -----------------------------------------------------------------------------------------------------

    def up(self) -> Process:
        """The main process, as soon as it serves."""
        assert self.koboshi is not None
        return self.koboshi.main("web")

    def workers(self) -> list[int]:
        return children(self.up().pid)

    def shell(self, number: int, pid: int, builtin: bool = True) -> None:
        """A shell of somebody's that sends a signal."""
        kill = "kill" if builtin else "/bin/kill"
        line = f"{kill} -{number} {pid}; read wait"
        shell = subprocess.Popen(["bash", "-c", line], stdin=subprocess.PIPE, start_new_session=True)
        self.undo.callback(shell.wait)
        assert shell.stdin is not None
        self.undo.callback(shell.stdin.close)
        if builtin:
            self.must_say = f"pid {shell.pid} (bash"

    def pause_all(self, seconds: float, server: bool = True) -> None:
        """Stop koboshi (and the server) for a while, and let them go on."""
        assert self.koboshi is not None and self.koboshi.identity is not None
        main = self.up()
        stopped = [self.koboshi.identity, *([main.identity] if server else [])]
        pids = children(main.pid) if server else []
        for identity in stopped:
            send(identity, signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        for identity in reversed(stopped):
            send(identity, signal.SIGCONT)

    def clients(self, count: int, first: bytes, then: bytes = b"", answers: bool = True) -> None:
        """So many clients that send ``first``, then a byte of ``then`` now and then, over and over until the end."""
        end = threading.Event()

        def ask() -> None:
            while not end.is_set():
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                    sock.settimeout(0.2)
                    if first:
                        sock.sendall(first)
                    while not end.is_set():
                        if then:
                            sock.sendall(then)
                        with contextlib.suppress(TimeoutError):
                            if not sock.recv(4096):
                                break
                        if not answers:
                            end.wait(0.2)

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()

        def close() -> None:
            end.set()
            for thread in threads:
                thread.join(5)

        self.undo.callback(close)

    def back_end(self, delay: float | None) -> tuple[int, Callable[[], None]]:
        """A back end that answers after ``delay`` seconds (None: never): its port, and how to end it."""
        end = threading.Event()
        server = socket.create_server(("127.0.0.1", 0), backlog=128)
        server.settimeout(0.1)

        def answer(sock: socket.socket) -> None:
            with sock, contextlib.suppress(OSError):
                sock.recv(65536)
                end.wait(delay)
                sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>")

        def serve() -> None:
            with server:
                while not end.is_set():
                    with contextlib.suppress(TimeoutError):
                        threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def close() -> None:
            end.set()
            thread.join(5)

        self.undo.callback(close)
        return int(server.getsockname()[1]), close

    def holder(self, port: int) -> None:
        """Another program that holds a port."""
        line = f"import socket,time; s=socket.create_server(('127.0.0.1',{port})); print(1,flush=True); time.sleep(600)"
        program = subprocess.Popen(["/usr/bin/python3.11", "-c", line], stdout=subprocess.PIPE, start_new_session=True)
        self.undo.callback(program.wait)
        self.undo.callback(program.kill)
        assert program.stdout is not None
        program.stdout.readline()
        self.must_say = f"pid {program.pid}"

    def tmpfs(self, size: str) -> Path:
        """A small file system, gone with the run."""
        path = self.folder / "small"
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], check=True)
        self.undo.callback(lambda: subprocess.run(["umount", "-l", str(path)], check=False))
        return path

    def group(self, controller: str, pid: int, **limits: str) -> Path:
        """A control group (v1) with limits, and ``pid`` in it."""
        path = Path(f"/sys/fs/cgroup/{controller}/koboshi-bench-{os.getpid()}-{self.port}")
        path.mkdir()
        self.undo.callback(_remove, path)
        for name, value in limits.items():
            (path / name.replace("_", ".", 1)).write_text(value)
        (path / "cgroup.procs").write_text(str(pid))
        return path

    # -- what koboshi says -----------------------------------------------------------------------------------------

    def incidents(self) -> list[Incident]:
        assert self.koboshi is not None
        with contextlib.suppress(JournalUnreadable):
            return self.koboshi.incidents("web")
        return []

    def verdict(self, wait: float, right: tuple[str, ...] = (), warned: bool = False) -> tuple[str, str]:
        """Cause and reason of the first incident with its evidence, or of what was only reported.

        A symptom that is only reported counts at once if it is ``right``. ``warned``: what the log foretells is enough.
        """
        assert self.koboshi is not None
        end = time.monotonic() + wait
        while time.monotonic() < end:
            found = [one for one in self.incidents() if one.number == 1]
            told = bool(found) and any(line.message == "evidence-kept" for line in self.koboshi.timeline("web-1"))
            if told:  # by now it may have got another name than when it was looked up
                named = next(one for one in self.incidents() or found if one.number == 1)
                return named.cause, named.reason
            reported = self.koboshi.lines("degraded", "web")
            for line in (*reported, *(self.omens() if warned else ())):
                if _cause(line) in right or _cause(line) not in SYMPTOMS:
                    return _cause(line), line
            time.sleep(0.1)
        found = self.incidents()
        return (found[-1].cause, found[-1].reason) if found else ("", "nothing was said")

    def omens(self) -> list[str]:
        """Its warnings of what the server's log says while it answers."""
        assert self.koboshi is not None
        return [line for line in self.koboshi.lines("sighting", "web") if "its log tells of" in line]

    def foretold(self) -> set[str]:
        """The causes of these warnings."""
        return {_cause(line) for line in self.omens()}

    def restarts(self) -> int:
        """How often it was restarted."""
        assert self.koboshi is not None
        return len(self.koboshi.lines("restarting", "web"))


def _cause(line: str) -> str:
    """The cause that a line of koboshi's names."""
    return line.rsplit("[", 1)[1].split(", ")[1].rstrip("]")


def _close(koboshi: KoboshiDaemon) -> None:
    """End it; its control groups go when the last of a large process is gone."""
    try:
        koboshi.close()
    except OSError:
        group = place(tag_of(koboshi.runtime), "any")
        if group is not None:
            eventually(lambda: _emptied(group.path.parent), what="the end of the control groups")


def _emptied(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        for below in folder.glob("*/"):
            below.rmdir()
        folder.rmdir()
    return not folder.exists()


def _remove(group: Path) -> None:
    """Put out whoever is left in it, and remove it."""
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (group.parent / "cgroup.procs").write_text(pid)
    with contextlib.suppress(OSError):
        group.rmdir()


@contextlib.contextmanager
def staged(folder: Path, server: str) -> Iterator[Stage]:
    """A stage, and nothing left of it."""
    stage = Stage(folder, server)
    try:
        yield stage
    finally:
        stage.undo.close()
