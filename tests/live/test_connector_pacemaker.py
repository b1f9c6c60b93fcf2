"""Pacemaker's connector in a real daemon, with stand-ins for the cluster's commands that say what a test wants.

What the real cluster makes of it is tested in the cluster itself (tests/cluster).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from resource_agents.policy import Policy
from resource_agents.processes import send
from tests.house import ROOT
from tests.koboshi_daemon import KOBOSHI, table
from tests.pacemaker_node import HEALTHY, Node
from tests.ports import free_port
from tests.servers import answers, family
from tests.waiting import LONG, eventually

pytestmark = pytest.mark.live


def pushes(here: Node) -> list[list[str]]:
    return here.commands.calls("attrd_updater")


def test_it_asks_before_it_repairs_and_the_cluster_hears_nothing_of_a_repair(tmp_path: Path) -> None:
    with Node(tmp_path) as here:
        assert here.ocf("start") == 0
        assert here.commands.calls("crm_mon") == []
        main = here.koboshi.main("web")
        send(main.identity, signal.SIGKILL)
        here.koboshi.until_new_main("web", main)
        assert here.ocf("monitor", 10_000) == 0
        assert here.commands.calls("crm_mon")[0][-1] == "--resource=web"
        assert pushes(here) == []
        here.commands.verify()


def test_a_hand_over_is_pushed_once_and_the_next_monitor_says_the_same(tmp_path: Path) -> None:
    with Node(tmp_path) as here:
        here.commands.expect("attrd_updater")
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        here.koboshi.until("web", "failed")
        eventually(lambda: here.koboshi.lines("escalated", "web"), what="the hand-over")
        assert pushes(here) == [["attrd_updater", "-n", "koboshi-web", "-U", "0", "-d", "0"]]
        assert here.ocf("monitor", 10_000) == 1
        here.koboshi.kill()
        here.koboshi.start()
        here.koboshi.until("web", "failed")
        assert here.ocf("monitor", 10_000) == 1
        assert len(pushes(here)) == 1, "said once, also by a daemon that comes back"
        here.commands.verify()


def test_after_the_move_one_command_lets_it_come_back(tmp_path: Path) -> None:
    """The cluster has taken it away by then, so koboshi watches it no longer."""
    with Node(tmp_path) as here:
        here.commands.expect("attrd_updater")
        here.commands.expect("crm_resource", "--cleanup", "--resource", "web", "--node", "node1")
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        eventually(lambda: here.koboshi.lines("escalated", "web"), what="the hand-over")
        assert here.ocf("stop") == 0
        eventually(lambda: here.koboshi.ask({"do": "status"})["resources"] == [], what="its release")
        cleared = here.koboshi.command("clear", "web")
        assert cleared.returncode == 0, cleared
        eventually(lambda: here.koboshi.lines("taken-back", "web"), what="the taking back")
        assert pushes(here)[-1] == ["attrd_updater", "-n", "koboshi-web", "-D"]
        assert here.commands.calls("crm_resource") == [
            ["crm_resource", "--cleanup", "--resource", "web", "--node", "node1"]
        ]
        assert here.koboshi.command("clear", "web").returncode == 4, "there is nothing left to clear"


def test_a_start_here_takes_the_hand_over_back(tmp_path: Path) -> None:
    with Node(tmp_path) as here:
        here.commands.expect("attrd_updater")
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        eventually(lambda: here.koboshi.lines("escalated", "web"), what="the hand-over")
        assert here.ocf("stop") == 0
        assert here.ocf("start", restart_limit="0") == 0
        eventually(lambda: pushes(here)[-1][-1] == "-D", what="the taking back")
        assert here.commands.calls("crm_resource") == []


@pytest.mark.parametrize("push", ["attribute", "fail"])
def test_an_instance_of_a_clone_is_spoken_of_by_the_clusters_own_name(push: str, tmp_path: Path) -> None:
    with Node(tmp_path, f'push = "{push}"\n') as here:
        here.resource = "web:0"
        here.commands.expect("crm_mon", output=HEALTHY.replace('id="web"', 'id="web:0"'))
        here.commands.expect("attrd_updater")
        here.commands.expect("crm_resource")
        assert here.ocf("start") == 0
        main = here.koboshi.main("web_0")
        here.kill("web_0")
        here.koboshi.until_new_main("web_0", main)
        assert here.commands.calls("crm_mon")[0][-1] == "--resource=web:0"
        here.kill("web_0")
        eventually(lambda: here.koboshi.lines("escalated", "web_0"), what="the hand-over")
        if push == "fail":
            told = ["crm_resource", "--fail", "--resource", "web:0", "--node", "node1"]
            assert here.commands.calls("crm_resource") == [told]
        else:
            assert pushes(here) == [["attrd_updater", "-n", "koboshi-web", "-U", "0", "-d", "0"]]
        assert here.ocf("monitor", 10_000) == 1
        assert here.ocf("stop") == 0
        assert here.koboshi.command("clear", "web_0").returncode == 0
        eventually(lambda: here.koboshi.lines("taken-back", "web_0"), what="the taking back")
        assert pushes(here)[-1] == ["attrd_updater", "-n", "koboshi-web", "-D"]
        cleaned = ["crm_resource", "--cleanup", "--resource", "web:0", "--node", "node1"]
        assert here.commands.calls("crm_resource")[-1] == cleaned


def test_a_healthy_server_behind_a_balancer_is_drained_before_the_clusters_stop(tmp_path: Path) -> None:
    door = free_port()
    with Node(tmp_path) as here:
        glue = table(here.instance, connector="pacemaker", agent_check=f"127.0.0.1:{door}", drain_wait=2)
        here.koboshi.configure(glue)
        here.koboshi.kill()
        here.koboshi.start()
        assert here.ocf("start") == 0
        here.koboshi.until("web", "up")
        drain = tmp_path / "run/ocf/web.drain"
        eventually(drain.exists, what="word of the wait")
        assert word(door) == "up ready 100%"
        stopping = threading.Thread(target=here.ocf, args=("stop",))
        stopping.start()
        try:
            eventually(lambda: word(door) == "drain", what="the drain")
            assert answers(here.instance.url), "it still serves what the balancer sends"
        finally:
            stopping.join()
        assert word(door) == "down"
        assert not drain.exists()
        assert family(here.instance) == []


def test_what_does_not_serve_is_stopped_without_a_wait_for_the_balancer(tmp_path: Path) -> None:
    """Nobody is sent there any more, and another node waits."""
    with Node(tmp_path) as here:
        here.koboshi.configure(table(here.instance, connector="pacemaker", drain_wait=4, stop_timeout=60))
        here.koboshi.kill()
        here.koboshi.start()
        here.commands.expect("attrd_updater")
        assert here.ocf("start", restart_limit="0") == 0
        drain = tmp_path / "run/ocf/web.drain"
        eventually(drain.exists, what="word of the wait")
        here.kill()
        here.koboshi.until("web", "failed")
        assert not drain.exists()
        assert here.ocf("stop") == 0


def word(door: int) -> str:
    """What the agent check answers."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", door), 5) as line:
        return line.makefile().readline().strip()
    return ""


