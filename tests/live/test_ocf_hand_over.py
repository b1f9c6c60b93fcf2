"""What a cluster is told never depends on the recovery daemon, and the daemon never does what the cluster undid."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cluster_glue.client import AskError, ask
from resource_agents.entry import MONITOR_PATIENCE
from resource_agents.processes import Identity, alive, look, send, state_of
from tests.koboshi_daemon import KOBOSHI
from tests.ocf_stage import ROOT, Node, node
from tests.waiting import LONG, eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(not ROOT, reason="needs root and real servers")]


@pytest.fixture
def web() -> Iterator[Node]:
    with node("lighttpd") as here:
        yield here


def started(here: Node, **values: str) -> Identity:
    """Start it; its main process."""
    ran = here.act("start", **values)
    assert ran.rc == 0, ran.stderr
    main = here.main
    assert main is not None
    return main.identity


def in_care(here: Node, **values: str) -> Identity:
    """Start it, and see it watched; its main process."""
    main = started(here, **values)
    eventually(lambda: watched(here).get("main_pid") == main.pid, what="a daemon that watches it")
    return main


def watched(here: Node) -> dict[str, object]:
    """What the daemon knows of the resource; empty when it does not watch it, or does not answer."""
    with suppress(AskError):
        for found in ask(here.runtime / "control.sock", {"do": "status"}, LONG)["resources"]:
            return dict(found)
    return {}


def freeze(process: Identity) -> None:
    send(process, signal.SIGSTOP)
    eventually(lambda: state_of(process) == "T", what="a stopped process")


def kill_main(here: Node, main: Identity) -> None:
    send(main, signal.SIGKILL)
    eventually(lambda: not alive(main), what="the end of the main process")


def said(journal: Path) -> set[str]:
    """The messages that are in a daemon's journal by now."""
    with suppress(sqlite3.Error), sqlite3.connect(journal) as database:
        return {message for (message,) in database.execute("SELECT message FROM entry")}
    return set()


def daemon_of(here: Node) -> Identity:
    daemon = here.daemon
    assert daemon is not None
    return daemon


# ---- hand-over -------------------------------------------------------------------------------------------------------


