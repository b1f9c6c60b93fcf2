"""lighttpd for real: what its configuration says is what it does, and its own words name the cause."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocf.programs import run
from resource_agents.checking import reload
from resource_agents.families import find_main
from resource_agents.patience import Patience
from resource_agents.processes import alive, children, look
from tests.lighttpd_server import LighttpdServer
from tests.ports import free_port
from tests.waiting import LONG, eventually

pytestmark = pytest.mark.live


@pytest.fixture
def lighttpd(tmp_path: Path) -> Iterator[LighttpdServer]:
    server = LighttpdServer(tmp_path)
    yield server
    server.close()


def test_what_is_spawned_is_the_main_process_and_holds_every_address(lighttpd: LighttpdServer) -> None:
    second = free_port()
    with lighttpd.configfile.open("a") as file:
        file.write(f'$SERVER["socket"] == "127.0.0.1:{second}" {{ }}\n')
    main = lighttpd.up()
    assert [address.port for address in lighttpd.make().layout.addresses] == [lighttpd.port, second]
    assert lighttpd.holders() == {main.pid}
    assert lighttpd.make().is_main(main)
    assert Path(lighttpd.make().layout.pidfile).read_text().strip() == str(main.pid)


def test_a_gentle_stop_leaves_nothing(lighttpd: LighttpdServer) -> None:
    lighttpd.up()
    lighttpd.stop()
    assert lighttpd.exit_status() == 0
    assert lighttpd.holders() == set()


def test_orphaned_workers_are_not_taken_for_a_server(tmp_path: Path) -> None:
    server = LighttpdServer(tmp_path, "server.max-worker = 2\n")
    try:
        main = server.up()
        workers = eventually(lambda: children(main.pid), what="workers")
        assert server.make().is_main(main)
        assert [pid for pid in workers if server.make().is_main(look(pid))] == []  # type: ignore[arg-type]
        os.kill(main.pid, signal.SIGKILL)
        os.waitpid(main.pid, 0)
        assert find_main(server.make(), None) is None
        assert server.holders() == set(workers)
        server.stop()
        assert server.holders() == set()
    finally:
        server.close()


def test_a_sibling_with_a_longer_configuration_name_is_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = LighttpdServer(tmp_path / "a"), LighttpdServer(tmp_path / "b")
    two.configfile = two.configfile.rename(tmp_path / "a/lighttpd.conf.more")
    try:
        main = two.up()
        assert not one.make().is_main(main)
        assert not one.make().is_child(main)
    finally:
        two.close()


def test_a_reload_keeps_the_process_and_serves_on(lighttpd: LighttpdServer) -> None:
    main = lighttpd.up()
    assert reload(lighttpd.make(), None, Patience(LONG)) is None
    eventually(lambda: any("SIGUSR1" in line or "graceful" in line for line in lighttpd.lines()), what="the reload")
    eventually(lambda: lighttpd.holders() == {main.pid}, what="the listener after the reload")
    assert alive(main.identity)


def test_a_taken_port_is_named(lighttpd: LighttpdServer) -> None:
    with socket.create_server(("127.0.0.1", lighttpd.port)):
        lighttpd.spawn()
        assert lighttpd.exit_status() != 0
    fault = lighttpd.make().explain(lighttpd.lines(), "start failed")
    assert fault is not None
    assert fault.cause == "port-taken"
    assert str(lighttpd.port) in fault.proof


def test_the_configuration_test_agrees_with_the_reader(lighttpd: LighttpdServer) -> None:
    command = lighttpd.make().check_command()
    assert command is not None
    assert run(command.argv, 30, command.env).ok
    lighttpd.configfile.write_text("server.port = {\n")
    broken = run(command.argv, 30, command.env)
    assert not broken.ok
    fault = lighttpd.make().explain(broken.output.splitlines(), "configuration test")
    assert fault is not None
    assert fault.cause == "config-error"
