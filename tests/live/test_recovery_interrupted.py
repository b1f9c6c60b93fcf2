"""koboshi may be killed at any moment: no second server, no new budget, and what was begun is brought to its end."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from resource_agents.processes import alive, send
from tests.awkward import AwkwardServer, awkward_instance, waits_for
from tests.koboshi_daemon import KoboshiDaemon, daemon, table
from tests.waiting import eventually

pytestmark = pytest.mark.live

#: Probes that find a silent server within a second.
EAGER: dict[str, Any] = {"probe_interval": 0.2, "retry_interval": 0.1, "probe_timeout": 0.3, "connect_timeout": 0.2}


def kill_at(koboshi: KoboshiDaemon, phase: str) -> None:
    """kill -9 koboshi as soon as the saved state is in this phase.

    A phase that nothing holds may be over by then on a busy machine; what follows must hold all the same.
    """
    eventually(lambda: koboshi.saved("web").get("phase") == phase, what=f"the saved phase {phase}", every=0.002)
    koboshi.kill()


def only_main(koboshi: KoboshiDaemon, awkward: AwkwardServer) -> int:
    """The pid of the one main process that there is."""
    pid = koboshi.main("web").pid
    assert awkward.mains() == [pid]
    return pid


def test_killed_in_the_first_start_it_goes_on_with_the_same_server(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path, "awkward", "late")
    with daemon(tmp_path, table(awkward.instance)) as koboshi:
        eventually(awkward.mains, what="the server's process")
        kill_at(koboshi, "starting")
        koboshi.start()
        awkward.be()
        koboshi.until("web", "up")
        only_main(koboshi, awkward)
        assert len(awkward.started()) == 1
        assert koboshi.status("web")["restarts"] == 0


def test_killed_while_it_clears_it_clears_again(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path)
    with daemon(tmp_path, table(awkward.instance, **EAGER)) as koboshi:
        koboshi.until("web", "up")
        awkward.be("silent", "stubborn")
        kill_at(koboshi, "clearing")
        awkward.be()
        koboshi.start()
        koboshi.until("web", "up")
        eventually(lambda: len(awkward.started()) == 2, what="the second main process")
        koboshi.until("web", "up")
        only_main(koboshi, awkward)
        assert koboshi.status("web")["restarts"] == 1
        assert [one.number for one in koboshi.incidents("web")] == [1]
        koboshi.until_incident_ended("web", 1, "recovered")


def test_killed_in_the_start_of_a_recovery_it_counts_the_restart_once(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path)
    with daemon(tmp_path, table(awkward.instance)) as koboshi:
        old = koboshi.main("web")
        awkward.be("late")
        send(old.identity, signal.SIGKILL)
        eventually(lambda: len(awkward.started()) == 2, what="the second main process")
        kill_at(koboshi, "starting")
        koboshi.start()
        awkward.be()
        koboshi.until_new_main("web", old)
        only_main(koboshi, awkward)
        assert len(awkward.started()) == 2
        assert koboshi.status("web")["restarts"] == 1
        koboshi.until_incident_ended("web", 1, "recovered")


def test_killed_between_two_tries_it_waits_for_the_rest_of_the_time(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path)
    with daemon(tmp_path, table(awkward.instance, restart_wait=2)) as koboshi:
        first = koboshi.main("web")
        send(first.identity, signal.SIGKILL)
        send(koboshi.until_new_main("web", first).identity, signal.SIGKILL)
        kill_at(koboshi, "waiting")
        koboshi.start()
        eventually(lambda: len(awkward.started()) == 3, what="the third main process")
        koboshi.until("web", "up")
        only_main(koboshi, awkward)
        times = koboshi.saved("web")["restarts"]
        assert len(times) == 2
        assert times[1] - times[0] >= 2


def test_killed_in_a_planned_restart_it_carries_that_out(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path)
    go = tmp_path / "go"
    with daemon(tmp_path, table(awkward.instance, check_command=waits_for(go))) as koboshi:
        old = koboshi.main("web")
        koboshi.do("restart", "web")
        kill_at(koboshi, "checking")
        assert alive(old.identity)
        go.touch()
        koboshi.start()
        koboshi.until_new_main("web", old)
        only_main(koboshi, awkward)
        assert koboshi.status("web")["restarts"] == 0, "what was asked for costs nothing"


def test_killed_in_a_stop_it_stops(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path)
    go = tmp_path / "go"
    stop = waits_for(go, f"kill $(cat {awkward.folder}/mains)")
    with daemon(tmp_path, table(awkward.instance, stop_command=stop, stop_timeout=120)) as koboshi:
        koboshi.until("web", "up")
        koboshi.do("stop", "web")
        kill_at(koboshi, "stopping")
        assert len(awkward.mains()) == 1
        koboshi.start()
        assert koboshi.status("web")["phase"] == "stopping"
        go.touch()
        koboshi.until("web", "idle")
        assert awkward.mains() == []
        koboshi.kill()
        koboshi.start()
        assert koboshi.status("web")["phase"] == "idle", "what is stopped stays stopped, also for the next koboshi"
        assert awkward.mains() == []


def test_killed_while_it_waits_for_a_mended_configuration_it_goes_on_waiting(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path)
    manners = awkward.folder / "manners"
    check = f"/bin/sh -c 'if grep -q broken {manners}; then echo {manners}:1: broken; exit 1; fi'"
    with daemon(tmp_path, table(awkward.instance, check_command=check, restart_wait=0)) as koboshi:
        old = koboshi.main("web")
        awkward.be("broken")
        send(old.identity, signal.SIGKILL)
        koboshi.until("web", "misconfigured")
        kill_at(koboshi, "misconfigured")
        koboshi.start()
        assert koboshi.status("web")["phase"] == "misconfigured"
        assert koboshi.status("web")["restarts"] == 1
        awkward.be()
        koboshi.do("start", "web")
        koboshi.until_new_main("web", old)
        only_main(koboshi, awkward)


def test_killed_while_paused_the_next_one_is_paused_too(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path)
    with daemon(tmp_path, table(awkward.instance)) as koboshi:
        old = koboshi.main("web")
        koboshi.do("pause", "web", **{"for": 600})
        send(old.identity, signal.SIGKILL)
        kill_at(koboshi, "observing")
        koboshi.start()
        assert koboshi.status("web")["phase"] == "observing"
        assert koboshi.status("web")["paused_for"] > 0
        assert awkward.mains() == []
        koboshi.do("resume", "web")
        koboshi.until_new_main("web", old)
        only_main(koboshi, awkward)
        koboshi.until_incident_ended("web", 1, "recovered")


def test_a_server_that_dies_while_koboshi_is_down_is_repaired_by_the_next_one(tmp_path: Path) -> None:
    awkward = awkward_instance(tmp_path)
    with daemon(tmp_path, table(awkward.instance)) as koboshi:
        old = koboshi.main("web")
        koboshi.kill()
        send(old.identity, signal.SIGKILL)
        eventually(lambda: not alive(old.identity), what="the server's end")
        koboshi.start()
        koboshi.until_new_main("web", old)
        only_main(koboshi, awkward)
        assert koboshi.status("web")["restarts"] == 1


def test_killed_again_and_again_there_is_one_server_and_one_budget(tmp_path: Path) -> None:
    """At every save of a recovery in turn: first, second, third ..., until one goes through undisturbed."""
    awkward = awkward_instance(tmp_path)
    state = tmp_path / "run/resources/web.json"
    with daemon(tmp_path, table(awkward.instance, restart_limit=100, restart_wait=0)) as koboshi:
        for turn in range(1, 6):
            old = koboshi.main("web")
            spent = len(koboshi.saved("web")["restarts"])
            send(old.identity, signal.SIGKILL)
            saves = [state.stat().st_mtime_ns]

            def saved_again(saves: list[int] = saves, turn: int = turn, spent: int = spent) -> bool:
                if (latest := state.stat().st_mtime_ns) != saves[-1]:
                    saves.append(latest)
                saved = koboshi.saved("web")
                return len(saves) > turn or (saved["phase"] == "up" and len(saved["restarts"]) > spent)

            eventually(saved_again, what=f"save {turn}", every=0)
            koboshi.kill()
            koboshi.start()
            koboshi.until_new_main("web", old)
            only_main(koboshi, awkward)
            assert len(koboshi.saved("web")["restarts"]) == spent + 1
