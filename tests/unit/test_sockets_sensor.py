"""Every condition of a real server, provoked: what is said, and what a restart is made for."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cluster_glue.recovery.model import Phase
from cluster_glue.recovery.sensors.conditions import Finding
from cluster_glue.recovery.sensors.sockets import REST, Pace
from ocf.faults import Kind
from tests.ports import free_port
from tests.socket_watch import ask, watched

#: Patience of a test.
SOON = {"leak_hold": 1.0}


def test_a_healthy_server_is_not_spoken_of(tmp_path: Path) -> None:
    with watched(tmp_path, ports=2) as web:
        began = time.monotonic()
        while time.monotonic() - began < 3:
            ask(web.port)
            web.look()
        assert (web.told, web.posted) == ([], [])
        shown = web.watch.sockets
        assert {one["address"] for one in shown["listeners"]} == {f"127.0.0.1:{port}" for port in web.ports}
        assert shown["descriptors"]["used"] < 10
        assert shown["conditions"] == {}


def test_a_busy_server_is_not_spoken_of(tmp_path: Path) -> None:
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            ask(web.port)

    with watched(tmp_path, backlog=128) as web:
        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            began = time.monotonic()
            while time.monotonic() - began < 4:
                web.look()
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert (web.told, web.posted) == ([], [])


def test_a_listener_that_is_lost_is_a_hard_fault(tmp_path: Path) -> None:
    with watched(tmp_path, ports=2, listener_lost_after=1.5) as web:
        web.look()
        ask(web.port, "/lose")
        web.until(lambda: web.posted, "the fault")
        (fault,) = web.faults("listener-lost")
        assert fault.hard
        assert fault.fault.kind is Kind.RESOURCE
        assert f"127.0.0.1:{web.ports[1]}" in fault.fault.reason


def test_a_listener_that_was_taken_out_of_the_configuration_is_not_missed(tmp_path: Path) -> None:
    with watched(tmp_path, ports=2, listener_lost_after=1.5) as web:
        web.look()
        web.values["port"] = f"127.0.0.1:{web.port}"
        ask(web.port, "/lose")
        began = time.monotonic()
        while time.monotonic() - began < 3:
            web.look()
        assert (web.told, web.posted) == ([], [])


def test_a_listener_that_never_was_there_is_said_with_what_is(tmp_path: Path) -> None:
    with watched(tmp_path) as web:
        other = free_port()
        web.values["port"] = f"127.0.0.1:{web.port} 127.0.0.1:{other}"
        web.watch.server = web.watch.executor.make()
        web.until(lambda: web.said("degraded", "not-listening"), "the words")
        (words,) = web.said("degraded", "not-listening")
        assert f"127.0.0.1:{other}" in words
        assert f"listen on 127.0.0.1:{web.port}" in words
        assert web.posted == []


def test_an_address_that_somebody_else_holds_is_said_with_who_it_is(tmp_path: Path) -> None:
    with watched(tmp_path, ports=2) as web:
        web.look()
        ask(web.port, "/lose")
        port = web.ports[1]
        thief = f"import socket; s = socket.create_server(('127.0.0.1', {port})); print(flush=True); input()"
        with subprocess.Popen([sys.executable, "-c", thief], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            web.until(lambda: web.said("degraded", "port-taken"), "the words")
            (words,) = web.said("degraded", "port-taken")
            assert f"pid {process.pid} (" in words
            assert "user " in words
            blamed = web.sensor.blame("web")
            assert blamed is not None
            assert blamed.kind is Kind.HOST
            process.communicate(b"\n")
        assert not web.faults("port-taken"), "no restart takes the address back"


def test_descriptors_that_leak_are_said_and_then_a_fault(tmp_path: Path) -> None:
    with watched(tmp_path, **SOON) as web:
        resource.prlimit(web.main.pid, resource.RLIMIT_NOFILE, (100, 100))
        web.look()
        ask(web.port, "/files/77")
        web.until(lambda: web.said("sighting", "descriptors-exhausted"), "the warning")
        assert "of 100 descriptors" in web.said("sighting", "descriptors-exhausted")[0]
        ask(web.port, "/files/14")
        web.until(lambda: web.faults("descriptor-leak"), "the fault")
        assert web.faults("descriptor-leak")[0].fault.kind is Kind.RESOURCE


def test_descriptors_of_connections_are_load_and_never_a_fault(tmp_path: Path) -> None:
    with watched(tmp_path, backlog=128, leak_hold=1.0) as web:
        resource.prlimit(web.main.pid, resource.RLIMIT_NOFILE, (100, 100))
        ask(web.port, "/keep")
        clients = [ask(web.port, close=False) for _ in range(93)]
        web.until(lambda: web.said("degraded", "descriptors-exhausted"), "the error")
        began = time.monotonic()
        while time.monotonic() - began < 3:
            web.look()
        (words,) = web.said("degraded", "descriptors-exhausted")
        assert "to 200" in words
        assert web.posted == []
        for client in clients:
            client.close()


def test_connections_that_are_never_closed_are_a_leak(tmp_path: Path) -> None:
    numbers = {"close_wait_warning": 10, "close_wait_error": 30, "close_wait_age": 1.0}
    with watched(tmp_path, **numbers, **SOON) as web:
        ask(web.port, "/keep")
        for _ in range(15):
            ask(web.port)
        web.until(lambda: web.said("sighting", "close-wait-leak"), "the warning")
        assert web.posted == []
        for _ in range(25):
            ask(web.port)
        web.until(lambda: web.faults("close-wait-leak"), "the fault")


def test_connections_that_come_and_go_in_close_wait_are_no_leak(tmp_path: Path) -> None:
    """Each is there for less than the age: the clients close first, and the server after them."""
    numbers = {"close_wait_warning": 5, "close_wait_error": 10, "close_wait_age": 2.0}
    held: list[tuple[float, socket.socket]] = []
    with (
        watched(tmp_path, **numbers, **SOON) as web,
        socket.create_server(("127.0.0.1", 0), backlog=64) as listener,
    ):
        web.sensor.forget("web")
        web.values["port"] = f"127.0.0.1:{listener.getsockname()[1]}"
        web.watch.server = web.watch.executor.make()
        web.sensor.watch(web.watch, os.getpid())
        began = time.monotonic()
        while time.monotonic() - began < 5:
            for _ in range(3):
                client = socket.create_connection(listener.getsockname())
                held.append((time.monotonic(), listener.accept()[0]))
                client.close()
            web.look()
            while held and time.monotonic() - held[0][0] > 0.5:
                held.pop(0)[1].close()
            time.sleep(0.05)  # the rhythm of its clients
        for _, each in held:
            each.close()
        assert (web.told, web.posted) == ([], [])


def test_a_queue_that_is_too_short_names_what_to_raise(tmp_path: Path) -> None:
    with watched(tmp_path, backlog=4) as web:
        web.look()
        ask(web.port, "/hang")
        clients = []
        for _ in range(12):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", web.port))
            clients.append(client)
        web.until(lambda: web.said("degraded", "accept-queue-full"), "the queue's words")
        web.until(lambda: web.said("sighting", "accept-queue-overflow"), "the drops' words")
        (words,) = web.said("degraded", "accept-queue-full")
        assert "net.core.somaxconn" in words
        assert f"127.0.0.1:{web.port}" in web.said("sighting", "accept-queue-overflow")[0]
        assert web.posted == [], "that is for the probe, and for the proof of a stall"
        for client in clients:
            client.close()


def test_threads_that_only_grow_towards_their_limit_are_a_leak(tmp_path: Path) -> None:
    """The limit is the one of a control group, as far as this machine has one for tasks."""
    group = pids_group()
    if group is None:
        pytest.skip("no pids controller here")
    try:
        with watched(tmp_path, **SOON) as web:
            (group / "pids.max").write_text("40")
            (group / "cgroup.procs").write_text(str(web.main.pid))
            web.look()
            ask(web.port, "/threads/34")
            web.until(lambda: web.told, "the words")
            assert "pids.max" in web.told[0].detail
            ask(web.port, "/threads/4")
            web.until(lambda: web.faults("task-leak"), "the fault")
            (Path("/sys/fs/cgroup/pids/cgroup.procs")).write_text(str(web.main.pid))
    finally:
        group.rmdir()


def pids_group() -> Path | None:
    path = Path(f"/sys/fs/cgroup/pids/koboshi-test-{os.getpid()}")
    try:
        path.mkdir()
    except OSError:
        return None
    if (path / "pids.max").exists():
        return path
    path.rmdir()
    return None


def test_a_server_that_is_not_up_is_not_judged(tmp_path: Path) -> None:
    with watched(tmp_path, ports=2, listener_lost_after=0.5) as web:
        web.look()
        web.watch.state = web.watch.state.__class__(phase=Phase.CLEARING)
        ask(web.port, "/lose")
        began = time.monotonic()
        while time.monotonic() - began < 2:
            web.look()
        assert (web.told, web.posted) == ([], [])


def test_what_costs_much_is_done_less_often() -> None:
    pace = Pace(1.0, 0.01)
    assert pace.due(0)
    pace.spent(0, 0.001)
    assert pace.due(1)
    pace.spent(1, 0.05)
    assert not pace.due(5)
    assert pace.due(6)


def test_a_sensor_that_cannot_look_says_so_once(tmp_path: Path) -> None:
    with watched(tmp_path) as web:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        async def starved() -> None:
            """Three looks without a descriptor left for them."""
            web.table.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
            try:
                for _ in range(3):
                    await web.sensor.look()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        asyncio.run(starved())
        assert [tell.message for tell in web.told] == ["sensor-lost"]
        assert "sockets cannot be looked at" in web.sensor.problem
        web.look()
        assert web.watch.sockets["problem"] == ""


def test_while_all_is_well_and_no_listener_changes_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(tmp_path) as web:
        measured: list[float] = []
        measure = web.sensor.measure

        def counted(*given: Any) -> list[Finding]:
            measured.append(given[-1])
            return measure(*given)

        monkeypatch.setattr(web.sensor, "measure", counted)
        web.until(lambda: len(measured) >= 3, "three looks that measured")
        assert all(later - sooner > REST - 0.001 for sooner, later in pairwise(measured))
        assert (web.told, web.posted) == ([], [])
