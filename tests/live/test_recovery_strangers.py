"""Nothing that is not the server's is ever signalled or removed, whatever a pid file or a port seems to say."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from resource_agents.leftovers import SemaphoreSet, semaphore_sets
from resource_agents.listeners import listening, sockets_of
from resource_agents.processes import alive, children, look, send
from tests.koboshi_daemon import daemon, table
from tests.ports import free_port
from tests.servers import Instance, answers, apache_instance, nginx_instance
from tests.waiting import eventually

pytestmark = pytest.mark.live

#: A program that does nothing for as long as a test may take.
SLEEP = [shutil.which("sleep") or "/bin/sleep", "600"]

INSTANCES: dict[str, Callable[[Path], Instance]] = {"apache": apache_instance, "nginx": nginx_instance}


def holds(pid: int, port: int) -> bool:
    """Whether a process listens on a port."""
    inodes = sockets_of(pid)
    return any(each.inode in inodes for each in listening() if each.port == port)


def remove(pidfile: Path, bystander: int) -> None:
    pidfile.unlink()


def make_empty(pidfile: Path, bystander: int) -> None:
    pidfile.write_text("")


def fill_with_garbage(pidfile: Path, bystander: int) -> None:
    pidfile.write_bytes(b"\xff\x00 -1 99999999999999999999\n" * 1000)


def make_unreadable(pidfile: Path, bystander: int) -> None:
    """A directory in its place: not even root reads that."""
    pidfile.unlink()
    pidfile.mkdir()


def name_a_bystander(pidfile: Path, bystander: int) -> None:
    pidfile.write_text(f"{bystander}\n")


def name_nobody(pidfile: Path, bystander: int) -> None:
    pidfile.write_text("4194303\n")


def name_init(pidfile: Path, bystander: int) -> None:
    pidfile.write_text("1\n")


SPOIL = (remove, make_empty, fill_with_garbage, name_a_bystander, name_nobody, name_init)


@pytest.mark.parametrize("spoil", SPOIL, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("kind", INSTANCES)
def test_a_pid_file_that_lies_hurts_nobody_and_hinders_nothing(
    kind: str, spoil: Callable[[Path, int], None], tmp_path: Path
) -> None:
    instance = INSTANCES[kind](tmp_path)
    with daemon(tmp_path, table(instance, probe_interval=0.2)) as koboshi:
        main = koboshi.main("web")
        bystander = koboshi.launch(SLEEP)
        spoil(instance.pidfile, bystander.pid)
        send(main.identity, signal.SIGKILL)
        new = koboshi.until_new_main("web", main)
        assert answers(instance.url)
        assert alive(bystander)
        koboshi.do("stop", "web")
        koboshi.until("web", "idle")
        assert alive(bystander)
        assert not alive(new.identity)


def test_a_pid_file_that_lies_about_a_healthy_server_changes_nothing(tmp_path: Path) -> None:
    instance = nginx_instance(tmp_path)
    with daemon(tmp_path, table(instance, probe_interval=0.1)) as koboshi:
        main = koboshi.main("web")
        bystander = koboshi.launch(SLEEP)
        for spoil in (name_a_bystander, fill_with_garbage, make_empty, make_unreadable):
            spoil(instance.pidfile, bystander.pid)
            koboshi.end()
            koboshi.start()
            assert koboshi.main("web").identity == main.identity
        assert koboshi.incidents() == []
        assert alive(bystander)


def test_a_pid_file_recycled_by_another_server_of_the_same_program_hurts_nobody(tmp_path: Path) -> None:
    """The same program as another user of the machine runs it: only the configuration tells them apart."""
    ours, theirs = nginx_instance(tmp_path, name="ours"), nginx_instance(tmp_path, name="theirs")
    with daemon(tmp_path, table(ours)) as koboshi:
        main = koboshi.main("web")
        koboshi.launch(list(theirs.server().start_command().argv))
        eventually(lambda: answers(theirs.url), what="the other nginx")
        other = look(int(theirs.pidfile.read_text()))
        assert other is not None
        ours.pidfile.write_text(f"{other.pid}\n")
        send(main.identity, signal.SIGKILL)
        koboshi.until_new_main("web", main)
        koboshi.do("stop", "web")
        koboshi.until("web", "idle")
        assert alive(other.identity)
        assert answers(theirs.url)


@pytest.mark.parametrize("kind", INSTANCES)
def test_a_port_that_another_program_took_is_named_with_pid_and_command(kind: str, tmp_path: Path) -> None:
    instance = INSTANCES[kind](tmp_path)
    take = f"import socket, sys, time\ns = socket.create_server(('127.0.0.1', {instance.port}))\ntime.sleep(600)"
    with daemon(tmp_path, table(instance, autostart=False)) as koboshi:
        thief = koboshi.launch([sys.executable, "-c", take, "the-thief"])
        eventually(lambda: holds(thief.pid, instance.port), what="the thief's socket")
        koboshi.do("start", "web")
        status = koboshi.until("web", "blocked")
        assert status["cause"] == "port-taken"
        assert f"pid {thief.pid}" in status["reason"]
        assert "python" in status["reason"]
        assert alive(thief)
        send(thief, signal.SIGKILL)
        koboshi.until("web", "up")
        told = [line for line in koboshi.timeline("web-1") if line.message == "blocked"]
        assert len(told) == 1, "said once, not for each look"
        assert str(thief.pid) in told[0].detail
        restarts = koboshi.until_incident_ended("web", 1, "recovered").actions.count("restarting")
        assert restarts <= 1, "no restart helps against somebody else's port"


def test_a_thief_that_comes_while_the_server_is_down_is_named(tmp_path: Path) -> None:
    instance = nginx_instance(tmp_path)
    take = (
        "import socket, time\n"
        "while True:\n"
        "    try:\n"
        f"        s = socket.create_server(('127.0.0.1', {instance.port}))\n"
        "        break\n"
        "    except OSError:\n"
        "        time.sleep(0.001)\n"
        "time.sleep(600)"
    )
    with daemon(tmp_path, table(instance)) as koboshi:
        main = koboshi.main("web")
        koboshi.do("pause", "web", **{"for": 600})
        for pid in (main.pid, *children(main.pid)):
            os.kill(pid, signal.SIGKILL)
        thief = koboshi.launch([sys.executable, "-c", take])
        eventually(lambda: holds(thief.pid, instance.port), what="the thief's socket")
        koboshi.do("resume", "web")
        status = koboshi.until("web", "blocked")
        assert status["cause"] == "port-taken"
        assert f"pid {thief.pid}" in status["reason"]
        assert alive(thief)


def test_two_daemons_side_by_side_keep_to_their_own(tmp_path: Path) -> None:
    first, second = nginx_instance(tmp_path, name="first"), nginx_instance(tmp_path, name="second")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with daemon(folders[0], table(first)) as one, daemon(folders[1], table(second)) as two:
        mains = one.main("web"), two.main("web")
        send(mains[0].identity, signal.SIGKILL)
        one.until_new_main("web", mains[0])
        assert two.main("web").identity == mains[1].identity
        send(mains[1].identity, signal.SIGKILL)
        new = two.until_new_main("web", mains[1])
        one.do("stop", "web")
        one.until("web", "idle")
        assert two.main("web").identity == new.identity
        assert [len(one.incidents()), len(two.incidents())] == [1, 1]


# ---- semaphores ------------------------------------------------------------------------------------------------------


def last_user(each: SemaphoreSet) -> int:
    """The pid that used a set last (semctl(2), GETPID)."""
    return int(ctypes.CDLL(None).semctl(each.number, 0, 11))


def sets_of(pids: set[int]) -> list[SemaphoreSet]:
    """The sets that one of these processes used last."""
    return [each for each in semaphore_sets() if last_user(each) in pids]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: semaphores of Apache's user")
def test_a_leaked_semaphore_set_is_removed_and_one_in_use_is_not(tmp_path: Path) -> None:
    """Two Listen lines with sysvsem make Apache serialise accept with a set that a kill -9 leaves behind."""
    instances = [
        apache_instance(
            tmp_path, "prefork", name=name, listen=[f"127.0.0.1:{free_port()}"], extra="Mutex sysvsem default"
        )
        for name in ("ours", "theirs")
    ]
    with daemon(tmp_path, table(instances[0])) as koboshi:
        main = koboshi.main("web")
        koboshi.launch(list(instances[1].server().start_command().argv))
        eventually(lambda: answers(instances[1].url), what="the other Apache")
        families = [{pid, *children(pid)} for pid in (main.pid, int(instances[1].pidfile.read_text()))]
        mine = eventually(lambda: sets_of(families[0]), what="our Apache's semaphore set")
        theirs = eventually(lambda: sets_of(families[1]), what="the other Apache's semaphore set")
        for pid in families[0]:
            os.kill(pid, signal.SIGKILL)
        koboshi.until_new_main("web", main)
        left = {each.key for each in semaphore_sets()}
        assert not left & {each.key for each in mine}
        assert {each.key for each in theirs} <= left
        assert answers(instances[1].url)
        notes = [line.detail for line in koboshi.timeline("web-1") if line.message == "leftovers-removed"]
        assert any("semaphore set" in note for note in notes), notes
        koboshi.do("stop", "web")
        koboshi.until("web", "idle")
        os.kill(int(instances[1].pidfile.read_text()), signal.SIGTERM)
        eventually(lambda: not sets_of(families[1]), what="the other Apache's end")
