"""A lab whose nodes are namespaces: seconds to make, the machine's own programs, no kernel of their own."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import ClassVar

from vagrant.lab.machines import CHECKOUT, LabError
from vagrant.machines.roomed import PATH, Roomed

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
    "curl": "curl",
}
#: Seconds within which the nodes are there after the room has opened.
THERE = 30.0


class Namespaces(Roomed):
    """The lab of namespaces in ``directory``."""

    provider: ClassVar[str] = "namespaces"
    usually: ClassVar[str] = "10 to 15 s"
    has: ClassVar[frozenset[str]] = frozenset({"fence"})
    room_program: ClassVar[str] = "vagrant/namespaces/room.py"

    def missing(self) -> list[str]:
        if os.geteuid() != 0:
            return ["it needs root (namespaces with a network of their own): run it as root"]
        path = f"{os.environ.get('PATH', '')}:{PATH}"
        packages = sorted({package for name, package in NEEDED.items() if shutil.which(name, path=path) is None})
        if packages:
            return [f"Debian packages are missing: apt-get install --no-install-recommends {' '.join(packages)}"]
        if not (CHECKOUT / ".venv/bin/koboshi").exists():
            return ["koboshi is not installed in this checkout: run script/setup"]
        return []

    def begin(self, count: int, say: Callable[[str], None]) -> None:
        self.check(count)
        self.check_space(count)
        if self.exposed:
            raise LabError("namespaces have a network of their own only: leave --expose out, or take another provider")
        say(f"{count} nodes are switched on")
        try:
            self.open_room(count)
            end = time.monotonic() + THERE
            while any(self.ask(f"pid {node}") == "0" for node in self.nodes):
                if time.monotonic() > end:
                    raise LabError(self.with_last_words("the nodes did not start"))
                time.sleep(0.02)
        except BaseException:
            self.end()
            raise

    def into(self, node: str) -> list[str]:
        pid = self.ask(f"pid {node}")
        if pid == "0":
            raise LabError(f"{node} is off, or not there yet: a command needs a machine that runs")
        return ["nsenter", "-t", pid, "-m", "-n", "-p", "-u", "-i", "--"]

    def read(self, node: str, path: str) -> str:
        """What the node itself wrote there; what it has of the machine's own files is not looked for."""
        try:
            return (self.place() / "nodes" / node / "upper" / path.lstrip("/")).read_text(errors="replace")
        except OSError:
            return ""
