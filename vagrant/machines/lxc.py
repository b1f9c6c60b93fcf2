"""The lab of containers: a Debian with its own systemd in each, on this machine's kernel, in well under a minute."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from vagrant.lab.machines import LabError
from vagrant.machines.boxed import Boxed
from vagrant.machines.roomed import ENDS, Room

CGROUPS = Path("/sys/fs/cgroup")


class Containers(Boxed):
    """The lab of containers in ``directory``."""

    provider: ClassVar[str] = "lxc"
    usually: ClassVar[str] = "half a minute (some minutes more, once, for the box)"
    has = frozenset({"systemd", "freeze", "fence"})
    fences: ClassVar[tuple[str, ...]] = ("lab", "none")
    room_words: ClassVar[tuple[str, ...]] = ("room_lxc",)
    group: ClassVar[str] = "lab-lxc"
    box_form: ClassVar[str] = "lxc"
    patience: ClassVar[float] = 300.0
    needed: ClassVar[dict[str, str]] = {
        **Boxed.needed,
        "lxc-start": "lxc",
        "/usr/share/vagrant-plugins/plugins.d/vagrant-lxc.json": "vagrant-lxc",
        "mmdebstrap": "mmdebstrap",
        "ssh-keygen": "openssh-client",
    }

    def missing(self) -> list[str]:
        problems = super().missing()
        if problems:
            return problems
        if not any(CGROUPS.iterdir()):
            return [f"{CGROUPS} is empty: containers need control groups, so mount them (cgroups(7))"]
        return []

    def begin(self, count: int, say: Callable[[str], None]) -> None:
        if not (os.environ.get("LAB_BOX") or (self.boxes() / "koboshi-lab-lxc.box").exists()):
            say("there is no box for containers here yet: it is built now, once")
        super().begin(count, say)

    def open_room(self, count: int) -> None:
        super().open_room(count)
        if not os.environ.get("LAB_BOX"):
            self._furnish()

    def _furnish(self) -> None:
        """Give Vagrant the box as if it had been added: its parts, unpacked once for all labs, are in the box store."""
        added = self.directory / "vagrant/boxes/koboshi-lab/0/lxc"
        added.mkdir(parents=True)
        for name in ("metadata.json", "lxc-config", "lxc-template", "rootfs.tar.gz"):
            part = self.boxes() / "lxc" / name
            if not part.exists():
                raise LabError(f"the box is not whole: {part} is missing; vagrant/build-box lxc --force builds it anew")
            (added / name).symlink_to(part)

    def settings(self) -> dict[str, str]:
        return {"LAB_CGROUP": self.group_name, "LAB_BOXES": str(self.boxes())}

    def clues(self) -> list[str]:
        """What lxc complained of first, for each machine."""
        logs = sorted(self.place().glob("store/log/lxc/*.log"))
        errors = [line for log in logs for line in log.read_text(errors="replace").splitlines() if " ERROR " in line]
        return [line.split(" - ", 1)[-1].strip() for line in errors[:1]]

    @property
    def group_name(self) -> str:
        """The name below which the containers of this lab have their control groups; no other lab has it."""
        return f"koboshi-lab-{zlib.crc32(str(self.directory).encode()):08x}"

    def tidy(self, room: Room) -> None:
        """Control groups outlive the processes that were in them, whichever namespace these were in."""
        super().tidy(room)
        groups = [path for top in (CGROUPS, *CGROUPS.iterdir()) if (path := top / self.group_name).is_dir()]
        end = time.monotonic() + ENDS
        while [group for group in groups if not _removed(group)]:
            if time.monotonic() > end:
                raise LabError(f"the control groups {', '.join(map(str, groups))} do not go: a process is in them")
            time.sleep(0.05)

    def into(self, node: str) -> list[str]:
        return ["lxc-attach", "-n", node, "--"]

    def read(self, node: str, path: str) -> str:
        """What the node itself wrote there; what it has from the box is not looked for."""
        try:
            return (self.place() / "store/lxc" / node / "changes" / path.lstrip("/")).read_text(errors="replace")
        except OSError:
            return ""


def _removed(group: Path) -> bool:
    """Whether a control group is gone, with those below it; those that can go are removed."""
    for path in (*sorted(group.rglob("*/"), reverse=True), group):
        with suppress(OSError):
            path.rmdir()
    return not group.exists()
