"""A main process that dies is replaced at once, whatever its workers do meanwhile."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from resource_agents.listeners import listening
from resource_agents.processes import Process, alive, look, send
from tests.kinds import KINDS, instance_of, workers_of
from tests.koboshi_daemon import KoboshiDaemon, daemon, table
from tests.servers import answers, command_instance, family, nginx_instance
from tests.waiting import eventually

pytestmark = pytest.mark.live


def listener(port: int) -> set[int]:
    """The inodes of what listens on a port."""
    return {each.inode for each in listening() if each.port == port}


def with_workers(koboshi: KoboshiDaemon, least: int = 2) -> list[Process]:
    """The main process and its workers, as soon as there are so many."""
    main = koboshi.main("web")
    workers = eventually(lambda: found if len(found := workers_of(main)) >= least else [], what="the workers")
    return [main, *workers]


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_main_process_is_replaced_and_no_orphan_is_left(kind: str, tmp_path: Path) -> None:
    instance = instance_of(kind, tmp_path)
    with daemon(tmp_path, table(instance)) as koboshi:
        main, *workers = with_workers(koboshi)
        socket = listener(instance.port)
        send(main.identity, signal.SIGKILL)
        new = koboshi.until_new_main("web", main)
        assert not any(alive(process.identity) for process in workers)
        assert not listener(instance.port) & socket, "an orphan's socket is still there"
        assert answers(instance.url)
        incident = koboshi.until_incident_ended("web", 1, "recovered")
        assert incident.cause == "killed"
        assert str(main.pid) in incident.reason
        assert "SIGKILL" in incident.reason
        assert incident.actions.count("restarting") == 1
        assert "orphans-ended" in incident.actions
        assert all(process.pid == new.pid or process.ppid == new.pid for process in family(instance))


@pytest.mark.parametrize("kind", KINDS)
def test_everything_killed_is_replaced(kind: str, tmp_path: Path) -> None:
    instance = instance_of(kind, tmp_path)
    with daemon(tmp_path, table(instance)) as koboshi:
        everyone = with_workers(koboshi)
        for process in everyone:
            send(process.identity, signal.SIGKILL)
        koboshi.until_new_main("web", everyone[0])
        assert answers(instance.url)
        assert koboshi.until_incident_ended("web", 1, "recovered").cause == "killed"


@pytest.mark.parametrize(
    ("number", "cause"), [(signal.SIGSEGV, "crashed"), (signal.SIGTERM, "exited"), (signal.SIGKILL, "killed")]
)
def test_how_the_main_process_ended_is_named(number: int, cause: str, tmp_path: Path) -> None:
    with daemon(tmp_path, table(nginx_instance(tmp_path))) as koboshi:
        main = koboshi.main("web")
        send(main.identity, number)
        koboshi.until_new_main("web", main)
        koboshi.until_incident_ended("web", 1, "recovered")
        fell = koboshi.timeline("web-1")[0]
        assert (fell.message, fell.cause) == ("fell", cause)
        assert fell.proof


def test_orphans_that_serve_are_no_health_and_are_ended_when_the_pause_is(tmp_path: Path) -> None:
    instance = nginx_instance(tmp_path)
    with daemon(tmp_path, table(instance, probe_interval=0.2)) as koboshi:
        main, *workers = with_workers(koboshi)
        koboshi.do("pause", "web", **{"for": 600})
        send(main.identity, signal.SIGKILL)
        koboshi.until("web", "observing")
        assert answers(instance.url), "the orphans serve"
        assert all(alive(worker.identity) for worker in workers)
        koboshi.do("resume", "web")
        koboshi.until_new_main("web", main)
        assert not any(alive(worker.identity) for worker in workers)


def test_a_zombie_main_process_is_dead(tmp_path: Path) -> None:
    """Its parent, somebody else's, never waits for it."""
    instance = command_instance(tmp_path, workers=2)
    words = instance.server().start_command().argv
    careless = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], start_new_session=True); time.sleep(600)"
    with daemon(tmp_path, table(instance, autostart=False)) as koboshi:
        parent = koboshi.launch([sys.executable, "-c", careless, *words])
        eventually(lambda: answers(instance.url), what="the server of somebody else")
        koboshi.do("start", "web")
        main = koboshi.main("web")
        assert main.ppid == parent.pid
        assert koboshi.lines("adopted", "web")
        send(main.identity, signal.SIGKILL)
        koboshi.until_new_main("web", main)
        zombie = look(main.pid)
        assert zombie is not None
        assert zombie.state == "Z"
        koboshi.do("stop", "web")
        koboshi.until("web", "idle")
        assert not listener(instance.port)


def test_children_that_crash_in_a_row_are_a_fault(tmp_path: Path) -> None:
    instance = nginx_instance(tmp_path)
    with daemon(tmp_path, table(instance, child_crash_limit=4)) as koboshi:
        main = koboshi.main("web")
        if not connector_answers():
            pytest.skip("the process connector does not answer here")
        crashed: set[int] = set()

        def crash() -> bool:
            for worker in workers_of(main):
                if worker.pid not in crashed and send(worker.identity, signal.SIGSEGV):
                    crashed.add(worker.pid)
            return len(crashed) >= 4

        eventually(crash, what="four crashed workers")
        koboshi.until_new_main("web", main)
        incident = koboshi.until_incident_ended("web", 1, "recovered")
        assert incident.cause == "child-crash-loop"
        assert len(koboshi.lines("child-died", "web")) >= 4


def connector_answers() -> bool:
    """Whether the kernel tells of deaths here."""
    from cluster_glue.recovery.sensors.connector import ProcessConnector, Unavailable

    try:
        ProcessConnector().close()
    except Unavailable:
        return False
    return True
