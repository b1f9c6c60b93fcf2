"""One instance of the stand-in, as a test sees it: its scripts, its processes, its logs, and koboshi's agent for it."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ocf.programs import PLAIN_ENVIRONMENT, Finished, run
from resource_agents.processes import Process, children, everyone, look, send
from resource_agents.sunone import SunOne
from resource_agents.sunone_family import Family
from tests.ports import free_port
from tests.stand_ins.sunone.install import NAMES, Product, install
from tests.waiting import eventually

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans(yes: bool) -> None:
    """Be the parent of orphans below us, so that a dead daemon stays a zombie only until :func:`bury`."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)


def bury(names: frozenset[str]) -> None:
    """Reap dead orphans of ours that had one of these names, and no other child of the test."""
    for pid in children(os.getpid()):
        process = look(pid)
        with contextlib.suppress(OSError):
            if process is not None and process.dead and Path(f"/proc/{pid}/comm").read_text().strip() in names:
                os.waitpid(pid, os.WNOHANG)


class Instance:
    """``buries`` False leaves zombies: the machine's first process is in no hurry either."""

    def __init__(self, product: Product, directory: Path, port: int) -> None:
        self.product, self.directory, self.port = product, directory, port
        self.server = SunOne({"instance_dir": str(directory)})
        self.buries = True
        self.names = frozenset(name for pair in NAMES.values() for name in pair)

    # -- acting ------------------------------------------------------------------------------------------------------

    def script(self, name: str, *words: str, timeout: float = 60, given: bytes = b"", **env: str) -> Finished:
        place = self.directory / "bin" / name if self.product.release == "7.0" else self.directory / name
        return run([str(place), *words], timeout, {**PLAIN_ENVIRONMENT, **env}, given=given)

    def start(self) -> None:
        finished = self.script("startserv" if self.product.release == "7.0" else "start")
        assert finished.ok, finished.output
        eventually(lambda: self.answer() is not None, what="the first answer")

    def switch(self, name: str, value: float | str = "") -> None:
        (self.directory / "stand-in" / name).write_text(str(value))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.directory / "config" / name
        text = path.read_text()
        assert old in text, text
        path.write_text(text.replace(old, new, 1))

    def clean(self) -> None:
        """Kill everything that this instance started, and nothing else."""
        eventually(self._nothing_left, what="the end of what was killed")
        bury(self.names)

    def _nothing_left(self) -> bool:
        left = [process for process in everyone() if self.server.is_kin(process)]
        for process in left:
            send(process.identity, signal.SIGKILL)
        return not left

    # -- looking -----------------------------------------------------------------------------------------------------

    def family(self) -> Family:
        if self.buries:
            bury(self.names)
        return self.server.family(everyone())

    @property
    def watchdog(self) -> Process:
        found = self.family().watchdog
        assert found is not None
        return found

    @property
    def primordial(self) -> Process:
        return eventually(lambda: self.family().primordials, what="a primordial")[0]

    @property
    def worker(self) -> Process:
        return eventually(lambda: self.family().workers, what="a worker")[0]

    def pids(self) -> tuple[int, int, int]:
        """Pids of watchdog, primordial and first worker."""
        return self.watchdog.pid, self.primordial.pid, self.worker.pid

    def answer(self, method: str = "GET", path: str = "/", timeout: float = 2.0, host: str = "localhost") -> int | None:
        """The status of an HTTP answer; None when none comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, headers={"Host": host, "Connection": "close"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def connects(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
        except OSError:
            return False
        return True

    def errors(self) -> str:
        path = self.directory / "logs/errors"
        return path.read_text(errors="replace") if path.is_file() else ""

    def syslog(self) -> str:
        path = self.product.root / "syslog"
        return path.read_text() if path.exists() else ""

    @property
    def temp(self) -> Path:
        return Path(self.server.temp_path)

    @property
    def pid_file(self) -> str:
        path = self.temp / "pid"
        return path.read_text().strip() if path.exists() else ""


@contextlib.contextmanager
def instances(release: str = "7.0") -> Iterator[Product]:
    """A product in a directory that every user may enter; all its instances' processes end with the block."""
    adopt_orphans(True)
    root = Path(tempfile.mkdtemp(prefix="stand-in-"))
    root.chmod(0o755)
    product = install(root, release)
    try:
        yield product
    finally:
        for directory in root.glob("https-*"):
            Instance(product, directory, 0).clean()
        run(["rm", "-rf", str(root)], 60)
        adopt_orphans(False)


def make(product: Product, name: str = "test", **more: object) -> Instance:
    """An instance on a free port, with delays cut short; the sizes of the real ones are the stand-in's defaults."""
    port = free_port()
    instance = Instance(product, product.instance(name, port, **more), port)  # type: ignore[arg-type]
    for switch, seconds in (("tick", 0.03), ("orderly", 0.2), ("crash-delay", 0.2)):
        instance.switch(switch, seconds)
    return instance
