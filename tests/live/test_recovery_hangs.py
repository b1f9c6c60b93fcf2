"""A server that hangs, wholly or in part, is seen and replaced; what only looks like a hang is left alone."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from resource_agents.processes import Process, alive, send
from tests.awkward import awkward_instance
from tests.kinds import instance_of, workers_of
from tests.koboshi_daemon import KoboshiDaemon, daemon, table
from tests.servers import answers
from tests.waiting import eventually

pytestmark = pytest.mark.live

#: Probes that find a silent server within a few seconds.
EAGER: dict[str, Any] = {
    "probe_interval": 0.3,
    "retry_interval": 0.1,
    "probe_timeout": 0.5,
    "connect_timeout": 0.4,
}


def with_workers(koboshi: KoboshiDaemon) -> tuple[Process, list[Process]]:
    """The main process and its two workers, as soon as they are there."""
    main = koboshi.main("web")
    return main, eventually(lambda: found if len(found := workers_of(main)) >= 2 else [], what="the workers")


def chosen(main: Process, workers: list[Process], who: str) -> list[Process]:
    """The processes that are frozen."""
    return {"main": [main], "workers": workers, "all": [*workers, main]}[who]


@pytest.mark.parametrize("who", ["main", "workers", "all"])
@pytest.mark.parametrize("kind", ["prefork", "event", "nginx", "command"])
def test_frozen_processes_are_replaced(kind: str, who: str, tmp_path: Path) -> None:
    instance = instance_of(kind, tmp_path)
    with daemon(tmp_path, table(instance)) as koboshi:
        main, workers = with_workers(koboshi)
        for process in chosen(main, workers, who):
            send(process.identity, signal.SIGSTOP)
        koboshi.until_new_main("web", main)
        assert answers(instance.url)
        assert not any(alive(process.identity) for process in [main, *workers])
        incident = koboshi.until_incident_ended("web", 1, "recovered")
        fell = koboshi.timeline(incident.id)[0]
        assert fell.cause == "stopped", fell
        assert fell.proof.startswith("state T of pid "), fell
        assert incident.actions.count("restarting") == 1


def test_a_server_that_accepts_and_never_answers_is_replaced(tmp_path: Path) -> None:
    """No process is stopped: only the probes can know."""
    awkward = awkward_instance(tmp_path)
    with daemon(tmp_path, table(awkward.instance, **EAGER)) as koboshi:
        main = koboshi.main("web")
        awkward.be("silent")
        eventually(lambda: koboshi.status("web")["incident"], what="an incident")
        awkward.be()
        koboshi.until_new_main("web", main)
        incident = koboshi.until_incident_ended("web", 1, "recovered")
        assert len(koboshi.lines("suspect", "web")) == 1, "said once, not for each probe"
        assert "fell" in [line.message for line in koboshi.timeline(incident.id)]
        assert awkward.mains() == [koboshi.main("web").pid]


def test_a_frozen_server_that_thaws_in_time_is_left_alone(tmp_path: Path) -> None:
    """One slow answer is a suspicion at the most."""
    awkward = awkward_instance(tmp_path)
    with daemon(tmp_path, table(awkward.instance, failure_threshold=1000, **EAGER)) as koboshi:
        main = koboshi.main("web")
        awkward.be("silent")
        eventually(lambda: koboshi.lines("suspect", "web"), what="the suspicion")
        awkward.be()
        eventually(lambda: koboshi.lines("normal", "web"), what="the end of the suspicion")
        assert koboshi.main("web").identity == main.identity
        assert koboshi.incidents() == []


def test_slow_answers_are_told_and_nothing_is_restarted(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path)
    with daemon(tmp_path, table(awkward.instance, probe_interval=0.2, probe_timeout=20, slow_after=0.3)) as koboshi:
        main = koboshi.main("web")
        awkward.be("slow")
        eventually(lambda: koboshi.lines("slow", "web"), what="the word slow")
        awkward.be()
        eventually(lambda: koboshi.lines("normal", "web"), what="the word normal")
        assert koboshi.main("web").identity == main.identity
        assert koboshi.incidents() == []