def test_start_hands_over_to_a_daemon_that_has_left_the_clusters_process_group_and_pipes(web: Node) -> None:
    ran = web.act("start")
    assert ran.rc == 0, ran.stderr
    eventually(lambda: watched(web).get("phase") == "up", what="a daemon that watches it")
    daemon = look(daemon_of(web).pid)
    assert daemon is not None
    assert daemon.sid == daemon.pid
    assert daemon.pgid != ran.pid
    held = {os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{daemon.pid}/fd")}
    assert not held & {f"pipe:[{inode}]" for inode in ran.pipes}


def test_a_start_does_not_wait_for_a_daemon_that_sleeps(web: Node, tmp_path: Path) -> None:
    """It is roused and slow to come: the server runs long before, once, and is adopted."""
    gate, slow = tmp_path / "gate", tmp_path / "koboshi"
    slow.write_text(f'#!/bin/sh\nwhile [ ! -e {gate} ]; do sleep 0.05; done\nexec {KOBOSHI} "$@"\n')
    slow.chmod(0o755)
    web.settings["KOBOSHI_COMMAND"] = str(slow)
    main = started(web)
    assert web.daemon is None
    assert web.code("monitor", interval=10) == 0
    assert len(list((web.runtime / "ocf").glob("ocf-check@*.json"))) == 1
    gate.touch()
    eventually(lambda: watched(web).get("main_pid") == main.pid and watched(web)["phase"] == "up", what="adoption")
    assert alive(main)
    kill_main(web, main)
    eventually(lambda: web.main is not None and watched(web).get("phase") == "up", what="a repair")
    assert watched(web)["restarts"] == 1


def test_a_daemon_that_is_still_on_its_way_is_not_left_behind_by_these_tests(tmp_path: Path) -> None:
    gate, slow = tmp_path / "gate", tmp_path / "koboshi"
    slow.write_text(f'#!/bin/sh\nwhile [ ! -e {gate} ]; do sleep 0.05; done\nexec {KOBOSHI} "$@"\n')
    slow.chmod(0o755)
    with node("lighttpd", KOBOSHI_COMMAND=str(slow)) as here:
        started(here)
        (roused,) = here.roused()
        assert here.daemon is None
    assert not alive(roused)


def test_a_daemon_that_died_is_roused_by_the_next_monitor_and_goes_on_with_its_budget(web: Node) -> None:
    first = in_care(web)
    kill_main(web, first)
    eventually(lambda: watched(web).get("restarts") == 1 and watched(web)["phase"] == "up", what="a repair")
    assert web.main is not None
    main = web.main.identity
    web.kill_daemon()
    (web.runtime / "ocf/roused").unlink()  # as if it had lived for longer
    assert web.code("monitor", interval=10) == 0
    eventually(lambda: watched(web).get("main_pid") == main.pid, what="a daemon that watches it again")
    assert watched(web)["restarts"] == 1


def test_a_daemon_that_died_with_its_server_is_waited_for_and_repairs_it(web: Node) -> None:
    """Killed in the middle of a repair, too: the cluster hears of neither."""
    for both in (True, False):
        main = in_care(web)
        if both:
            web.kill_daemon()
            kill_main(web, main)
        else:
            kill_main(web, main)
            web.kill_daemon()
        (web.runtime / "ocf/roused").unlink(missing_ok=True)
        assert web.code("monitor", interval=10) == 0
        eventually(lambda: watched(web).get("phase") == "up", what="a repair by the new daemon")
        assert web.main is not None
        assert watched(web)["restarts"] == 1
        assert web.code("stop") == 0


def test_a_daemon_that_stood_still_for_seconds_is_waited_for_and_repairs_what_died_meanwhile(web: Node) -> None:
    """On a machine that has too much to do everybody stands still now and then; that alone may not move a service."""
    main, daemon = in_care(web), daemon_of(web)
    freeze(daemon)
    kill_main(web, main)
    goes_on = threading.Timer(MONITOR_PATIENCE * 1.5, send, (daemon, signal.SIGCONT))
    goes_on.start()
    try:
        assert web.code("monitor", interval=10) == 0
    finally:
        goes_on.join()
    eventually(lambda: watched(web).get("phase") == "up", what="a repair by the daemon")
    assert daemon_of(web) == daemon
    journal = web.resource.home / "state" / "journal.sqlite"
    eventually(lambda: "stood-still" in said(journal), what="its word that it stood still")


def test_a_daemon_that_cannot_come_up_is_not_roused_by_each_monitor(web: Node, tmp_path: Path) -> None:
    calls, broken = tmp_path / "calls", tmp_path / "koboshi"
    broken.write_text(f"#!/bin/sh\necho called >>{calls}\nexit 1\n")
    broken.chmod(0o755)
    web.settings["KOBOSHI_COMMAND"] = str(broken)
    started(web)
    eventually(calls.exists, what="a call")
    assert [web.code("monitor", interval=10) for _ in range(3)] == [0, 0, 0]
    assert calls.read_text().splitlines() == ["called"]
    (web.runtime / "ocf/roused").write_text("0\n")  # long ago
    assert web.code("monitor", interval=10) == 0
    eventually(lambda: len(calls.read_text().splitlines()) == 2, what="a second call")


def test_a_killed_server_is_repaired_before_the_cluster_hears_of_it(web: Node) -> None:
    before = in_care(web)
    kill_main(web, before)
    codes = set()
    while web.main is None or watched(web).get("phase") != "up":
        codes.add(web.code("monitor", interval=10))
    assert codes <= {0}
    assert web.main.identity != before
    assert web.code("monitor", interval=10) == 0


def test_without_local_recovery_no_daemon_is_started_and_the_cluster_hears_of_it(web: Node) -> None:
    main = started(web, local_recovery="false")
    assert web.daemon is None
    assert web.act("monitor", interval=10, local_recovery="false").rc == 0
    kill_main(web, main)
    assert web.act("monitor", interval=10, local_recovery="false").rc == 7
    assert web.act("stop", local_recovery="false").rc == 0


def test_a_recurring_monitor_renews_the_lease_without_an_interpreter(web: Node) -> None:
    started(web)
    status, saved = web.runtime / "ocf/ocf-check.status", web.runtime / "resources/ocf-check.json"
    eventually(status.exists, what="the status file")

    def lease() -> float:
        return float(json.loads(saved.read_text())["state"]["lease_until"])

    before = lease()
    web.settings["KOBOSHI_COMMAND"] = "/nonexistent"
    assert web.code("monitor", interval=200) == 0
    eventually(lambda: lease() > before + 300, what="a renewal by three intervals")


def test_exhausted_restarts_are_told_once_with_the_cause(web: Node) -> None:
    kill_main(web, in_care(web, restart_limit="0"))
    ran = eventually(lambda: (found := web.act("monitor", interval=10)).rc == 1 and found, what="a failure")
    assert len(ran.reasons) == 1
    assert "SIGKILL" in ran.reasons[0]
    assert ran.stderr.splitlines()[-1].startswith("ocf-exit-reason:")


def test_a_repair_under_way_is_degraded_if_wanted_and_left_alone_only_for_a_time(web: Node) -> None:
    values = {"report_degraded": "true", "restart_wait": "60", "repair_time": "3", "restart_window": "86400"}
    first = in_care(web, **values)
    kill_main(web, first)
    second = eventually(lambda: web.main is not None and web.main.identity != first and web.main, what="a repair")
    eventually(lambda: watched(web)["phase"] == "up", what="the end of the repair")
    kill_main(web, second.identity)
    began = time.monotonic()
    eventually(lambda: watched(web)["phase"] == "waiting", what="a wait before the second restart")
    if time.monotonic() - began < 2:
        assert web.code("monitor", interval=10) == 190
    ran = eventually(lambda: (found := web.act("monitor", interval=10)).rc != 190 and found, what="the end of patience")
    assert ran.rc == 1
    assert "not repaired after" in ran.reasons[-1]


def test_changed_parameters_reach_the_daemon_without_a_restart_of_the_server(web: Node) -> None:
    main = in_care(web, restart_limit="3")
    assert web.act("reload-agent", restart_limit="7").rc == 0
    eventually(lambda: watched(web)["restart_limit"] == 7, what="the new limit")
    assert web.main is not None
    assert web.main.identity == main


# ---- withdrawal ------------------------------------------------------------------------------------------------------


def test_a_daemon_that_was_stopped_does_not_restart_what_the_cluster_stopped(web: Node) -> None:
    in_care(web)
    daemon = daemon_of(web)
    freeze(daemon)
    assert web.code("stop") == 0
    assert web.main is None
    send(daemon, signal.SIGCONT)
    eventually(lambda: watched(web) == {} and alive(daemon), what="the daemon letting go")
    assert web.code("monitor") == 7


def test_a_daemon_stopped_in_the_middle_of_a_repair_does_not_finish_it_after_the_clusters_stop(web: Node) -> None:
    """At whatever point of the repair it stood still: what it does next finds its mandate gone."""
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02):
        main = in_care(web)
        daemon = daemon_of(web)
        send(main, signal.SIGKILL)
        time.sleep(delay)  # any moment will do: it is the place that differs, not the promise
        freeze(daemon)
        assert web.code("stop") == 0
        send(daemon, signal.SIGCONT)
        eventually(lambda daemon=daemon: watched(web) == {} and alive(daemon), what="the daemon letting go")
        assert web.code("monitor") == 7
        assert web.main is None


