"""A lab of namespaces as its user sees it from outside: up, down, commands inside, the power switch.

A lab is one directory (``room.json`` says who runs it) and one process, so that several can live side by side.
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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT = "/run/koboshi-lab"
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
LEAST, MOST = 2, 8
#: How a command ends; see Popen.
Done = subprocess.CompletedProcess[str]


class LabError(Exception):
    """The lab cannot do that; the message says why and what helps."""


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


def missing() -> list[str]:
    """Why a lab cannot be made here, each with its remedy."""
    if os.geteuid() != 0:
        return ["it needs root (namespaces with a network of their own): run it as root"]
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    packages = sorted({package for name, package in NEEDED.items() if shutil.which(name, path=path) is None})
    if packages:
        return [f"Debian packages are missing: apt-get install --no-install-recommends {' '.join(packages)}"]
    if not (CHECKOUT / ".venv/bin/koboshi").exists():
        return ["koboshi is not installed in this checkout: run script/setup"]
    return []


def check_count(count: int) -> None:
    """Raises :class:`LabError` for a number of nodes that is no cluster, or too many for one machine."""
    if not LEAST <= count <= MOST:
        raise LabError(f"a cluster of {count} is none we can make: --nodes takes {LEAST} to {MOST}")


class Lab:
    """The lab in ``directory``."""

    def __init__(self, directory: str | Path = "") -> None:
        self.directory = Path(directory or os.environ.get("LAB_DIR") or DEFAULT).absolute()

    # -- up and down ---------------------------------------------------------------------------------------------------

    def room(self) -> Room | None:
        """Who runs it; None when nobody does."""
        try:
            found = json.loads((self.directory / "room.json").read_text())
            room = Room(int(found["pid"]), str(found["start"]), int(found["nodes"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return room if room.lives else None

    def begin(self, count: int = LEAST) -> None:
        """Switch the machines on. Raises :class:`LabError`; nothing is left then."""
        check_count(count)
        for problem in missing():
            raise LabError(problem)
        if self.room() is not None:
            raise LabError(f"there is a lab in {self.directory} already: script/lab down ends it")
        if self.directory.exists() and not (self.directory / "room.json").exists() and any(self.directory.iterdir()):
            raise LabError(f"{self.directory} is not empty and not a lab's: name another --directory")
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
        note = {"pid": unshare.pid, "start": started(unshare.pid), "nodes": count}
        (self.directory / "room.json").write_text(json.dumps(note) + "\n")
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
        """End everything at once; whether there was anything."""
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
        if (self.directory / "room.json").exists() or (self.directory / "room.log").exists():
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[str]:
        """Their names. Raises :class:`LabError` when there is no lab."""
        return [f"node{number}" for number in range(1, self._present().count + 1)]

    def ask(self, words: str) -> str:
        """One line to the power switch, and its answer. Raises :class:`LabError`."""
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
        """The words before a command that run it in ``node``; without one, in the machine room (the client's place)."""
        room = self._present()
        outer = ["nsenter", "-t", str(self._inner(room.pid)), "-m", "-n", "-p", "-u", "-i", "--"]
        if not node:
            return outer
        pid = self.ask(f"pid {node}")
        if pid == "0":
            raise LabError(f"{node} is off, or not there yet: a command needs a machine that runs")
        return [*outer, "nsenter", "-t", pid, "-m", "-n", "-p", "-u", "-i", "--"]

    def run(self, node: str, command: str | Sequence[str], timeout: float = 60.0) -> Done:
        """Run ``command`` in ``node`` (a string: by sh). Raises :class:`LabError` when it is not done in time."""
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        try:
            return subprocess.run(
                [*self.entry(node), *words], timeout=timeout, text=True, errors="replace", env=environment(), cwd="/",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LabError(f"{node}: {command} took longer than {timeout:g} s") from None

    def inside(self, node: str, path: str) -> Path:
        """What a node wrote at ``path``, as a file to read here, whether the node is on or off."""
        place = Path(f"/proc/{self._inner(self._present().pid)}/root{self.directory}/nodes/{node}/upper")
        return place / path.lstrip("/")

    def _present(self) -> Room:
        room = self.room()
        if room is None:
            raise LabError(f"there is no lab in {self.directory}: script/lab up makes one")
        return room

    @staticmethod
    def _inner(pid: int) -> int:
        """PID 1 of the room as the machine knows it: the one child of unshare(1)."""
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def environment() -> dict[str, str]:
    """What a command in a node gets."""
    path = f"{CHECKOUT}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": "/root", "TERM": os.environ.get("TERM", "dumb")}
