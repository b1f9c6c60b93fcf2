"""A lab that is one process, the room: whatever the lab starts is below it and in its namespaces, and ends with it.

The room is ``unshare --kill-child ... room.py``; ``lab.json`` in the lab's directory says who it is. It waits for a
word on its standard input before it does anything: a room that nobody could find again does not come to be.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vagrant.lab.beforehand import check_choices, check_disk, check_place
from vagrant.lab.machines import CHECKOUT, Lab, LabError, check_count, provider_of
from vagrant.lab.room import BRIDGES

#: Seconds within which a room opens (it makes bridges and starts daemons), and within which it ends.
OPENS, ENDS = 60.0, 15.0
#: MiB that a lab needs in its directory for each node, beside a box.
NODE_NEEDED = 100
PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
NAMESPACES = ("--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--mount-proc")


@dataclass(frozen=True)
class Room:
    """Who runs a lab, its first process as the machine knows it, and what the lab is like."""

    pid: int
    start: str
    count: int
    exposed: bool
    fence: str

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


class Roomed(Lab):
    """The lab in ``directory``, with a room."""

    #: The program that is PID 1 of the room, below the checkout; gets the directory, the count, the checkout and
    #: :attr:`room_words`.
    room_program: ClassVar[str] = "vagrant/machines/room.py"
    room_words: ClassVar[tuple[str, ...]] = ()
    #: The fence device that it has unless it is chosen (see cluster.sh).
    fence: ClassVar[str] = "lab"
    #: Those that LAB_FENCE can choose among, that one first.
    fences: ClassVar[tuple[str, ...]] = ("lab",)

    @property
    def fenced_by(self) -> str:
        """The fence device of this very lab."""
        return self.fence

    def exists(self) -> bool:
        return self.room() is not None

    def room(self) -> Room | None:
        """Who runs it; None when nobody does."""
        room = self._noted()
        return room if room is not None and room.lives else None

    def _noted(self) -> Room | None:
        try:
            found = json.loads((self.directory / "lab.json").read_text())
            exposed, fence = bool(found.get("exposed")), str(found.get("fence", ""))
            return Room(int(found["pid"]), str(found["start"]), int(found["nodes"]), exposed, fence)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    # -- up and down ---------------------------------------------------------------------------------------------------

    def check(self, count: int) -> None:
        """Raises :class:`LabError` when no lab of ``count`` nodes can be made here now."""
        check_count(count)
        check_choices(self.provider, self.fences)
        for problem in self.missing():
            raise LabError(problem)
        check_place(self.directory)
        there = provider_of(self.directory)
        if self.room() is not None:
            raise LabError(f"there is a lab in {self.directory} already: script/lab down ends it")
        if there and there != self.provider:
            raise LabError(f"{self.directory} has what is left of a lab of {there}: script/lab down takes it away")
        if self.directory.exists() and not there and any(self.directory.iterdir()):
            raise LabError(f"{self.directory} is not empty and not a lab's: name another --directory")

    def check_space(self, count: int) -> None:
        """Raises :class:`LabError` when a lab of ``count`` nodes would not find room here."""
        check_disk(self.directory, count * NODE_NEEDED)

    def open_room(self, count: int) -> None:
        """Start it and wait until the power switch answers. Raises :class:`LabError`; the caller ends the lab then."""
        self.end()
        self.directory.mkdir(parents=True, mode=0o755, exist_ok=True)
        fence = self.fenced_by
        network = () if self.exposed else ("--net",)
        words = ["unshare", *NAMESPACES, *network, "--propagation", "private", "--", sys.executable, "-I"]
        words += [str(CHECKOUT / self.room_program), str(self.directory), str(count), str(CHECKOUT), *self.room_words]
        with (self.directory / "room.log").open("ab") as log:
            unshare = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, cwd="/",
                env={"PATH": PATH, "LC_ALL": "C.UTF-8", "LAB_ROOM": str(self.directory)},
            )  # fmt: skip
        note = {"provider": self.provider, "pid": unshare.pid, "start": started(unshare.pid), "nodes": count}
        note_file = self.directory / "lab.json"
        note_file.with_suffix(".new").write_text(json.dumps({**note, "exposed": self.exposed, "fence": fence}) + "\n")
        note_file.with_suffix(".new").replace(note_file)
        assert unshare.stdin is not None
        with suppress(BrokenPipeError):
            unshare.stdin.write(b"go\n")
            unshare.stdin.close()
        end = time.monotonic() + OPENS * self.pace
        while not (self.directory / "room.sock").exists():
            if unshare.poll() is not None or time.monotonic() > end:
                said = (self.directory / "room.log").read_text(errors="replace").strip().splitlines()
                raise LabError(f"the machine room did not open: {said[-1] if said else 'it said nothing'}")
            time.sleep(0.02)

    def end(self) -> bool:
        with _undisturbed():
            noted, there = self._noted(), self.directory.exists()
            if noted is not None and noted.lives:
                self._kill(noted)
            if noted is not None:
                self.tidy(noted)
            self.sweep()
            return there

    def _kill(self, room: Room) -> None:
        """Kill the room's first process; PID 1 of the room, its child, goes with it, and all that is in the namespaces.

        PID 1 ends last of all, when everything in its namespaces has. Raises :class:`LabError`.
        """
        last = -1
        with suppress(LabError, ProcessLookupError):
            last = os.pidfd_open(self.inner(room.pid))
        try:
            with suppress(ProcessLookupError):
                os.kill(room.pid, signal.SIGKILL)
            end = time.monotonic() + ENDS
            if last >= 0 and not select.select([last], [], [], ENDS)[0]:
                raise self._endless(room)
        finally:
            if last >= 0:
                os.close(last)
        while room.lives:
            if time.monotonic() > end:
                raise self._endless(room)
            time.sleep(0.02)
        with suppress(ChildProcessError):
            os.waitpid(room.pid, 0)

    def _endless(self, room: Room) -> LabError:
        return LabError(f"process {room.pid} of the lab in {self.directory}, or one below it, does not end")

    def tidy(self, room: Room) -> None:
        """Take away what the kernel keeps of a room that has ended: where it was exposed, its bridges."""
        for bridge, _, _ in BRIDGES.values() if room.exposed else ():
            words = ["ip", "link", "delete", bridge]
            subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def sweep(self) -> None:
        """Take the directory of a lab that ended away; never anything else."""
        if provider_of(self.directory) or (self.directory / "room.log").exists():
            shutil.rmtree(self.directory, ignore_errors=True)
            if self.directory.exists():
                remedy = (
                    "something in it is in use (findmnt, lsof)"
                    if os.geteuid() == 0
                    else "it needs root, so run it as root"
                )
                raise LabError(f"{self.directory} cannot be taken away: {remedy}")

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[str]:
        return [f"node{number}" for number in range(1, self.present().count + 1)]

    def ask(self, words: str) -> str:
        self.present()
        with socket.socket(socket.AF_UNIX) as switch:
            switch.settimeout(60 * self.pace)
            try:
                here = os.open(self.directory, os.O_PATH)  # its whole name may be longer than a socket's may be
                try:
                    switch.connect(f"/proc/self/fd/{here}/room.sock")
                finally:
                    os.close(here)
                switch.sendall(words.encode() + b"\n")
                answer = switch.makefile().readline().strip()
            except OSError as error:
                raise LabError(f"the machine room does not answer: {error}; script/lab down ends it") from None
        if answer.startswith("error"):
            raise LabError(answer)
        return answer

    def entry(self, node: str = "") -> list[str]:
        inner = str(self.inner(self.present().pid))
        outer = ["nsenter", "-t", inner, "-m", "-n", "-p", "-u", "-i", "--"]
        if node and self.ask(f"status {node}") != "on":
            raise LabError(f"{node} is off, or not there yet: a command needs a machine that runs")
        return [*outer, *self.into(node)] if node else outer

    @abstractmethod
    def into(self, node: str) -> list[str]:
        """The words that, in the room, run a command in ``node``, which is on. Raises :class:`LabError`."""

    def present(self) -> Room:
        """Who runs it. Raises :class:`LabError` when nobody does."""
        room = self.room()
        if room is None:
            raise LabError(f"there is no lab in {self.directory}: script/lab up makes one")
        return room

    def place(self) -> Path:
        """The lab's directory as the room sees it, to be read from here."""
        return Path(f"/proc/{self.inner(self.present().pid)}/root{self.directory}")

    @staticmethod
    def inner(pid: int) -> int:
        """PID 1 of the room as the machine knows it: the one child of unshare(1)."""
        try:
            return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        except (OSError, IndexError):
            raise LabError("the machine room is ending: script/lab down clears up") from None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """An impatient second Ctrl-C waits until nothing is left half ended."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
