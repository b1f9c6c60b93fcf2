"""Serviceguard's connector under a stand-in package manager: real scripts, real watcher, real daemon, real server.

The manager is ours, after the manuals (tests/stand_ins/README.rst): nothing here was run on the product.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from resource_agents.processes import Identity, alive, look, send
from tests.koboshi_daemon import KOBOSHI, KoboshiDaemon, table
from tests.ports import free_port
from tests.servers import Instance, answers, command_instance, end, family
from tests.stand_ins.serviceguard.manager import Node, PackageManager
from tests.waiting import eventually

pytestmark = pytest.mark.live

POLICY = {
    "restart_limit": 1,
    "restart_window": 3600,
    "probe_interval": 0.3,
    "retry_interval": 0.1,
    "failure_threshold": 2,
    "start_timeout": 5,
    "stop_timeout": 5,
}


class Place:
    """A node as a directory: a koboshi of its own, its package script, its server."""

    def __init__(self, folder: Path, name: str, cluster: Path, more: dict[str, object]) -> None:
        folder.mkdir()
        self.instance: Instance = command_instance(folder)
        self.flag = folder / "web.debug"
        text = 'connector = "serviceguard"\n' + table(
            self.instance, package="pkg", maintenance_flag=str(self.flag), **POLICY, **more
        )
        self.koboshi = KoboshiDaemon(folder, text, env={"KOBOSHI_CLUSTER_PATH": str(cluster)})
        self.command = folder / "koboshi"
        lines = [f"export {key}={value}" for key, value in self.koboshi.env.items() if key.startswith("KOBOSHI_")]
        lines += [f"export KOBOSHI_CONFIG={self.koboshi.config}", f'exec {KOBOSHI} "$@"']
        self.command.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
        self.command.chmod(0o755)
        made = self.koboshi.command("scaffold", "serviceguard", "web", "-c", str(self.koboshi.config),
                                    "--command", str(self.command), "-o", str(folder / "made"))  # fmt: skip
        assert made.returncode == 0, made.stderr
        script = folder / "made/scripts/koboshi/web/koboshi.sh"
        self.node = Node(
            name, script, f"{self.command} watch --clusterware=serviceguard --interval=200ms web", self.launch
        )

    def launch(self, argv: list[str], output: Path) -> Identity:
        """Start a process of the manager's on this node, without any environment."""
        kept, self.koboshi.env = self.koboshi.env, {}
        try:
            return self.koboshi.launch(argv, output)
        finally:
            self.koboshi.env = kept

    def kill_server(self) -> None:
        """kill -9 all of the web server."""
        for process in family(self.instance):
            send(process.identity, signal.SIGKILL)


@contextmanager
def cluster(folder: Path, **more: object) -> Iterator[tuple[PackageManager, Place, Place]]:
    with ExitStack() as stack:
        places = [Place(folder / name, name, folder / "sg", more) for name in ("node1", "node2")]
        for place in places:
            stack.callback(end, place.instance)
            stack.callback(place.koboshi.close)
            place.koboshi.start()
        manager = PackageManager(folder / "sg", "pkg", [place.node for place in places])
        yield manager, places[0], places[1]
        manager.verify()


def test_what_a_restart_mends_never_moves_the_package(tmp_path: Path) -> None:
    with cluster(tmp_path) as (manager, first, second):
        manager.run()
        assert manager.owner is first.node
        main = first.koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        first.koboshi.until_new_main("web", main)
        assert not manager.turn()
        assert answers(first.instance.url)
        assert not answers(second.instance.url)
        assert manager.history == ["start on node1: 0"]


def test_what_restarts_cannot_mend_moves_it_once_and_bars_the_node(tmp_path: Path) -> None:
    with cluster(tmp_path) as (manager, first, second):
        manager.run()
        main = first.koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        renewed = first.koboshi.until_new_main("web", main)
        send(renewed.identity, signal.SIGKILL)
        eventually(manager.turn, what="the package's move")
        assert manager.history == [
            "start on node1: 0",
            "service failed on node1",
            "halt on node1 (failure): 0",
            "start on node2: 0",
        ]
        assert answers(second.instance.url)
        assert family(first.instance) == []
        assert not first.node.allowed
        said = first.node.log.read_text()
        assert "cmmodpkg -e -n" in said
        shown = first.koboshi.command("serviceguard", "status", "-c", str(first.koboshi.config))
        assert "web: package pkg is up running on node2; barred on node1" in shown.stdout, shown
        manager.old = True
        manager.enable("node1")
        shown = first.koboshi.command("serviceguard", "status", "-c", str(first.koboshi.config))
        assert "web: package pkg is up running on node2\n" in shown.stdout, shown