def test_what_was_started_while_the_daemon_hung_is_left_alone_and_watched_when_it_wakes(web: Node) -> None:
    in_care(web)
    daemon = daemon_of(web)
    freeze(daemon)
    assert web.code("stop") == 0
    main = started(web)
    assert web.code("monitor", interval=10) == 0
    send(daemon, signal.SIGCONT)
    eventually(lambda: watched(web).get("main_pid") == main.pid and watched(web)["phase"] == "up", what="adoption")
    assert alive(main)
    assert daemon_of(web) == daemon


def test_a_status_file_never_speaks_for_a_dead_server_or_a_stopped_daemon(web: Node) -> None:
    main = started(web)
    eventually((web.runtime / "ocf/ocf-check.status").exists, what="the status file")
    freeze(daemon_of(web))
    assert web.code("monitor", interval=10) == 0
    kill_main(web, main)
    assert web.code("monitor", interval=10) == 7
    assert web.code("stop") == 0


# ---- the daemon killed at any moment ---------------------------------------------------------------------------------


def test_the_daemons_death_changes_no_answer(web: Node) -> None:
    main = in_care(web)
    web.kill_daemon()
    web.settings["KOBOSHI_COMMAND"] = "/nonexistent"
    assert web.code("monitor") == 0
    assert web.code("monitor", interval=10) == 0
    assert web.code("monitor", interval=10, level=10) == 0
    kill_main(web, main)
    assert web.code("monitor", interval=10) == 7
    assert web.code("stop") == 0
    assert web.code("monitor") == 7


