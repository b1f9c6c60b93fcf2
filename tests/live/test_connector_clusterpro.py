"""CLUSTERPRO's connector on a stand-in ladder: real scripts, real daemon, real server.

The ladder is ours, after public documents (tests/stand_ins/README.rst): nothing here was run on the product.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from resource_agents.processes import alive, send
from tests.koboshi_daemon import KOBOSHI, KoboshiDaemon, table
from tests.servers import answers, command_instance, end, family
from tests.stand_ins.clusterpro.ladder import Ladder, Server
from tests.waiting import eventually

pytestmark = pytest.mark.live

POLICY = {
    "restart_limit": 1,
    "restart_window": 3600,
    "probe_interval": 0.3,
    "retry_interval": 0.1,
    "failure_threshold": 2,
    "start_timeout": 5,
    "stop_timeout": 5,
}

#: The name of this machine: whoever asks clpgrp where the group runs, learns it of the server that has it.
HERE = os.uname().nodename


class Place:
    """A server as a directory. ``name`` is what the cluster calls it."""

    def __init__(self, folder: Path, name: str, cluster: Path, more: dict[str, object]) -> None:
        folder.mkdir()
        self.instance = command_instance(folder)
        text = 'connector = "clusterpro"\n' + table(self.instance, package="failover1", **{**POLICY, **more})
        self.koboshi = KoboshiDaemon(folder, text, env={"KOBOSHI_CLUSTER_PATH": str(cluster)})
        command = folder / "koboshi"
        lines = [f"export {key}={value}" for key, value in self.koboshi.env.items() if key.startswith("KOBOSHI_")]
        lines += [f"export KOBOSHI_CONFIG={self.koboshi.config}", f'exec {KOBOSHI} "$@"']
        command.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
        command.chmod(0o755)
        words = ("web", "-c", str(self.koboshi.config), "--command", str(command), "-o", str(folder / "made"))
        made = self.koboshi.command("scaffold", "clusterpro", *words)
        assert made.returncode == 0, made.stderr
        self.server = Server(name, folder / "made", "HOME" if name == HERE else "OTHER")
        self.command = command


@contextmanager
def cluster(
    folder: Path, *, script: int = 0, restart: int = 0, fo: int = 1, **more: object
) -> Iterator[tuple[Ladder, Place, Place]]:
    with ExitStack() as stack:
        places = [
            Place(folder / "one", HERE, folder / "clp", more),
            Place(folder / "two", "other", folder / "clp", more),
        ]
        for place in places:
            stack.callback(end, place.instance)
            stack.callback(place.koboshi.close)
            place.koboshi.start()
        ladder = Ladder(
            folder / "clp", "failover1", [place.server for place in places], script=script, restart=restart, fo=fo
        )
        yield ladder, places[0], places[1]
        ladder.verify()


def test_what_a_restart_mends_is_no_error_to_the_cluster_but_an_alert(tmp_path: Path) -> None:
    with cluster(tmp_path) as (ladder, first, _):
        assert ladder.start(first.server) == 0
        assert ladder.poll() == 0
        main = first.koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        assert ladder.poll() == 0
        first.koboshi.until_new_main("web", main)
        assert ladder.poll() == 0
        assert ladder.history == [f"start on {HERE} (START): 0"]

        def ids() -> set[object]:
            return {alert[0] for alert in ladder.lines("alerts")}

        eventually(lambda: {110, 210, 310} <= ids(), what="the alerts")
        by_id = {alert[0]: alert for alert in ladder.lines("alerts")}
        assert by_id[110][1] == "ERR"
        assert by_id[210][1] == "WARN"
        assert by_id[310][1] == "INFO"
        assert str(by_id[110][2]).startswith("koboshi: web fell")


def test_what_restarts_cannot_mend_fails_over_once(tmp_path: Path) -> None:
    with cluster(tmp_path) as (ladder, first, second):
        assert ladder.start(first.server) == 0
        main = first.koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        send(first.koboshi.until_new_main("web", main).identity, signal.SIGKILL)
        first.koboshi.until("web", "failed")
        assert ladder.poll() == 1
        assert ladder.poll() == 1
        assert ladder.history[1:] == [f"stop on {HERE} (GROUPFAILOVER): 0", "start on other (FAILOVER): 0"]
        assert answers(second.instance.url)
        assert family(first.instance) == []
        assert ladder.poll() == 0
        assert ["clpgrp", "-m", "failover1"] not in ladder.lines("calls")


def test_a_suspended_monitor_makes_koboshi_an_observer(tmp_path: Path) -> None:
    with cluster(tmp_path) as (ladder, first, _):
        assert ladder.start(first.server) == 0
        done = first.koboshi.command("clusterpro", "suspend", "web", "--for", "1h")
        assert done.returncode == 0, done
        main = first.koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        first.koboshi.until("web", "observing")
        done = first.koboshi.command("clusterpro", "resume", "web")
        assert done.returncode == 0, done
        first.koboshi.until_new_main("web", main)
        assert ladder.lines("monitors") == [["-s", "genw-web"], ["-r", "genw-web"]]


def test_koboshi_repairs_only_where_the_group_runs(tmp_path: Path) -> None:
    """The cluster believes it on the other server: our mandate is old."""
    with cluster(tmp_path) as (ladder, first, second):
        assert ladder.start(first.server) == 0
        ladder.owner = second.server
        ladder._publish()
        main = first.koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        first.koboshi.until("web", "observing")
        assert "does not run on" in first.koboshi.status("web")["reason"]


def test_an_inactive_server_is_no_error(tmp_path: Path) -> None:
    with cluster(tmp_path) as (ladder, first, _):
        ladder.owner = first.server
        assert ladder.poll() == 0
        assert "not active on this server" in (ladder.folder / f"{HERE}.log").read_text()


def test_a_recovery_script_is_a_restart_that_the_cluster_counts(tmp_path: Path) -> None:
    with cluster(tmp_path, script=1, restart_limit=0) as (ladder, first, _):
        assert ladder.start(first.server) == 0
        send(first.koboshi.main("web").identity, signal.SIGKILL)
        first.koboshi.until("web", "failed")
        assert [ladder.poll(), ladder.poll()] == [1, 1]
        assert ladder.history[-1] == f"recovery script on {HERE}: 0"
        assert ladder.poll() == 0
        assert answers(first.instance.url)


def test_a_restart_of_the_resource_by_the_cluster_does_not_refill_the_budget(tmp_path: Path) -> None:
    """Only where the group leaves this server, what was spent here is forgotten."""
    with cluster(tmp_path, restart=1) as (ladder, first, second):
        assert ladder.start(first.server) == 0
        main = first.koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        send(first.koboshi.until_new_main("web", main).identity, signal.SIGKILL)
        first.koboshi.until("web", "failed")
        assert [ladder.poll(), ladder.poll()] == [1, 1]
        assert ladder.history[1:] == [f"stop on {HERE} (RESOURCERESTART): 0", f"start on {HERE} (START): 0"]
        assert answers(first.instance.url)
        assert first.koboshi.status("web")["restarts"] == 1
        send(first.koboshi.main("web").identity, signal.SIGKILL)
        first.koboshi.until("web", "failed")
        assert first.koboshi.status("web")["restarts"] == 1, "there was none left"
        assert [ladder.poll(), ladder.poll()] == [1, 1]
        assert ladder.history[-1] == "start on other (FAILOVER): 0"
        assert answers(second.instance.url)
        assert ladder.start(first.server) == 0
        assert first.koboshi.until("web", "up")["restarts"] == 0


def test_what_shall_only_be_reported_is_no_error_to_the_cluster(tmp_path: Path) -> None:
    with cluster(tmp_path, restart_limit=0, on_exhausted="report") as (ladder, first, _):
        log = tmp_path / "watch.log"
        script = first.server.scripts / "scripts/koboshi-web/exec-watch-web/start.sh"
        watcher = first.koboshi.launch(["/bin/sh", str(script)], log)
        assert ladder.start(first.server) == 0
        send(first.koboshi.main("web").identity, signal.SIGKILL)
        first.koboshi.until("web", "failed")
        assert [ladder.poll(), ladder.poll(), ladder.poll()] == [0, 0, 0]
        assert ladder.history == [f"start on {HERE} (START): 0"]
        assert "only reported, as on_exhausted says" in (ladder.folder / f"{HERE}.log").read_text()
        eventually(lambda: "only reported" in log.read_text(), what="the watcher's look")
        assert alive(watcher)
        eventually(lambda: 410 in [alert[0] for alert in ladder.lines("alerts")], what="the alert")


def test_without_the_products_commands_nothing_is_repaired_and_the_ladder_goes_on(tmp_path: Path) -> None:
    """No answer, no action: whether the group is still here is not known."""
    with cluster(tmp_path) as (ladder, first, second):
        (ladder.folder / "clpgrp").unlink()
        assert ladder.start(first.server) == 0
        assert "clpgrp is not found" in (ladder.folder / f"{HERE}.log").read_text()
        send(first.koboshi.main("web").identity, signal.SIGKILL)
        status = first.koboshi.until("web", "observing")
        assert "CLUSTERPRO was not to be asked" in status["reason"]
        assert status["restarts"] == 0
        assert [ladder.poll(), ladder.poll()] == [1, 1]
        assert ladder.history[-1] == "start on other (FAILOVER): 0"
        assert answers(second.instance.url)


def test_a_direct_failover_happens_where_the_administrator_says_so(tmp_path: Path) -> None:
    with cluster(tmp_path, restart_limit=0, direct_failover=True) as (ladder, first, _):
        assert ladder.start(first.server) == 0
        send(first.koboshi.main("web").identity, signal.SIGKILL)
        eventually(lambda: ["clpgrp", "-m", "failover1"] in ladder.lines("calls"), what="the move")
        first.koboshi.until("web", "failed")
        assert ladder.lines("calls").count(["clpgrp", "-m", "failover1"]) == 1


def test_a_reboot_is_left_to_the_clusters_own_orderly_way(tmp_path: Path) -> None:
    """Counted like any other: the second incident does not reboot again."""
    with cluster(tmp_path, restart_limit=0, on_exhausted="reboot") as (ladder, first, _):
        assert ladder.start(first.server) == 0
        send(first.koboshi.main("web").identity, signal.SIGKILL)
        eventually(lambda: ladder.lines("reboots") == [[]], what="clpdown -r")
        assert ladder.stop("SERVERSHUTDOWN") == 0
        assert ladder.start(first.server) == 0
        send(first.koboshi.main("web").identity, signal.SIGKILL)
        eventually(lambda: first.koboshi.lines("reboot-suppressed", "web"), what="the guard")
        assert ladder.lines("reboots") == [[]]


def test_the_resident_watcher_is_there_before_the_group_and_ends_when_hope_does(tmp_path: Path) -> None:
    with cluster(tmp_path, restart_limit=0) as (ladder, first, _):
        script = first.server.scripts / "scripts/koboshi-web/exec-watch-web/start.sh"
        log = tmp_path / "watch.log"
        watcher = first.koboshi.launch(["/bin/sh", str(script)], log)
        eventually(lambda: "waits until the cluster starts it" in log.read_text(), what="the watcher's patience")
        assert ladder.start(first.server) == 0
        eventually(lambda: "web: running" in log.read_text(), what="the watcher's look")
        send(first.koboshi.main("web").identity, signal.SIGKILL)
        eventually(lambda: not alive(watcher), what="the watcher's end")
        assert "ends with 1" in log.read_text()
