"""A lab of namespaces as its user sees it from outside: up, down, commands inside, the power switch.

A lab is one directory (``lab.json`` says who runs it) and one process, so that several can live side by side.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vagrant.lab.machines import CHECKOUT, Lab, LabError, check_count, provider_of

#: Programs that have to be here, and the Debian package that brings each.
NEEDED = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "corosync": "corosync",
    "pacemakerd": "pacemaker",
    "crm_mon": "pacemaker-cli-utils",
    "crm": "crmsh",
    "apache2": "apache2",
    "nginx": "nginx-light",
}


@dataclass(frozen=True)
class Room:
    """Who runs a lab: its first process, as the machine knows it, and the number of nodes."""

    pid: int
    start: str
    count: int

    @property
    def lives(self) -> bool:
        return bool(self.start) and started(self.pid) == self.start


def started(pid: int) -> str:
    """The tick at which a process was started (proc(5)); empty when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


class Namespaces(Lab):
    """The lab of namespaces in ``directory``."""

    provider: ClassVar[str] = "namespaces"
    usually: ClassVar[str] = "10 to 15 s"

    # -- up and down ---------------------------------------------------------------------------------------------------

    def missing(self) -> list[str]:
        if os.geteuid() != 0:
            return ["it needs root (namespaces with a network of their own): run it as root"]
        path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
        packages = sorted({package for name, package in NEEDED.items() if shutil.which(name, path=path) is None})
        if packages:
            return [f"Debian packages are missing: apt-get install --no-install-recommends {' '.join(packages)}"]
        if not (CHECKOUT / ".venv/bin/koboshi").exists():
            return ["koboshi is not installed in this checkout: run script/setup"]
        return []

    def exists(self) -> bool:
        return self.room() is not None

    def room(self) -> Room | None:
        """Who runs it; None when nobody does."""
        try:
            found = json.loads((self.directory / "lab.json").read_text())
            room = Room(int(found["pid"]), str(found["start"]), int(found["nodes"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return room if room.lives else None

    def begin(self, count: int, say: Callable[[str], None]) -> None:
        check_count(count)
        for problem in self.missing():
            raise LabError(problem)
        if self.room() is not None:
            raise LabError(f"there is a lab in {self.directory} already: script/lab down ends it")
        if self.directory.exists() and not provider_of(self.directory) and any(self.directory.iterdir()):
            raise LabError(f"{self.directory} is not empty and not a lab's: name another --directory")
        say(f"{count} nodes are switched on")
        self.sweep()
        self.directory.mkdir(parents=True, mode=0o755)
        log = (self.directory / "room.log").open("ab")
        words = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--net", "--uts", "--ipc", "--mount-proc"]
        words += ["--propagation", "private", "--", sys.executable, "-I", str(CHECKOUT / "vagrant/namespaces/room.py")]
        unshare = subprocess.Popen(
            [*words, str(self.directory), str(count), str(CHECKOUT)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
            env={"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        log.close()
        try:
            self._begun(unshare, count)
        except BaseException:
            unshare.kill()
            unshare.wait()
            self.sweep()
            raise

    def _begun(self, unshare: subprocess.Popen[bytes], count: int) -> None:
        start = started(unshare.pid)
        note = {"provider": self.provider, "pid": unshare.pid, "start": start, "nodes": count}
        (self.directory / "lab.json").write_text(json.dumps(note) + "\n")
        end = time.monotonic() + 30
        while not (self.directory / "room.sock").exists():
            if unshare.poll() is not None or time.monotonic() > end:
                said = (self.directory / "room.log").read_text(errors="replace").strip().splitlines()
                raise LabError(f"the machine room did not open: {said[-1] if said else 'it said nothing'}")
            time.sleep(0.02)
        while any(self.ask(f"pid {node}") == "0" for node in self.nodes):
            if time.monotonic() > end:
                raise LabError("the nodes did not start")
            time.sleep(0.02)

    def end(self) -> bool:
        room, there = self.room(), self.directory.exists()
        if room is not None:
            os.kill(room.pid, signal.SIGKILL)  # its child, PID 1 of the room, goes with it, and all namespaces
            end = time.monotonic() + 15
            while room.lives or self._peopled():
                if time.monotonic() > end:
                    raise LabError(f"process {room.pid} of the lab in {self.directory} does not end")
                time.sleep(0.02)
                with suppress(ChildProcessError):
                    os.waitpid(room.pid, os.WNOHANG)
        self.sweep()
        return there

    def _peopled(self) -> bool:
        """Whether a process still has the room's directory on its command line: PID 1 of the room is dying."""
        mark = os.fsencode(self.directory)
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if mark in words and any(word.endswith(b"/room.py") for word in words):
                    return True
        return False

    def sweep(self) -> None:
        """Take the directory of a lab that ended away; never anything else."""
        if provider_of(self.directory) or (self.directory / "room.log").exists():
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[str]:
        return [f"node{number}" for number in range(1, self._present().count + 1)]

    def ask(self, words: str) -> str:
        self._present()
        with socket.socket(socket.AF_UNIX) as switch:
            switch.settimeout(30)
            try:
                switch.connect(str(self.directory / "room.sock"))
                switch.sendall(words.encode() + b"\n")
                answer = switch.makefile().readline().strip()
            except OSError as error:
                raise LabError(f"the machine room does not answer: {error}; script/lab down ends it") from None
        if answer.startswith("error"):
            raise LabError(answer)
        return answer

    def entry(self, node: str = "") -> list[str]:
        room = self._present()
        outer = ["nsenter", "-t", str(self._inner(room.pid)), "-m", "-n", "-p", "-u", "-i", "--"]
        if not node:
            return outer
        pid = self.ask(f"pid {node}")
        if pid == "0":
            raise LabError(f"{node} is off, or not there yet: a command needs a machine that runs")
        return [*outer, "nsenter", "-t", pid, "-m", "-n", "-p", "-u", "-i", "--"]

    def read(self, node: str, path: str) -> str:
        """What the node itself wrote there; what it has of the machine's own files is not looked for."""
        nodes = Path(f"/proc/{self._inner(self._present().pid)}/root{self.directory}/nodes")
        try:
            return (nodes / node / "upper" / path.lstrip("/")).read_text(errors="replace")
        except OSError:
            return ""

    def _present(self) -> Room:
        room = self.room()
        if room is None:
            raise LabError(f"there is no lab in {self.directory}: script/lab up makes one")
        return room

    @staticmethod
    def _inner(pid: int) -> int:
        """PID 1 of the room as the machine knows it: the one child of unshare(1)."""
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