@pytest.mark.parametrize("action", ["start", "monitor", "stop"])
def test_a_daemon_killed_at_any_moment_of_an_action_changes_no_answer(web: Node, action: str) -> None:
    for delay in (0.0, 0.05, 0.1, 0.15, 0.2):
        in_care(web)
        if action == "start":
            assert web.code("stop") == 0
        daemon = daemon_of(web)
        killer = threading.Timer(delay, send, (daemon, signal.SIGKILL))
        killer.start()
        ran = web.act(action, interval=10 if action == "monitor" else 0)
        killer.join()
        assert ran.rc == 0, f"{action}, killed after {delay} s: {ran.stderr}"
        eventually(lambda daemon=daemon: not alive(daemon), what="the daemon's end")
        assert web.code("monitor") == (7 if action == "stop" else 0)
        assert web.code("stop") == 0
        assert web.main is None


def test_a_daemon_that_comes_back_goes_on_with_what_it_was_given(web: Node) -> None:
    main = in_care(web)
    web.kill_daemon()
    assert web.code("start") == 0  # the cluster, or an operator, asks again: the daemon is woken
    eventually(lambda: watched(web).get("main_pid") == main.pid, what="adoption")
    kill_main(web, main)
    eventually(lambda: web.main is not None, what="a repair by the new daemon")


# ---- levels, reasons, time -------------------------------------------------------------------------------------------


def test_a_syntax_error_is_5_with_file_and_line_in_the_last_reason() -> None:
    with node("apache") as here:
        configfile = Path(here.resource.configfile)
        lines = configfile.read_text().splitlines()
        configfile.write_text("\n".join([*lines, "NoSuchDirective on"]) + "\n")
        for recovery in ("true", "false"):
            ran = here.act("start", local_recovery=recovery)
            assert ran.rc == 5, ran.stderr
            assert len(ran.reasons) == 1
            assert f"{configfile}:{len(lines) + 1}" in ran.reasons[0]


def test_deeper_levels_ask_what_the_parameters_name() -> None:
    with node("nginx") as here:
        here.resource.values["status10url"] = "/nginx_status"
        here.resource.values["status10regex"] = "Active connections"
        in_care(here)
        assert here.code("monitor", interval=10, level=10) == 0
        ran = here.act("monitor", interval=10, level=10, status10regex="no such words")
        assert (ran.rc, len(ran.reasons)) == (1, 1)
        assert "no such words" in ran.reasons[0]
        assert here.act("monitor", interval=10, level=0, status10regex="no such words").rc == 0
        assert here.act("monitor", interval=10, level=20, test20url="/", test20regex="hello").rc == 0
        assert here.act("monitor", interval=10, level=20, test20url="/", test20regex="good bye").rc == 1


def test_the_administrators_own_command_at_level_30_says_not_running_as_with_the_peer() -> None:
    with node("nginx") as here:
        assert here.code("start") == 0
        assert here.act("monitor", interval=10, level=30, external_monitor30_cmd="true").rc == 0
        ran = here.act("monitor", interval=10, level=30, external_monitor30_cmd="echo the tide is out; false")
        assert ran.rc == 7
        assert "the tide is out" in ran.reasons[-1]
        assert here.act("monitor", interval=10, level=20, external_monitor30_cmd="false").rc == 0


def test_a_stopped_apache_is_stopped_within_six_seconds_of_twenty() -> None:
    with node("apache") as here:
        main = in_care(here)
        freeze(daemon_of(here))
        freeze(main)
        ran = here.act("stop", timeout=20)
        assert ran.rc == 0
        assert ran.seconds <= 6
        assert here.main is None


def test_a_stop_with_parameters_that_are_wrong_by_now_still_stops_what_runs() -> None:
    with node("nginx") as here:
        assert here.code("start") == 0
        assert here.act("stop", port="not a port").rc == 0
        assert here.main is None
        assert here.act("monitor", port="not a port").rc == 7
        ran = here.act("start", port="not a port")
        assert ran.rc == 6
        assert "port" in ran.reasons[-1]
