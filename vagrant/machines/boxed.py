"""A lab whose machines Vagrant makes, in a room: what containers and virtual machines have in common.

``vagrant up`` runs in the room with what is Vagrant's own kept in the lab's directory, and provisions everything, the
cluster's configuration included. A kind of machine is a subclass (:mod:`vagrant.machines.lxc`) and what it does inside
the room (:mod:`vagrant.machines.room_lxc`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from vagrant.lab.children import child
from vagrant.lab.machines import CHECKOUT, LabError
from vagrant.lab.room import BRIDGES
from vagrant.machines.roomed import PATH, Roomed

#: Where boxes are kept unless LAB_BOXES says otherwise.
BOXES = "/var/cache/koboshi-lab"
#: What of Vagrant's many lines a person is told.
_TOLD = re.compile(r"^==> (\w+): (Importing|Creating|Starting|Booting|Machine booted|Running provisioner|lab: )(.*)$")
#: Lines that come with each failure and say nothing of it.
_ADVICE = re.compile(r"VAGRANT_LOG|detailed logging|Please handle this|An error occurred|Any errors that|^==> ")


class Boxed(Roomed):
    """The lab in ``directory``, its machines made by Vagrant from a box."""

    utc: ClassVar[bool] = True
    configures: ClassVar[bool] = True
    has = frozenset({"systemd"})
    koboshi = "/usr/local/bin/koboshi"
    provision = "/opt/koboshi/source/vagrant/provision"
    python = "/opt/koboshi/bin/python"
    #: Programs, or files, that have to be here, and the Debian package that brings each.
    needed: ClassVar[dict[str, str]] = {"vagrant": "vagrant", "unshare": "util-linux", "ip": "iproute2", "curl": "curl"}
    #: The word of script/setup that installs them.
    group: ClassVar[str] = ""
    #: The word of build-box that makes the box; empty when it comes from elsewhere.
    box_form: ClassVar[str] = ""
    #: Seconds that ``vagrant up`` may take.
    patience: ClassVar[float] = 600.0

    # -- what a kind of machine says -----------------------------------------------------------------------------------

    def settings(self) -> dict[str, str]:
        """Environment variables for the Vagrantfile beside those that each lab has."""
        return {}

    def clues(self) -> list[str]:
        """What else tells why Vagrant failed."""
        return []

    @property
    def fenced_by(self) -> str:
        room = self.room()
        return room.fence if room is not None and room.fence else os.environ.get("LAB_FENCE") or self.fence

    @property
    def abilities(self) -> frozenset[str]:
        """Only the standard fence device is one that the power switch can make deaf."""
        return self.has if self.fenced_by == self.fence else self.has - {"fence"}

    # -- up and down ---------------------------------------------------------------------------------------------------

    def missing(self) -> list[str]:
        if os.geteuid() != 0:
            return ["it needs root (namespaces, bridges, machines): run it as root"]
        packages = sorted({package for name, package in self.needed.items() if not _is_here(name)})
        if packages:
            words = f"script/setup {self.group} installs them, or apt-get install --no-install-recommends"
            return [f"Debian packages are missing: {words} {' '.join(packages)}"]
        return []

    def begin(self, count: int, say: Callable[[str], None]) -> None:
        self.check(count)
        self.check_space(count)
        self.check_network()
        self.build_box(say)
        self.check(count)  # the box took minutes, in which another one may have made a lab here
        try:
            self.open_room(count)
            say("the machine room is open; Vagrant makes the machines in it")
            self.vagrant(["up", "--provider", self.provider], say)
        except BaseException:
            self.end()
            raise

    def check(self, count: int) -> None:
        super().check(count)
        box = os.environ.get("LAB_BOX", "")
        if box and not (Path(box).is_absolute() and Path(box).is_file()):
            raise LabError(f"LAB_BOX={box}: name a box by the whole path of its file, as no network is in the room")

    def check_network(self) -> None:
        """Raises :class:`LabError` when the lab's wires or addresses are taken: only where it is exposed."""
        if not self.exposed:
            return
        words = ["ip", "-o", "address", "show", "to", "10.77.0.0/16"]
        taken = subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()[1:2]
        taken += [bridge for bridge, _, _ in BRIDGES.values() if Path("/sys/class/net", bridge).exists()]
        if taken:
            raise LabError(f"the lab's network 10.77 is in use here (interface {taken[0]}): leave --expose out")

    def boxes(self) -> Path:
        return Path(os.environ.get("LAB_BOXES") or BOXES).absolute()

    def build_box(self, say: Callable[[str], None]) -> None:
        """Build the box where it is missing or old (about 3 minutes). Raises :class:`LabError`."""
        if not self.box_form or os.environ.get("LAB_BOX"):
            return
        words = [str(CHECKOUT / "vagrant/build-box"), self.box_form, "--output", str(self.boxes())]
        last = ""
        with child(words, stdout=subprocess.PIPE) as build:
            assert build.stdout is not None
            for line in build.stdout:
                last = line.strip().removeprefix("build-box: ")
                if "nothing to do" not in last:
                    say(f"box: {last}")
            build.wait()
        if build.returncode:
            raise LabError(f"the box could not be built: {last}")

    def vagrant(self, words: list[str], say: Callable[[str], None]) -> None:
        """Run Vagrant in the room. Raises :class:`LabError`; what it said is in ``vagrant.log``."""
        log = self.directory / "vagrant.log"
        limit = self.patience * self.pace
        process = subprocess.Popen(
            [*self.entry(), "timeout", f"{limit:.0f}", "vagrant", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env=self.environment(), cwd="/", start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        lines: list[str] = []
        try:
            with log.open("a") as written, process.stdout:
                for line in process.stdout:
                    written.write(line)
                    written.flush()
                    lines.append(line.rstrip())
                    if told := _TOLD.match(line):
                        say(f"{told[1]}: {told[2].removeprefix('lab: ')}{told[3]}".rstrip(".").strip())
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()  # what runs in the room ends with the room
                process.wait()
        if process.returncode:
            late = ["it took too long"] if process.returncode == 124 else []
            raise LabError(f"vagrant {words[0]}: {'; '.join([*late, *_last_words(lines), *self.clues()])}")

    def environment(self) -> dict[str, str]:
        """What Vagrant gets."""
        passed = {name: value for name, value in os.environ.items() if name.startswith("LAB_") and name != "LAB_DIR"}
        return {
            **passed,
            "LAB_FENCE": self.fenced_by,
            "PATH": PATH,
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory / "tmp"),
            "VAGRANT_CWD": str(CHECKOUT / "vagrant"),
            "VAGRANT_HOME": str(self.directory / "vagrant"),
            "VAGRANT_DOTFILE_PATH": str(self.directory / "machines"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
            "VAGRANT_DEFAULT_PROVIDER": self.provider,
            "LAB_COUNT": str(self.present().count),
            "LAB_ROOM": str(self.directory),
            **self.settings(),
        }

    # -- inside --------------------------------------------------------------------------------------------------------

    def read(self, node: str, path: str) -> str:
        """Only of a node that is on: a kind of machine whose files can be reached otherwise does better."""
        try:
            done = self.run(node, ["cat", path], 15)
        except LabError:
            return ""
        return done.stdout if done.returncode == 0 else ""


def _is_here(name: str) -> bool:
    """Whether there is a program, or, where the name begins with a slash, a file."""
    if name.startswith("/"):
        return Path(name).exists()
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{PATH}") is not None


def _last_words(lines: list[str]) -> list[str]:
    """What a person needs of Vagrant's output when it failed, each line once, without its advice: what machines said
    last, or else the end of it."""
    told = list(dict.fromkeys(line.strip() for line in lines if line.strip() and not _ADVICE.search(line)))
    return [line for line in told if re.match(r"(node\d|client): ", line)][-4:] or told[-4:]
