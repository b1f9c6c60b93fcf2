"""Start, stop and reload of the stand-in through koboshi's own lifecycle: what its scripts cannot do, it must."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from ocf.faults import Fault, Kind
from resource_agents.booting import Started
from resource_agents.checking import reload
from resource_agents.patience import Patience
from resource_agents.processes import everyone, look
from resource_agents.starting import start
from resource_agents.stopping import stop
from resource_agents.sunone import SunOne
from tests.stand_ins.sunone.handling import end, freeze
from tests.stand_ins.sunone.install import Product
from tests.stand_ins.sunone.running import Instance, make
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="the product is started by root")]


def fresh(instance: Instance) -> SunOne:
    return SunOne({"instance_dir": str(instance.directory)})


def bring_up(instance: Instance, seconds: float = 40) -> Started:
    output = instance.product.root / "output"
    return start(lambda: fresh(instance), fresh(instance), None, None, output, Patience(seconds))


def bring_down(instance: Instance, seconds: float = 20, *, gentle: bool = True) -> Fault | None:
    return stop(fresh(instance), None, None, Patience(seconds), gentle)[0]


def nothing_left(instance: Instance) -> bool:
    alone = not any(instance.server.is_kin(process) for process in everyone())
    files = [name for name in ("pid", "webservd-wdog.socket", "webservd.socket") if (instance.temp / name).exists()]
    return alone and not instance.connects() and not files


def test_a_start_ends_with_an_answer_and_the_watchdog_remembered(server: Instance) -> None:
    started = bring_up(server)
    assert started.fault is None and started.remembered is not None
    assert started.remembered.main == server.watchdog.identity
    assert server.answer() == 200
    again = bring_up(server)
    assert again.fault is None and again.adopted


def test_a_gentle_stop_is_orderly(running: Instance) -> None:
    assert bring_down(running) is None
    assert nothing_left(running) and not running.temp.exists()


def test_a_start_sweeps_the_orphans_of_a_killed_watchdog_first(running: Instance) -> None:
    orphans = {running.primordial.pid, running.worker.pid}
    end(running.watchdog)
    started = bring_up(running)
    assert started.fault is None
    assert running.answer() == 200 and not running.family().orphans
    assert orphans.isdisjoint(running.pids())


def test_a_start_sweeps_orphans_that_hold_no_socket(running: Instance) -> None:
    worker = running.worker
    end(running.watchdog)
    end(worker)
    eventually(lambda: running.errors().count("CORE3016") == 2, what="the new worker")
    assert bring_up(running).fault is None
    assert running.answer() == 200 and not running.family().orphans


def test_a_start_is_not_fooled_by_a_zombie_watchdog(running: Instance) -> None:
    processes = (running.watchdog, running.primordial, running.worker)
    running.buries = False
    for process in processes:
        end(process)
    zombie = look(processes[0].pid)
    assert zombie is not None and zombie.dead
    assert bring_up(running).fault is None
    assert running.answer() == 200
    running.buries = True


def test_neither_start_nor_stop_touches_a_stranger_with_the_old_pid(server: Instance) -> None:
    with subprocess.Popen(["/bin/sleep", "600"], start_new_session=True) as stranger:
        server.temp.mkdir(parents=True)
        (server.temp / "pid").write_text(f"{stranger.pid}\n")
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(server.temp / "webservd-wdog.socket"))
        assert bring_down(server) is None
        assert nothing_left(server)
        (server.temp / "pid").write_text(f"{stranger.pid}\n")
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(server.temp / "webservd-wdog.socket"))
        assert bring_up(server).fault is None and server.answer() == 200
        assert bring_down(server) is None
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("who", ["watchdog", "primordial", "worker"])
def test_a_stop_of_a_hung_server_is_quick_and_complete(running: Instance, who: str) -> None:
    freeze(getattr(running, who))
    began = time.monotonic()
    assert bring_down(running) is None
    assert time.monotonic() - began < 6
    assert nothing_left(running)


@pytest.mark.parametrize("broken", ["empty", "missing", "malformed"])
def test_a_stop_needs_no_configuration(running: Instance, broken: str) -> None:
    path = running.directory / "config/server.xml"
    match broken:
        case "empty":
            path.write_text("")
        case "missing":
            path.unlink()
        case _:
            path.write_text(path.read_text().replace("</virtual-server>", ""))
    assert bring_down(running) is None
    assert not any(running.server.is_kin(process) for process in everyone())


def test_a_stop_finds_the_server_behind_a_changed_temp_path(running: Instance) -> None:
    running.edit("server.xml", str(running.temp), f"{running.temp}-moved")
    assert bring_down(running) is None
    assert not running.connects()


def test_a_stop_of_one_instance_leaves_the_next_alone(product: Product, running: Instance) -> None:
    other = make(product, "test2")
    other.start()
    end(running.watchdog)
    assert bring_down(running) is None
    assert not running.connects() and other.answer() == 200
    other.clean()


def test_a_busy_session_may_hold_a_gentle_stop_no_longer_than_the_stop_has(running: Instance) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: local")
        assert bring_down(running, 8) is None
    assert not running.connects() and not any(running.server.is_kin(process) for process in everyone())


def test_a_start_on_a_broken_file_is_a_configuration_fault_with_its_line(server: Instance) -> None:
    server.edit("server.xml", "</virtual-server>", "")
    fault = bring_up(server).fault
    assert fault is not None and (fault.cause, fault.kind) == ("config-error", Kind.CONFIGURATION)
    assert "CONF1103" in fault.proof


def test_a_start_on_a_taken_port_names_the_thief(server: Instance) -> None:
    with socket.create_server(("127.0.0.1", server.port)):
        fault = bring_up(server).fault
    assert fault is not None and (fault.cause, fault.kind) == ("port-taken", Kind.HOST)
    assert str(os.getpid()) in fault.reason


def test_a_reload_takes_the_new_configuration_and_a_broken_one_is_refused(running: Instance) -> None:
    before = running.pids()
    running.edit("server.xml", "<host>localhost</host>", "<host>www.example.com</host>")
    assert reload(fresh(running), None, Patience(30)) is None
    assert "CORE3280" in running.errors()
    running.edit("server.xml", "</virtual-server>", "")
    fault = reload(fresh(running), None, Patience(30))
    assert fault is not None and (fault.cause, fault.kind) == ("config-error", Kind.CONFIGURATION)
    assert (running.answer(), running.pids()) == (200, before)


def test_a_reload_of_a_hung_server_ends_in_time(running: Instance) -> None:
    freeze(running.worker)
    fault = reload(fresh(running), None, Patience(2))
    assert fault is not None
    end(running.worker, signal.SIGKILL)
    eventually(lambda: running.answer() == 200, what="an answer")


def test_the_software_is_missed_where_it_is_missing(server: Instance) -> None:
    assert fresh(server).missing() == ""
    Path(server.directory, "bin/startserv").unlink()
    assert "startserv" in fresh(server).missing()
