"""A node of Pacemaker's with one web server, where the cluster's commands are stand-ins that say what a test wants."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from resource_agents.processes import send
from tests.house import ROOT
from tests.koboshi_daemon import KoboshiDaemon
from tests.servers import Instance, command_instance, end
from tests.stand_ins.commands import Commands
from tests.waiting import LONG

HEALTHY = (ROOT / "tests/samples/crm_mon/healthy.xml").read_text()
POLICY = {"restart_limit": "1", "restart_window": "3600", "probe_interval": "0.3", "start_timeout": "5"}
POLICY |= {"stop_timeout": "5", "retry_interval": "0.1", "failure_threshold": "2", "ask_timeout": "2"}


class Node:
    """A node: koboshi, the cluster's commands, and one web server that a cluster hands over."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.instance: Instance = command_instance(folder)
        self.commands = Commands(folder / "bin", "crm_mon", "crm_node", "crm_resource", "attrd_updater")
        self.commands.expect("crm_node", "-n", output="node1\n")
        self.commands.expect("crm_mon", output=HEALTHY)
        self.koboshi = KoboshiDaemon(folder, settings, env={"KOBOSHI_CLUSTER_PATH": str(folder / "bin")})
        self.resource = "web"  # as the cluster calls it
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            ends.callback(end, self.instance)
            ends.callback(self.koboshi.close)
            self.koboshi.start()
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def ocf(self, action: str, interval: int = 0, **more: str) -> int:
        """One action by the cluster; its exit code."""
        given = {**self.instance.values, **POLICY, **more}
        env = {
            **self.koboshi.env,
            **{f"OCF_RESKEY_{name}": value for name, value in given.items()},
            "OCF_RESOURCE_INSTANCE": self.resource,
            "OCF_RESKEY_CRM_meta_timeout": "20000",
            "OCF_RESKEY_CRM_meta_interval": str(interval),
        }
        words = [sys.executable, "-I", "-S", str(ROOT / "resource_agents/entry.py"), "command", action]
        return subprocess.run(words, env=env, timeout=LONG, check=False, capture_output=True).returncode

    def kill(self, name: str = "web") -> None:
        """kill -9 the server's main process."""
        send(self.koboshi.main(name).identity, signal.SIGKILL)
