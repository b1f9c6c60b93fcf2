"""A package manager as Serviceguard's manuals describe it: one failover package, nodes that are directories.

What it does when a script or a service ends follows the table "error conditions and package movement" of the manuals,
for ``node_fail_fast_enabled no`` and ``service_fail_fast_enabled no``. It is moved by :meth:`PackageManager.turn`.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from resource_agents.processes import Identity, alive, send
from tests.waiting import eventually

#: Commands that must never be run from inside a package.
FORBIDDEN = ("cmrunpkg", "cmhaltpkg", "cmmodpkg", "cmhaltnode", "cmrunnode", "cmrunserv", "cmhaltserv")

#: ``cmviewcl`` of a stand-in cluster: the line format, or the old releases' table.
VIEW = """\
#!{python} -ISE
import json, sys
state = json.load(open({state!r}))
line = "-f" in sys.argv
if line and state["old"]:
    sys.exit("illegal option -- f")
out = []
if line:
    out += ["name=example", "second_cluster_lock"]
    p = f"package:{{state['package']}}|"
    for key in ("status", "state", "owner"):
        out.append(f"{{p}}{{key}}={{state[key]}}")
    out.append(f"{{p}}autorun={{'enabled' if state['autorun'] else 'disabled'}}")
    for node, allowed in state["allowed"].items():
        out.append(f'{{p}}node:{{node}}|switching="{{"enabled" if allowed else "disabled"}}"')
else:
    out += ["    PACKAGE STATUS STATE AUTO_RUN NODE"]
    auto = "enabled" if state["autorun"] else "disabled"
    out += ["    " + " ".join([state["package"], state["status"], state["state"], auto, state["owner"]])]
    out += ["      Node_Switching_Parameters:", "      NODE_TYPE STATUS SWITCHING NAME"]
    for node, allowed in state["allowed"].items():
        out += [f"      Primary up {{'enabled' if allowed else 'disabled'}} {{node}}"]
print("\\n".join(out))
"""

FORBIDDER = """\
#!/bin/sh
echo "$0 $*" >> {violations}
exit 1
"""


@dataclass
class Node:
    """A node: its name, its package script, its service command, and what starts a process there."""

    name: str
    script: Path
    service_cmd: str
    launch: Callable[[list[str], Path], Identity]
    allowed: bool = True
    service: Identity | None = None
    log: Path = field(default_factory=Path)


class PackageManager:
    """One package on ``nodes``, in their order. ``history`` tells what happened."""

    def __init__(self, folder: Path, package: str, nodes: list[Node], limit: float = 60.0) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.package, self.nodes, self.limit = folder, package, nodes, limit
        self.owner: Node | None = None
        self.autorun, self.old = True, False
        self.history: list[str] = []
        for name in FORBIDDEN:
            self._install(name, FORBIDDER.format(violations=shlex.quote(str(folder / "violations"))))
        self._install("cmviewcl", VIEW.format(python=sys.executable, state=str(folder / "state.json")))
        for node in nodes:
            node.log = folder / f"{node.name}.log"
        self._publish()

    # -- what an operator does ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """cmrunpkg: start the package on the first node that may run it."""
        while self.owner is None and self.autorun:
            node = next((node for node in self.nodes if node.allowed), None)
            if node is None:
                self.history.append("no node may run it")
                break
            self._start_on(node)
        self._publish()

    def halt(self) -> None:
        """cmhaltpkg: the service is ended first, then the halt script runs; switching is off then."""
        assert self.owner is not None
        self.autorun = False
        self._halt(self.owner, "user_halt")
        self._publish()

    def turn(self) -> bool:
        """Look at the service; what its end leads to is done. Whether anything was."""
        node = self.owner
        if node is None or (node.service is not None and alive(node.service)):
            return False
        self.history.append(f"service failed on {node.name}")
        status = self._halt(node, "failure")
        if status == 0:
            node.allowed = False
            self.run()
        else:
            self.autorun = False
        self._publish()
        return True

    def enable(self, name: str) -> None:
        """cmmodpkg -e -n NODE PACKAGE, and -e PACKAGE."""
        next(node for node in self.nodes if node.name == name).allowed = True
        self.autorun = True
        self._publish()

    def verify(self) -> None:
        """Nothing was run that must not be."""
        violations = self.folder / "violations"
        assert not violations.exists(), violations.read_text()

    # -- how it does it ------------------------------------------------------------------------------------------------

    def _start_on(self, node: Node) -> None:
        status = self._script(node, "start", "")
        self.history.append(f"start on {node.name}: {status}")
        match status:
            case 0:
                self.owner = node
                words = ["/bin/sh", "-c", f"exec {node.service_cmd}"]
                node.service = node.launch(words, node.log)
            case 2:
                node.allowed = False
            case _:  # 1, any other status, a timeout
                self.autorun = False

    def _halt(self, node: Node, reason: str) -> int:
        if node.service is not None and alive(node.service):
            with suppress(ProcessLookupError):
                os.killpg(os.getpgid(node.service.pid), signal.SIGTERM)
            service = node.service
            eventually(lambda: not alive(service), 10, "the service's end")
            send(service, signal.SIGKILL)
        node.service = None
        status = self._script(node, "stop", reason)
        self.history.append(f"halt on {node.name} ({reason}): {status}")
        self.owner = None
        return status

    def _script(self, node: Node, action: str, reason: str) -> int:
        env = {"PATH": f"{self.folder}:/usr/bin:/bin", "SG_PACKAGE": self.package, "SG_NODE": node.name}
        if reason:
            env["SG_HALT_REASON"] = reason
        with node.log.open("a") as log:
            try:
                return subprocess.run(
                    [node.script, action], env=env, stdout=log, stderr=log, timeout=self.limit, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                return -1

    def _install(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def _publish(self) -> None:
        state = {
            "package": self.package,
            "old": self.old,
            "status": "up" if self.owner else "down",
            "state": "running" if self.owner else "halted",
            "owner": self.owner.name if self.owner else "unowned",
            "autorun": self.autorun,
            "allowed": {node.name: node.allowed for node in self.nodes},
        }
        (self.folder / "state.json").write_text(json.dumps(state))
