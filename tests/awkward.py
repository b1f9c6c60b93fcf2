"""A server of a test's own that misbehaves on demand, through ``command`` (tests/awkward_server.py)."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from resource_agents.processes import look
from tests.ports import free_port
from tests.servers import Instance

PROGRAM = Path(__file__).with_name("awkward_server.py")


@dataclass(frozen=True)
class AwkwardServer:
    """``instance`` is what koboshi runs; its manners are in ``folder``."""

    instance: Instance
    folder: Path

    def be(self, *words: str) -> None:
        """Behave like this from now on; without words: well."""
        fresh = self.folder / "manners.new"
        fresh.write_text(" ".join(words))
        fresh.replace(self.folder / "manners")

    def started(self) -> list[int]:
        """The pids of all main processes that there ever were, in order."""
        try:
            return [int(word) for word in (self.folder / "mains").read_text().split()]
        except FileNotFoundError:
            return []

    def mains(self) -> list[int]:
        """The pids of those that live."""
        return [pid for pid in self.started() if (process := look(pid)) is not None and not process.dead]


def awkward_instance(tmp_path: Path, name: str = "awkward", *manners: str) -> AwkwardServer:
    """A server with these manners, and commands for its test (by ``checks``), its stop and its reload."""
    folder, port = tmp_path / name, free_port()
    folder.mkdir()
    words = [os.path.realpath(sys.executable), "-I", "-S", str(PROGRAM), str(port), str(folder)]
    url = f"http://127.0.0.1:{port}/"
    values = {"start_command": shlex.join(words), "port": f"127.0.0.1:{port}", "statusurl": url}
    made = AwkwardServer(Instance("command", folder, PROGRAM, port, url, values), folder)
    made.be(*manners)
    return made


def waits_for(path: Path, then: str = "true") -> str:
    """A command that waits until there is a file, and does something then."""
    return shlex.join(["/bin/sh", "-c", f"until [ -e {shlex.quote(str(path))} ]; do sleep 0.02; done; {then}"])
