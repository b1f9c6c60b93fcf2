"""CLUSTERPRO's ladder as public documents describe it: one EXEC, one synchronous genw, counters, a final action.

Servers are directories with their own scripts. :meth:`Ladder.poll` is one interval of the monitor. The commands are
programs on a path of the test's; ``clplogcmd`` is as strict as the product is known to be.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMMANDS = """\
#!{python} -ISE
import json, os, sys
from pathlib import Path

folder = Path({folder!r})
state = json.loads((folder / "state.json").read_text())
name, given = os.path.basename(sys.argv[0]), sys.argv[1:]


def note(where, what):
    with (folder / where).open("a") as file:
        file.write(json.dumps(what) + "\\n")


def wrong(why):
    note("violations", [name, *given, why])
    sys.exit(1)


note("calls", [name, *given])
match name, given:
    case "clpgrp", ["-n", group]:
        if group != state["group"]:
            wrong("no such group")
        print(state["owner"])
    case "clpgrp", ["-m", group]:
        print("Command succeeded.")
    case "clplogcmd", ["-m", message, "-i", number, "-l", level, "--alert", "--syslog"]:
        if len(message) > 511 or not message.isascii() or "\\n" in message or message.startswith("-"):
            wrong("message")
        if not number.isdigit() or level not in ("ERR", "WARN", "INFO"):
            wrong("id or level")
        note("alerts", [int(number), level, message])
    case "clpmonctrl", ["-s" | "-r" as way, "-h", server, "-m", monitor]:
        print(f"Command succeeded.({{monitor}} : {{server}})")
        note("monitors", [way, monitor])
    case "clpdown", ["-r"]:
        note("reboots", [])
    case _:
        wrong("unexpected")
"""


@dataclass
class Server:
    """One server: its name, the directory with its scripts, its HOME or OTHER."""

    name: str
    scripts: Path
    place: str


class Ladder:
    """The group ``group`` with EXEC ``exec-web`` and monitor ``genw-web``."""

    def __init__(
        self, folder: Path, group: str, servers: list[Server], *, script: int = 0, restart: int = 0, fo: int = 1
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.group, self.servers = folder, group, servers
        self.threshold = {"script": script, "restart": restart, "fo": fo}
        self.counts = {"script": 0, "restart": 0, "fo": 0}
        self.errors = 0
        self.owner: Server | None = None
        self.history: list[str] = []
        for name in ("clpgrp", "clplogcmd", "clpmonctrl", "clpdown"):
            path = folder / name
            path.write_text(COMMANDS.format(python=sys.executable, folder=str(folder)))
            path.chmod(0o755)
        self._publish()

    def start(self, server: Server, event: str = "START") -> int:
        """Activate the group on ``server``."""
        env = {"CLP_EVENT": event, "CLP_DISK": "SUCCESS", "CLP_SERVER": server.place}
        self.owner = server
        self._publish()
        status = self._script(server, f"scripts/{self.group}/exec-web/start.sh", env)
        self.history.append(f"start on {server.name} ({event}): {status}")
        return status

    def stop(self, factor: str = "GROUPSTOP") -> int:
        """Deactivate the group where it is."""
        assert self.owner is not None
        env = {"CLP_EVENT": "START", "CLP_DISK": "SUCCESS", "CLP_FACTOR": factor}
        status = self._script(self.owner, f"scripts/{self.group}/exec-web/stop.sh", env)
        self.history.append(f"stop on {self.owner.name} ({factor}): {status}")
        return status

    def poll(self) -> int:
        """One interval of the monitor, with its reconfirmation and what an error leads to; genw's exit status."""
        assert self.owner is not None
        status = self._script(self.owner, "scripts/monitor.s/genw-web/genw.sh", {})
        if status == 0:
            self.errors = 0
            return 0
        self.errors += 1
        if self.errors > 1:
            self.errors = 0
            self._recover(self.owner)
        return status

    def lines(self, name: str) -> list[list[object]]:
        """What the commands noted."""
        try:
            return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]
        except FileNotFoundError:
            return []

    def verify(self) -> None:
        """No command was called wrongly."""
        assert self.lines("violations") == []

    def _recover(self, here: Server) -> None:
        if self.counts["script"] < self.threshold["script"]:
            self.counts["script"] += 1
            env = {"CLP_ACTION": "RECOVERY", "CLP_RECOVERYCOUNT": str(self.counts["script"])}
            status = self._script(here, "scripts/monitor.s/genw-web/preaction.sh", env)
            self.history.append(f"recovery script on {here.name}: {status}")
        elif self.counts["restart"] < self.threshold["restart"]:
            self.counts["restart"] += 1
            if self.stop("RESOURCERESTART") == 0:
                self.start(here)
        elif self.counts["fo"] < self.threshold["fo"]:
            self.counts["fo"] += 1
            if self.stop("GROUPFAILOVER") == 0:
                self.start(next(server for server in self.servers if server is not here), "FAILOVER")
        else:
            self.history.append("final action: none")

    def _script(self, server: Server, path: str, env: Mapping[str, str]) -> int:
        given = {"PATH": f"{self.folder}:{os.defpath}", **env}
        with (self.folder / f"{server.name}.log").open("a") as log:
            log.write(f"$ {shlex.join([path])}\n")
            log.flush()
            return subprocess.run(
                [server.scripts / path], env=given, stdout=log, stderr=log, timeout=120, check=False
            ).returncode

    def _publish(self) -> None:
        owner = self.owner.name if self.owner else ""
        (self.folder / "state.json").write_text(json.dumps({"group": self.group, "owner": owner}))
