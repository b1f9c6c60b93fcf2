"""One process or several killed or crashed.

The stand-in of Sun ONE behaves as the real server was seen to behave, and the agent draws the right conclusion.
See tests/stand_ins/README.rst.
"""

from __future__ import annotations

import os
import signal

import pytest

from resource_agents.processes import everyone, look
from resource_agents.sunone_family import Standing
from tests.stand_ins.sunone.handling import cause, end, standing
from tests.stand_ins.sunone.running import Instance
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="the product is started by root")]


@pytest.mark.parametrize(
    ("number", "logged"),
    [(signal.SIGKILL, False), (signal.SIGABRT, False), (signal.SIGSEGV, True), (signal.SIGTERM, False)],
)
def test_a_dead_worker_is_replaced_by_the_primordial(running: Instance, number: int, logged: bool) -> None:
    watchdog, primordial, worker = running.pids()
    said = running.syslog()
    end(running.worker, number)
    assert running.connects(), "the watchdog holds the socket: nobody is refused"
    assert running.answer(timeout=20) == 200
    assert running.pids()[:2] == (watchdog, primordial)
    assert running.worker.pid != worker
    assert f"CORE3050: Spawning replacement for worker process {worker}" in running.errors()
    assert ("CORE3260: Server crash detected (signal SIGSEGV)" in running.errors()) is logged
    assert running.syslog() == said


@pytest.mark.parametrize(
    ("number", "in_syslog"), [(signal.SIGKILL, True), (signal.SIGSEGV, True), (signal.SIGTERM, False)]
)
def test_a_dead_primordial_is_replaced_by_the_watchdog(running: Instance, number: int, in_syslog: bool) -> None:
    watchdog, primordial, worker = running.pids()
    end(running.primordial, number)
    eventually(lambda: [p.pid for p in running.family().primordials] not in ([], [primordial]), what="a new primordial")
    eventually(lambda: look(worker) is None or (look(worker) or running.watchdog).dead, what="the old worker's end")
    assert running.answer(timeout=20) == 200
    assert (running.watchdog.pid, running.pid_file) == (watchdog, str(watchdog))
    line = f"server terminated (signal {int(number)}): watchdog is restarting it"
    assert (line in running.syslog()) is in_syslog
    assert running.errors().count("CORE1116") == (1 if in_syslog else 2)


def test_primordial_and_worker_killed_together_come_back(running: Instance) -> None:
    primordial, worker = running.primordial, running.worker
    end(primordial)
    end(worker)
    eventually(lambda: running.family().workers and running.worker.pid != worker.pid, what="a new worker")
    assert running.answer(timeout=20) == 200
    assert "(signal 9): watchdog is restarting it" in running.syslog()


def test_the_product_never_gives_up_on_a_worker(running: Instance) -> None:
    watchdog, primordial, _ = running.pids()
    for number in range(1, 6):
        end(running.worker)
        eventually(lambda n=number: running.errors().count("CORE3050") == n, what="the replacement")  # type: ignore[misc]
        assert running.answer(timeout=20) == 200
    assert running.pids()[:2] == (watchdog, primordial)


def test_without_autostart_a_dead_primordial_is_the_end(server: Instance) -> None:
    assert server.script("startserv", UXWDOG_NO_AUTOSTART="1").ok
    end(server.primordial)
    eventually(lambda: server.family().watchdog is None and not server.family().orphans, what="the end of all")
    assert not server.pid_file
    assert "server terminated (signal 9): watchdog exiting" in server.syslog()
    fault = server.server.explain(server.syslog().splitlines(), "gone")
    assert fault is not None and fault.cause == "watchdog-gave-up"


def test_orphans_of_a_killed_watchdog_serve_on_and_the_agent_calls_it_a_fault(running: Instance) -> None:
    _, primordial, worker = running.pids()
    end(running.watchdog)
    eventually(lambda: "CORE3144: Watchdog admin channel has been closed" in running.errors(), what="CORE3144")
    assert running.answer() == 200
    assert {p.pid for p in running.family().orphans} == {primordial, worker}
    assert cause(running, answered=True) == "watchdog-gone"
    assert standing(running, answered=True) is Standing.UNMANAGED
    assert all(running.server.is_child(p) for p in running.family().orphans)
    assert not any(running.server.is_main(p) for p in everyone())
    assert len(os.listdir(running.temp)) == 3


def test_neither_script_helps_when_the_watchdog_was_killed(running: Instance) -> None:
    watchdog, _, worker = running.pids()
    end(running.watchdog)
    running.family()
    stopped = running.script("stopserv")
    assert stopped.status == 1 and "No such process" in stopped.output
    started = running.script("startserv")
    assert started.status == 1
    for words in (
        f"startup failure: could not bind to 127.0.0.1:{running.port} (Address already in use)",
        "HTTP3127: http-listener-1: ",
        "HTTP3094: 1 listen sockets could not be created",
        "failure: server initialization failed",
    ):
        assert words in started.output
    fault = running.server.explain(started.output.splitlines(), "start failed")
    assert fault is not None and fault.cause == "port-taken"
    assert os.listdir(running.temp) == ["pid"] and running.pid_file == str(watchdog)
    eventually(lambda: "CORE3311" in running.errors(), what="CORE3311")
    assert running.answer() == 200 and {p.pid for p in running.family().orphans} >= {worker}


def test_a_signal_to_the_orphaned_primordial_ends_the_orphans(running: Instance) -> None:
    end(running.watchdog)
    orphans = running.family().orphans
    child = {p.ppid for p in orphans}
    end(next(p for p in orphans if p.pid in child), signal.SIGTERM)
    eventually(lambda: not running.family().orphans, what="the end of the orphans")
    assert running.pid_file, "it remains, and must be removed"
    assert f"{running.temp}/pid" in running.server.leftovers()


def test_the_group_of_a_dead_watchdog_can_still_be_signalled(running: Instance) -> None:
    watchdog = running.watchdog
    end(watchdog)
    os.killpg(watchdog.pgid, signal.SIGTERM)
    eventually(lambda: not running.family().orphans, what="the end of the orphans")


def test_an_orphaned_worker_ends_with_its_primordial(running: Instance) -> None:
    primordial = running.primordial
    end(running.watchdog)
    end(primordial)
    eventually(lambda: not running.family().orphans, what="the end of the worker")


def test_a_worker_replaced_without_a_watchdog_gets_no_socket_and_a_new_tree_stands_beside_it(running: Instance) -> None:
    worker = running.worker
    end(running.watchdog)
    end(worker)
    eventually(lambda: running.errors().count("CORE3016") == 2, what="the new worker")
    assert not running.connects()
    assert cause(running, answered=False) == "watchdog-gone"
    eventually(lambda: len(running.family().orphans) == 2, what="both orphans")
    orphans = {p.pid for p in running.family().orphans}
    assert running.script("startserv").status == 0
    assert running.answer() == 200
    assert {p.pid for p in running.family().orphans} == orphans
    assert len(running.family().primordials) == 1


def test_after_all_three_were_killed_stop_fails_and_start_works(running: Instance) -> None:
    everybody = (running.watchdog, running.primordial, running.worker)
    for process in everybody:
        end(process)
    eventually(lambda: not running.family().orphans, what="the end of all")
    stopped = running.script("stopserv")
    assert stopped.status == 1 and "No such process" in stopped.output
    assert running.script("startserv").status == 0
    assert running.pid_file == str(running.watchdog.pid)