def test_an_orderly_halt_leaves_nothing_and_the_watcher_dies_at_once(tmp_path: Path) -> None:
    with cluster(tmp_path) as (manager, first, _):
        manager.run()
        service = first.node.service
        assert service is not None
        web = family(first.instance)[0]
        eventually(lambda: "web: running" in first.node.log.read_text(), what="the watcher's first look")
        assert os.getpgid(service.pid) == service.pid
        assert os.getpgid(web.pid) != os.getpgid(service.pid)
        send(service, signal.SIGTERM)
        eventually(lambda: not alive(service), 10, "the watcher's end")
        assert answers(first.instance.url), "the web server outlives its watcher"
        manager.halt()
        assert manager.history[-1] == "halt on node1 (user_halt): 0"
        assert family(first.instance) == []


def test_a_planned_halt_is_told_to_the_load_balancer_first(tmp_path: Path) -> None:
    door = free_port()
    with cluster(tmp_path, agent_check=f"127.0.0.1:{door}", drain_wait=2) as (manager, first, second):
        second.koboshi.kill()  # its door is the same one
        manager.run()
        eventually(lambda: word(door) == "up ready 100%", what="readiness")
        eventually(lambda: "web: running" in first.node.log.read_text(), what="the watcher's first look")
        halting = threading.Thread(target=manager.halt)
        halting.start()
        try:
            eventually(lambda: word(door) == "drain", what="the drain")
            assert answers(first.instance.url), "it still serves what the balancer sends"
        finally:
            halting.join()
        assert word(door) == "down"
        assert family(first.instance) == []


def word(door: int) -> str:
    """What the agent check answers."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", door), 5) as line:
        return line.makefile().readline().strip()
    return ""


def test_in_maintenance_nothing_is_repaired_and_nothing_moves(tmp_path: Path) -> None:
    with cluster(tmp_path) as (manager, first, _):
        manager.run()
        first.flag.touch()
        eventually(lambda: "in maintenance" in first.node.log.read_text(), what="the watcher's pause")
        first.kill_server()
        first.koboshi.until("web", "observing")
        assert "maintenance" in first.koboshi.status("web")["reason"]
        assert not manager.turn()
        first.flag.unlink()
        first.koboshi.until("web", "up")
        assert not manager.turn()
        assert answers(first.instance.url)


def test_a_watcher_wakes_a_daemon_that_was_killed(tmp_path: Path) -> None:
    with cluster(tmp_path) as (manager, first, _):
        manager.run()
        before = json.loads(first.koboshi.command("status", "--json").stdout)["daemon"]["pid"]
        first.koboshi.kill()
        first.kill_server()

        def renewed() -> bool:
            shown = first.koboshi.command("status", "--json").stdout
            return bool(shown) and json.loads(shown)["daemon"]["pid"] != before

        eventually(renewed, what="another daemon")
        eventually(lambda: answers(first.instance.url), what="the web server")
        assert not manager.turn()


def test_a_start_that_fails_here_is_tried_on_the_other_node(tmp_path: Path) -> None:
    with cluster(tmp_path) as (manager, first, second):
        text = first.koboshi.config.read_text()
        broken = text.replace(f'port = "127.0.0.1:{first.instance.port}"', 'port = "127.0.0.1:1"')
        broken = broken.replace(f":{first.instance.port}/", ":1/")
        assert broken != text
        first.koboshi.config.write_text(broken)
        manager.run()
        assert manager.history == ["start on node1: 2", "start on node2: 0"]
        assert manager.owner is second.node


def test_a_value_that_is_wrong_in_itself_stops_the_package_everywhere(tmp_path: Path) -> None:
    with cluster(tmp_path) as (manager, first, _):
        said = first.koboshi.command("serviceguard", "validate", "web", "-c", str(first.koboshi.config),
                                     "--service-cmd", "/bin/other")  # fmt: skip
        assert said.returncode == 1
        assert "no service of the package is our watcher" in said.stderr
        ours = first.node.service_cmd.replace(" --interval=200ms", "")
        good = first.koboshi.command("serviceguard", "validate", "web", "-c", str(first.koboshi.config),
                                     "--service-cmd", ours)  # fmt: skip
        assert good.returncode == 0, good
        first.node.script.write_text("#!/bin/sh\nexit 1\n")
        manager.run()
        assert manager.history == ["start on node1: 1"]
        assert manager.owner is None


def test_a_watcher_of_nothing_ends(tmp_path: Path) -> None:
    """A service without its package's start is a failure, not a service."""
    with cluster(tmp_path) as (_, first, _second):
        service = first.launch(["/bin/sh", "-c", f"exec {first.node.service_cmd}"], tmp_path / "log")
        eventually(lambda: not alive(service) or look(service.pid) is None, what="the watcher's end")
        assert "ends with 1" in (tmp_path / "log").read_text()
