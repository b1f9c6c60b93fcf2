"""HAProxy for real: what its configuration says is what it does, and its own words name the cause."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocf.programs import run
from resource_agents.booting import health
from resource_agents.checking import reload
from resource_agents.patience import Patience
from resource_agents.processes import children, look
from tests.haproxy_server import HaproxyServer
from tests.waiting import LONG, eventually

pytestmark = pytest.mark.live


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[HaproxyServer]:
    server = HaproxyServer(tmp_path)
    yield server
    server.close()


def test_the_master_is_the_main_process_and_its_worker_answers(haproxy: HaproxyServer) -> None:
    main = haproxy.up()
    (worker,) = children(main.pid)
    assert haproxy.make().is_main(main)
    assert not haproxy.make().is_main(look(worker))  # type: ignore[arg-type]
    assert worker in haproxy.holders() <= {main.pid, worker}
    layout = haproxy.make().layout
    assert layout.request is not None
    assert layout.request.url == f"http://127.0.0.1:{haproxy.port}/alive"
    assert [exchange.where for exchange in layout.exchanges] == [str(haproxy.folder / "stats.sock")]


def test_a_reload_keeps_the_master_and_renews_the_worker(haproxy: HaproxyServer) -> None:
    main = haproxy.up()
    (before,) = children(main.pid)
    # At once: this early the master still ignores the signal, and a reload must not be lost.
    assert reload(haproxy.make(), None, Patience(LONG)) is None
    eventually(lambda: len(children(main.pid)) == 1 and children(main.pid) != [before], what="a new worker only")
    renewed, worker = look(main.pid), look(children(main.pid)[0])
    assert renewed is not None
    assert worker is not None
    assert renewed.identity == main.identity
    assert haproxy.make().is_main(renewed)
    assert "-sf" in worker.argv
    assert haproxy.make().is_child(worker)


def test_a_gentle_stop_leaves_nothing(haproxy: HaproxyServer) -> None:
    haproxy.up()
    haproxy.stop()
    haproxy.exit_status()
    assert haproxy.holders() == set()


def test_without_a_master_there_is_one_process_and_no_reload_by_signal(tmp_path: Path) -> None:
    server = HaproxyServer(tmp_path, master_worker="false")
    try:
        main = server.up()
        assert server.holders() == {main.pid}
        assert server.make().is_main(main)
        assert server.make().reloads_with is None
    finally:
        server.close()


def test_a_stopped_worker_is_seen_through_the_stats_socket(tmp_path: Path) -> None:
    server = HaproxyServer(tmp_path)
    server.configfile.write_text(server.configfile.read_text().replace("    monitor-uri /alive\n", ""))
    try:
        main = server.up()
        good = health(server.make(), 1.0, 5.0)
        assert good is not None
        assert good.verdict.name == "GOOD"
        (worker,) = children(main.pid)
        os.kill(worker, signal.SIGSTOP)
        bad = health(server.make(), 1.0, 1.0)
        assert bad is not None
        assert bad.verdict.name != "GOOD"
    finally:
        server.close()


def test_a_dead_worker_ends_the_master_and_is_named(haproxy: HaproxyServer) -> None:
    main = haproxy.up()
    (worker,) = children(main.pid)
    os.kill(worker, signal.SIGSEGV)
    haproxy.exit_status()
    fault = haproxy.make().explain(haproxy.lines(), "it ended")
    assert fault is not None
    assert fault.cause == "worker-died"


def test_a_taken_port_is_named(haproxy: HaproxyServer) -> None:
    with socket.create_server(("127.0.0.1", haproxy.port)):
        haproxy.spawn()
        assert haproxy.exit_status() == 1
    fault = haproxy.make().explain(haproxy.lines(), "start failed")
    assert fault is not None
    assert fault.cause == "port-taken"
    assert str(haproxy.port) in fault.proof


def test_the_configuration_test_agrees_with_the_reader(haproxy: HaproxyServer) -> None:
    command = haproxy.make().check_command()
    assert command is not None
    assert run(command.argv, 30, command.env).ok
    haproxy.configfile.write_text("bind 127.0.0.1:1\n")
    broken = run(command.argv, 30, command.env)
    assert not broken.ok
    fault = haproxy.make().explain(broken.output.splitlines(), "configuration test")
    assert fault is not None
    assert fault.cause == "config-error"
