"""Processes that hang, clients that do not let go.

The stand-in of Sun ONE behaves as the real server was seen to behave, and the agent draws the right conclusion.
See tests/stand_ins/README.rst.
"""

from __future__ import annotations

import http.client
import os
import signal
import time

import pytest

from ocf.programs import PLAIN_ENVIRONMENT, run
from resource_agents.processes import everyone, send
from resource_agents.sunone_family import Standing
from tests.stand_ins.sunone.handling import cause, end, freeze, half_sent, standing
from tests.stand_ins.sunone.install import Product
from tests.stand_ins.sunone.running import Instance, make
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="the product is started by root")]


def test_a_stopped_worker_accepts_and_never_answers_and_its_end_is_the_cheapest_cure(running: Instance) -> None:
    watchdog, primordial, worker = running.pids()
    freeze(running.worker)
    assert running.connects()
    assert running.answer(timeout=0.5) is None
    assert (cause(running, answered=False), standing(running, answered=False)) == ("worker-stopped", Standing.STALLED)
    assert running.script("startserv").output.strip() == "info: server already running"
    assert running.script("reconfig", timeout=1).status is None, "it hangs for ever"
    (cure,) = running.server.cheaper_cure(everyone())
    assert cure.pid == worker
    end(cure)
    assert running.answer(timeout=20) == 200
    assert running.pids()[:2] == (watchdog, primordial)


@pytest.mark.parametrize("who", ["watchdog", "primordial", "worker"])
def test_stopserv_kills_the_group_of_a_server_that_hangs_and_says_1(running: Instance, who: str) -> None:
    freeze(getattr(running, who))
    stopped = running.script("stopserv")
    assert stopped.status == 1
    assert "server not responding to exit command\nkilling process group" in stopped.output
    eventually(lambda: running.family().watchdog is None and not running.family().orphans, what="the end of all")
    assert sorted(os.listdir(running.temp)) == ["webservd-wdog.socket", "webservd.socket"]
    assert set(running.server.leftovers()) > {f"{running.temp}/{name}" for name in os.listdir(running.temp)}


def test_a_worker_that_goes_on_lets_the_stop_succeed(running: Instance) -> None:
    worker = running.worker
    freeze(worker)
    send(worker.identity, signal.SIGCONT)
    assert running.script("stopserv").status == 0


def test_a_stopped_primordial_serves_until_its_worker_dies(running: Instance) -> None:
    primordial, worker = running.primordial, running.worker
    freeze(primordial)
    assert running.answer() == 200
    assert cause(running, answered=True) == "primordial-stopped"
    assert running.server.cheaper_cure(everyone()) == (), "nobody would replace the worker"
    end(worker)
    assert running.connects() and running.answer(timeout=0.5) is None
    assert cause(running, answered=False) == "worker-missing"


def test_a_stopped_watchdog_serves_until_its_worker_dies(running: Instance) -> None:
    watchdog, worker = running.watchdog, running.worker
    freeze(watchdog)
    assert running.answer() == 200
    assert cause(running, answered=True) == "watchdog-stopped"
    end(worker)
    eventually(lambda: running.errors().count("CORE3016") == 2, what="the new worker")
    assert running.connects() and running.answer(timeout=0.5) is None
    assert (running.errors().count("HTTP3072"), running.errors().count("CORE3274")) == (1, 1)
    send(watchdog.identity, signal.SIGCONT)
    assert running.answer(timeout=20) == 200


def test_one_stopped_worker_of_three_is_seen_by_no_request(server: Instance) -> None:
    (server.directory / "config/magnus.conf").write_text("MaxProcs 3\n")
    server.start()
    eventually(lambda: server.errors().count("CORE3274") == 3, what="three workers")
    freeze(server.worker)
    assert [server.answer(timeout=10) for _ in range(20)] == [200] * 20
    stopped = server.script("stopserv")
    assert stopped.status == 1 and "killing process group" in stopped.output


def test_a_stop_that_was_cut_off_completes_when_the_server_goes_on(running: Instance) -> None:
    worker = running.worker
    freeze(worker)
    running.switch("tick", 1)
    assert running.script("stopserv", timeout=1).status is None
    assert running.script("startserv").output.strip() == "info: server already running"
    send(worker.identity, signal.SIGCONT)
    eventually(lambda: running.family().watchdog is None, what="the end of the server")
    assert running.script("stopserv").output.strip() == "server not running"


def test_slow_clients_take_every_thread_and_nothing_is_logged(server: Instance) -> None:
    server.edit("server.xml", "</server>", "<thread-pool><max-threads>4</max-threads></thread-pool></server>")
    server.switch("io-timeout", 2)
    server.start()
    said = server.errors()
    with half_sent(server.port, 6) as clients:
        assert server.connects() and server.answer(timeout=0.5) is None
        assert cause(server, answered=False) in ("stalled", "crash-loop")
        assert clients[0].recv(100).startswith(b"HTTP/1.1 408")
    eventually(lambda: server.answer() == 200, what="recovery")
    assert server.errors() == said


def test_a_half_sent_request_holds_the_stop_for_the_terminate_timeout(server: Instance) -> None:
    (server.directory / "config/magnus.conf").write_text("TerminateTimeout 1\n")
    server.switch("tick", 1)
    server.start()
    with half_sent(server.port):
        eventually(lambda: server.connects(), what="a connection")
        began = time.monotonic()
        assert server.script("stopserv").status == 0
        assert time.monotonic() - began >= 1
    assert "HTTP3039: terminating with 1 sessions still in progress" in server.errors()
    assert "CORE3189: Restart functions not called since 1 sessions still active" in server.errors()


def test_an_idle_connection_holds_no_stop(running: Instance) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
    connection.request("GET", "/")
    connection.getresponse().read()
    assert running.script("stopserv").status == 0
    assert "HTTP3039" not in running.errors()
    connection.close()


def test_few_descriptors_limit_the_connections(server: Instance) -> None:
    script = f"ulimit -n 40; exec {server.directory}/bin/startserv"
    started = run(["/bin/sh", "-c", script], 60, PLAIN_ENVIRONMENT)
    assert started.status == 0
    assert "CORE3361: Insufficient file descriptors for optimum configuration." in started.output
    with half_sent(server.port):
        eventually(lambda: server.answer() is None and "HTTP3360" in server.errors(), what="a refused connection")
    assert "HTTP3360: connection limit (1) exceeded." in server.errors()
    fault = server.server.explain(server.errors().splitlines(), "no answer")
    assert fault is not None and fault.cause == "connection-limit"


def test_a_full_log_device_is_borne_in_silence(server: Instance) -> None:
    server.edit("server.xml", "../logs/errors", "/dev/full")
    server.start()
    assert server.answer() == 200
    assert server.script("stopserv").status == 0


def test_an_access_log_that_the_user_cannot_write_is_only_logged(product: Product) -> None:
    server = make(product, user="nobody")
    (server.directory / "logs/access").write_text("")
    (server.directory / "logs/access").chmod(0o600)
    server.start()
    assert server.answer() == 200
    assert "HTTP3091: Error opening log file" in server.errors()