def test_a_push_that_failed_for_a_moment_is_repeated(tmp_path: Path) -> None:
    flaky = '#!/bin/sh\necho "$0 $*" >> {0}/tries\n[ "$(wc -l < {0}/tries)" -ge 3 ] || exit 102\n'
    with Node(tmp_path) as here:
        here.commands.install("attrd_updater", flaky.format(tmp_path))
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        eventually(lambda: here.koboshi.lines("escalated", "web"), what="the hand-over")
        assert len((tmp_path / "tries").read_text().splitlines()) == 3


def test_a_push_that_fails_costs_nothing_but_time(tmp_path: Path) -> None:
    with Node(tmp_path) as here:
        here.commands.expect("attrd_updater", status=4, output="Insufficient privileges\n")
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        eventually(lambda: here.koboshi.lines("hand-over-failed", "web"), what="the word about it")
        assert "Insufficient privileges" in here.koboshi.lines("hand-over-failed", "web")[0]
        assert here.ocf("monitor", 10_000) == 1


def test_a_simulated_failure_is_said_once_even_if_it_fails(tmp_path: Path) -> None:
    with Node(tmp_path, 'push = "fail"\n') as here:
        here.commands.expect("crm_resource", "--fail", status=1)
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        eventually(lambda: here.koboshi.lines("hand-over-failed", "web"), what="the word about it")
        assert here.commands.calls("crm_resource") == [
            ["crm_resource", "--fail", "--resource", "web", "--node", "node1"]
        ]


def test_without_a_push_the_monitor_alone_says_it(tmp_path: Path) -> None:
    with Node(tmp_path, 'push = "none"\n') as here:
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        here.koboshi.until("web", "failed")
        eventually(lambda: here.koboshi.lines("escalated", "web"), what="the word about it")
        assert here.ocf("monitor", 10_000) == 1
        assert pushes(here) == []


@pytest.mark.parametrize(
    "trouble", ["maintenance", "on the other node", "missing", "hanging", "nonsense", "denied", "no node name"]
)
def test_without_a_clear_yes_nothing_is_touched(trouble: str, tmp_path: Path) -> None:
    with Node(tmp_path) as here:
        assert here.ocf("start") == 0
        match trouble:
            case "maintenance":
                here.commands.expect("crm_mon", output=HEALTHY.replace('mode="false"', 'mode="true"'))
            case "on the other node":
                moved = (ROOT / "tests/samples/crm_mon/on-the-other-node.xml").read_text()
                here.commands.expect("crm_mon", output=moved)
            case "missing":
                here.commands.install("crm_mon", "#!/nonexistent\n")
            case "hanging":
                here.commands.expect("crm_mon", output=HEALTHY, delay=30)
            case "nonsense":
                here.commands.expect("crm_mon", output="Oops\n")
            case "denied":
                here.commands.expect("crm_mon", output="crm_mon: Permission denied\n", status=4)
            case _:
                here.commands.expect("crm_node", "-n", status=102)
        here.kill()
        status = here.koboshi.until("web", "observing")
        assert status["restarts"] == 0
        assert not [one for one in family(here.instance) if not one.dead]
        assert not answers(here.instance.url)
        assert pushes(here) == []


