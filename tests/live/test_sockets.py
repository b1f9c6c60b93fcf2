"""The socket sensor in the daemon: a hung acceptor, leaks, lost listeners; and real servers under load left alone."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.kinds import instance_of
from tests.koboshi_daemon import daemon, table
from tests.ports import free_port
from tests.servers import apache_instance
from tests.socket_namespace import SCENES
from tests.socket_watch import ask, server_values
from tests.waiting import eventually

pytestmark = pytest.mark.live


def toml(values: dict[str, str], **numbers: object) -> str:
    lines = ["[resource.web]", 'agent = "command"']
    return "\n".join(lines + [f"{name} = {json.dumps(value)}" for name, value in {**values, **numbers}.items()]) + "\n"


@contextmanager
def clients(port: int, number: int = 1, every: float = 0.05) -> Iterator[None]:
    """Clients that ask again and again and do not mind what they get."""
    done = threading.Event()

    def go() -> None:
        while not done.wait(every):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.3) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                client.recv(4096)

    threads = [threading.Thread(target=go) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_hung_acceptor_is_replaced_by_kernel_facts_long_before_the_threshold(tmp_path: Path) -> None:
    """With default settings three mute probes take 7 s."""
    port = free_port()
    with daemon(tmp_path, toml(server_values([port]))) as koboshi:
        main = koboshi.main("web")
        ask(port, "/hang")
        with clients(port):
            koboshi.until_new_main("web", main)
        incident = koboshi.until_incident_ended("web", 1, "recovered")
        fell = koboshi.timeline(incident.id)[0]
        assert fell.cause == "acceptor-stalled", fell
        assert incident.actions.count("restarting") == 1


def test_a_slow_server_that_serves_one_after_the_other_is_left_to_the_probes(tmp_path: Path) -> None:
    port = free_port()
    policy = {"probe_timeout": 10, "connect_timeout": 10, "slow_after": 10, "probe_interval": 1}
    with daemon(tmp_path, toml(server_values([port]), **policy)) as koboshi:
        main = koboshi.main("web")
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"GET /slow/4 HTTP/1.1\r\n\r\n")
            with clients(port):
                assert slow.recv(100).startswith(b"HTTP/1.1 200")
        assert koboshi.main("web").identity == main.identity
        assert koboshi.lines("fell", "web") == []


def test_workers_kept_by_their_clients_are_no_stall(tmp_path: Path) -> None:
    """All workers of a prefork Apache wait for kept-alive and silent clients: nobody is accepted, nothing computes."""
    instance = apache_instance(tmp_path, "prefork", extra="MaxRequestWorkers 2\nKeepAliveTimeout 60\nTimeout 60")
    port = int(instance.url.split(":")[2].split("/")[0])
    policy = {"probe_timeout": 20, "connect_timeout": 20, "slow_after": 20, "probe_interval": 30}
    with daemon(tmp_path, table(instance, **policy)) as koboshi, ExitStack() as stack:
        main = koboshi.main("web")
        for words in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b""):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(words)
            if words:
                client.recv(100)
        for _ in range(3):  # who comes now waits in the queue
            stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(b"GET / HTTP/1.0\r\n\r\n")
        began = time.monotonic()

        def waited() -> bool:
            assert koboshi.status("web")["phase"] == "up", koboshi.said
            return time.monotonic() - began > 5

        eventually(waited, what="five seconds", every=0.1)
        (shown,) = koboshi.status("web")["sockets"]["listeners"]
        assert shown["depth"] > 0, "the scene came true"
        assert koboshi.main("web").identity == main.identity


@pytest.mark.parametrize("kind", ["prefork", "event", "nginx"])
def test_a_busy_healthy_server_is_not_restarted(kind: str, tmp_path: Path) -> None:
    instance = instance_of(kind, tmp_path)
    port = int(instance.url.split(":")[2].split("/")[0])
    with daemon(tmp_path, table(instance)) as koboshi:
        main = koboshi.main("web")
        began = time.monotonic()
        with clients(port, 12, 0.0):
            eventually(lambda: time.monotonic() - began > 6, what="six seconds of load")
        assert koboshi.main("web").identity == main.identity
        assert koboshi.lines("fell", "web") == []
        assert koboshi.lines("degraded", "web") == []


def test_a_descriptor_leak_ends_with_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with daemon(tmp_path, toml(server_values([port]), leak_hold=1)) as koboshi:
        main = koboshi.main("web")
        resource.prlimit(main.pid, resource.RLIMIT_NOFILE, (200, 200))
        ask(port, "/files/165")
        eventually(lambda: koboshi.lines("sighting", "web"), what="the warning")
        ask(port, "/files/25")
        koboshi.until_new_main("web", main)
        assert "descriptor-leak" in koboshi.lines("fell", "web")[0]


def test_a_lost_listener_is_brought_back(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    with daemon(tmp_path, toml(server_values(ports))) as koboshi:
        main = koboshi.main("web")
        eventually(lambda: len(koboshi.status("web")["sockets"].get("listeners", [])) == 2, what="the first look")
        ask(ports[0], "/lose")
        koboshi.until_new_main("web", main)
        ask(ports[1])
        assert "listener-lost" in koboshi.lines("fell", "web")[0]


def test_the_status_shows_sockets_as_the_last_look_saw_them(tmp_path: Path) -> None:
    port = free_port()
    with daemon(tmp_path, toml(server_values([port], backlog=17))) as koboshi:
        koboshi.main("web")
        shown = eventually(lambda: koboshi.status("web")["sockets"], what="the first look")
        assert shown["listeners"] == [{"address": f"127.0.0.1:{port}", "depth": 0, "limit": 17, "drops": 0}]
        assert 0 < shown["descriptors"]["used"] < shown["descriptors"]["limit"]
        assert {"connections", "overflows", "tasks", "conditions", "problem"} <= shown.keys()
        said = koboshi.command("status", "web", "--json")
        assert "sockets" in json.loads(said.stdout)["resources"][0]


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_a_scene_in_a_network_namespace_of_its_own_comes_true(scene: str, tmp_path: Path) -> None:
    words = ["unshare", "-n", sys.executable, "-m", "tests.socket_namespace", scene, str(tmp_path)]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr


def test_the_daemon_sees_the_sockets_of_its_own_network_namespace(tmp_path: Path) -> None:
    port = free_port()
    inside = ("/usr/bin/unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
    with daemon(tmp_path, toml(server_values([port])), inside) as koboshi:
        main = koboshi.main("web")
        eventually(lambda: koboshi.status("web")["sockets"].get("listeners"), what="the first look")
        script = "import sys; from tests.socket_watch import ask; ask(int(sys.argv[1]), '/hang')"
        words = ["nsenter", "-t", str(main.pid), "-n", sys.executable, "-c", script, str(port)]
        subprocess.run(words, cwd=Path(__file__).parents[2], check=True, timeout=30, env={**os.environ})
        koboshi.until_new_main("web", main)
