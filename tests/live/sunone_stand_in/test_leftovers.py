"""Pid files, sockets, temp directory.

The stand-in of Sun ONE behaves as the real server was seen to behave, and the agent draws the right conclusion.
See tests/stand_ins/README.rst.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from resource_agents.processes import everyone, look
from tests.stand_ins.sunone.handling import cause, end
from tests.stand_ins.sunone.running import Instance
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="the product is started by root")]


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A living process of somebody else's."""
    process = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def leave(server: Instance, pid: str, *, sockets: bool) -> None:
    server.temp.mkdir(parents=True)
    (server.temp / "pid").write_text(pid)
    for name in ("webservd-wdog.socket", "webservd.socket") if sockets else ():
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(server.temp / name))


def dead_pid() -> int:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("sockets", [False, True])
def test_a_pid_file_of_the_dead_hinders_the_stop_but_not_the_start(server: Instance, sockets: bool) -> None:
    leave(server, f"{dead_pid()}\n", sockets=sockets)
    stopped = server.script("stopserv")
    assert stopped.status == 1 and "No such process" in stopped.output and server.pid_file
    assert server.script("startserv").status == 0
    assert server.pid_file == str(server.watchdog.pid)


@pytest.mark.parametrize("text", ["", "abc\n"])
def test_garbage_in_the_pid_file(server: Instance, text: str) -> None:
    leave(server, text, sockets=False)
    assert server.script("stopserv").status == 1
    assert server.script("startserv").status == 0


def test_a_stranger_with_the_old_pid_is_overwritten_where_no_socket_is_left(
    server: Instance, stranger: subprocess.Popen[bytes]
) -> None:
    leave(server, f"{stranger.pid}\n", sockets=False)
    assert server.script("startserv").status == 0
    assert server.answer() == 200 and stranger.poll() is None


def test_a_stranger_with_the_old_pid_and_a_socket_left_makes_start_lie_and_stop_kill_him(
    server: Instance, stranger: subprocess.Popen[bytes]
) -> None:
    leave(server, f"{stranger.pid}\n", sockets=True)
    started = server.script("startserv")
    assert (started.status, started.output.strip()) == (0, "info: server already running")
    assert server.family().watchdog is None and not server.connects()
    process = look(stranger.pid)
    assert process is not None and not server.server.is_main(process) and not server.server.is_kin(process)
    assert server.server.stop_command() is None, "the agent never calls what kills him"
    for path in server.server.leftovers():
        Path(path).unlink()
    assert server.script("startserv").status == 0 and server.answer() == 200
    assert stranger.poll() is None
    server.script("stopserv")
    leave(server, f"{stranger.pid}\n", sockets=True)
    server.script("stopserv", timeout=30)
    assert stranger.wait(30) == -signal.SIGTERM


def test_a_zombie_watchdog_makes_start_lie_until_the_leftovers_are_gone(running: Instance) -> None:
    everybody = (running.watchdog, running.primordial, running.worker)
    running.buries = False
    for process in everybody:
        end(process)
    zombie = look(everybody[0].pid)
    assert zombie is not None and zombie.dead
    started = running.script("startserv")
    assert (started.status, started.output.strip()) == (0, "info: server already running")
    assert running.family().watchdog is None, "a zombie is dead"
    assert not any(running.server.is_main(process) for process in everyone())
    for path in running.server.leftovers():
        Path(path).unlink()
    assert running.script("startserv").status == 0 and running.answer() == 200
    running.buries = True


def test_stopserv_waits_for_a_zombie_and_then_says_1(running: Instance) -> None:
    everybody = (running.watchdog, running.primordial, running.worker)
    running.buries = False
    for process in everybody:
        end(process)
    stopped = running.script("stopserv")
    assert stopped.status == 1 and "killing process group" in stopped.output
    assert not running.pid_file
    running.buries = True


@pytest.mark.parametrize("removed", ["pid file", "temp directory"])
def test_a_cleaner_hides_the_server_from_its_scripts_but_not_from_the_agent(running: Instance, removed: str) -> None:
    for name in os.listdir(running.temp) if removed == "temp directory" else ["pid"]:
        (running.temp / name).unlink()
    if removed == "temp directory":
        running.temp.rmdir()
    stopped = running.script("stopserv")
    assert (stopped.status, stopped.output.strip()) == (0, "server not running")
    started = running.script("startserv")
    assert started.status == 1 and "Address already in use" in started.output
    assert not (running.temp / "webservd-wdog.socket").exists(), "it deleted the living server's"
    assert running.answer() == 200
    assert cause(running, answered=True) == ""
    end(running.watchdog, signal.SIGTERM)
    eventually(lambda: not running.family().orphans, what="the end of all")


def test_killing_the_group_and_removing_the_leftovers_always_cleans_up(running: Instance) -> None:
    os.killpg(running.watchdog.pid, signal.SIGKILL)
    eventually(lambda: running.family().watchdog is None and not running.family().orphans, what="the end of all")
    for path in running.server.leftovers():
        Path(path).unlink()
    assert running.script("startserv").status == 0 and running.answer() == 200