def test_a_cluster_that_answers_late_is_awaited_and_hears_of_no_failure_meanwhile(tmp_path: Path) -> None:
    """On a machine that has too much to do its tools take seconds; that alone may not move a service."""
    with Node(tmp_path) as here:
        assert here.ocf("start", ask_timeout=f"{Policy().ask_timeout:g}") == 0
        here.commands.expect("crm_node", "-n", output="node1\n", delay=1.5)
        here.commands.expect("crm_mon", output=HEALTHY, delay=3)
        main = here.koboshi.main("web")
        here.kill()
        here.koboshi.until("web", "asking")
        assert here.ocf("monitor", 10_000) == 0
        here.koboshi.until_new_main("web", main)
        assert here.koboshi.lines("observing", "web") == []


def test_when_the_cluster_says_yes_again_it_is_repaired(tmp_path: Path) -> None:
    with Node(tmp_path) as here:
        assert here.ocf("start") == 0
        here.commands.expect("crm_mon", output=HEALTHY.replace('managed="true"', 'managed="false"'))
        here.kill()
        here.koboshi.until("web", "observing")
        here.commands.expect("crm_mon", output=HEALTHY)
        assert here.ocf("monitor", 10_000) in (0, 7)
        here.koboshi.until("web", "up")
        assert answers(here.instance.url)


def test_what_the_cluster_does_stands_in_the_timeline(tmp_path: Path) -> None:
    """As the cluster's own user where there is one, and from nobody else."""
    with Node(tmp_path) as here:
        here.commands.expect("attrd_updater")
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        here.koboshi.until_incident_ended("web", 1, "exhausted")
        alert = {
            **{key: value for key, value in here.koboshi.env.items() if key.startswith("KOBOSHI_")},
            "PATH": "/usr/bin:/bin",
            "CRM_alert_kind": "resource",
            "CRM_alert_rsc": "web",
            "CRM_alert_task": "stop",
            "CRM_alert_node": "node1",
            "CRM_alert_desc": "ok \x1b[31mred",
            "CRM_alert_interval": "0",
        }
        subprocess.run([KOBOSHI, "alert"], env=alert, check=True, timeout=LONG)
        eventually(lambda: here.koboshi.lines("cluster-decided", "web"), what="the alert")

        def noted() -> bool:
            return "stop on node1: ok red" in [line.detail for line in here.koboshi.timeline("web-1")]

        eventually(noted, what="the line in the timeline")
        stranger = {**alert, "CRM_alert_desc": "lies"}
        words = "import os; os.setgid(65534); os.setuid(65534); from cluster_glue import alerts;"
        words += "from pathlib import Path; import sys;"
        words += "sys.exit(not alerts.send(Path(os.environ['KOBOSHI_RUNTIME_DIR']), alerts.read(os.environ)))"
        if os.geteuid() == 0:
            sent = subprocess.run([sys.executable, "-c", words], env=stranger, check=False, cwd=ROOT, timeout=LONG)
            assert sent.returncode == 0
            subprocess.run([KOBOSHI, "alert"], env={**alert, "CRM_alert_desc": "after it"}, check=True, timeout=LONG)
            eventually(lambda: len(here.koboshi.lines("cluster-decided", "web")) > 1, what="the next alert")
            assert "lies" not in here.koboshi.said


def test_a_daemon_killed_while_it_hands_over_never_says_a_simulated_failure_twice(tmp_path: Path) -> None:
    with Node(tmp_path, 'push = "fail"\n') as here:
        here.commands.expect("crm_resource", "--fail", delay=20)
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        eventually(lambda: here.commands.calls("crm_resource"), what="the push")
        assert here.koboshi.saved("web")["owed"], "the hand-over is not known to be done"
        here.koboshi.kill()
        here.koboshi.start()
        eventually(lambda: here.koboshi.lines("escalated", "web"), what="the end of the hand-over")
        assert len(here.commands.calls("crm_resource")) == 1
        assert here.ocf("monitor", 10_000) == 1


def test_a_daemon_killed_while_it_hands_over_says_what_may_be_said_twice(tmp_path: Path) -> None:
    with Node(tmp_path) as here:
        here.commands.expect("attrd_updater", delay=20)
        assert here.ocf("start", restart_limit="0") == 0
        here.kill()
        eventually(lambda: pushes(here), what="the push")
        here.koboshi.kill()
        here.commands.expect("attrd_updater")
        here.koboshi.start()
        eventually(lambda: here.koboshi.lines("escalated", "web"), what="the end of the hand-over")
        assert here.koboshi.saved("web")["owed"] is False
        assert {tuple(call[1:]) for call in pushes(here)} == {("-n", "koboshi-web", "-U", "0", "-d", "0")}
