"""CLUSTERPRO's connector: its variables, its alerts, its scripts. No real CLUSTERPRO was ever there."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_glue.config_model import ResourceConfig
from cluster_glue.connectors import clusterpro_scaffold
from cluster_glue.connectors.clusterpro import CONNECTOR, LONGEST_ALERT, alert_text, to_recover, to_start, to_stop
from cluster_glue.connectors.clusterware import Sketch, Subject
from cluster_glue.glue_model import Glue
from cluster_glue.messages import CATALOGUE
from cluster_glue.recovery.policy import Policy
from ocf.programs import Finished
from tests.generated import assert_sound, write

EVENTS = ("", "START", "FAILOVER", "RECOVER", "SOMETHING")
DISKS = ("", "SUCCESS", "FAILURE")
SERVERS = ("", "HOME", "OTHER")
FACTORS = (
    *("", "RESOURCERESTART", "GROUPRESTART", "GROUPSTOP", "GROUPMOVE", "GROUPFAILOVER"),
    *("CLUSTERSHUTDOWN", "SERVERSHUTDOWN", "SOMETHING"),
)


@pytest.mark.parametrize(("event", "disk", "server"), list(itertools.product(EVENTS, DISKS, SERVERS)))
def test_a_start_needs_an_event_and_its_disks(event: str, disk: str, server: str) -> None:
    plan = to_start({"CLP_EVENT": event, "CLP_DISK": disk, "CLP_SERVER": server})
    if not event:
        assert (plan.act, plan.status, plan.said) == (False, 1, "NO_CLP")
    elif disk != "SUCCESS":
        assert (plan.act, plan.status) == (False, 1)
        assert "ERROR_DISK" in plan.said
    elif event == "RECOVER":
        assert (plan.act, plan.status) == (False, 0)
    else:
        assert plan.act


@pytest.mark.parametrize(("event", "disk", "factor"), list(itertools.product(EVENTS, DISKS, FACTORS)))
def test_a_stop_stops_whatever_the_reason_and_the_disks(event: str, disk: str, factor: str) -> None:
    plan = to_stop({"CLP_EVENT": event, "CLP_DISK": disk, "CLP_FACTOR": factor})
    assert plan.act == bool(event)
    assert plan.status == int(not event)
    assert plan.urgent == (bool(event) and factor == "GROUPFAILOVER")
    away = {"GROUPSTOP", "GROUPMOVE", "GROUPFAILOVER", "CLUSTERSHUTDOWN", "SERVERSHUTDOWN"}
    assert plan.keeps == (bool(event) and factor not in away)


@pytest.mark.parametrize(
    ("action", "act"),
    [("", False), ("RECOVERY", True), ("RESTART", False), ("FAILOVER", False), ("FINALACTION", False)],
)
def test_only_a_recovery_action_restarts(action: str, act: bool) -> None:
    plan = to_recover({"CLP_ACTION": action, "CLP_RECOVERYCOUNT": "1"})
    assert (plan.act, plan.status) == (act, 0)
    assert plan.said == ("NO_CLP" if not action else f"{action} 1" if action == "RECOVERY" else action)


# ---- what is asked and told ------------------------------------------------------------------------------------------


def test_while_koboshi_repairs_genw_says_all_is_well() -> None:
    healthy = {name for name, status in CONNECTOR.asked.items() if status == 0}
    assert healthy == {"running", "done", "repairing", "degraded"}
    assert set(CONNECTOR.asked.values()) == {0, 1}


HERE = Subject("web", "server1.example.org", Glue(package="failover1"))


@pytest.mark.parametrize(
    ("status", "output", "may"),
    [
        (0, "server1\n", True),
        (0, "SERVER1\n", True),
        (0, "server1.example.org", True),
        (0, "server2\n", False),
        (0, "", False),
        (0, "server11", False),
        (1, "server1", False),
        (None, "", False),
    ],
)
def test_only_the_active_server_repairs(status: int | None, output: str, may: bool) -> None:
    refusal = CONNECTOR.authority(HERE, Finished(status, output, 0.1, "" if status is not None else "no answer"))
    assert (refusal == "") == may


def test_a_group_is_moved_by_us_only_where_the_administrator_says_so() -> None:
    assert CONNECTOR.told(HERE, "failover", "x") == ()
    (request,) = CONNECTOR.told(Subject("web", "s", Glue(package="g", direct_failover=True)), "failover", "x")
    assert request.argv == ("clpgrp", "-m", "g")
    assert not request.again
    (reboot,) = CONNECTOR.told(HERE, "reboot", "x")
    assert reboot.argv == ("clpdown", "-r")


@pytest.mark.parametrize(("name", "level"), [("exhausted", "ERR"), ("restarting", "WARN"), ("recovered", "INFO")])
def test_each_transition_is_an_alert_with_a_stable_id(name: str, level: str) -> None:
    message = CATALOGUE[name]
    (request,) = CONNECTOR.announced(HERE, message, "web fell")
    words = list(request.argv)
    assert words[:2] == ["clplogcmd", "-m"]
    assert words[words.index("-i") + 1] == message.id[3:]
    assert words[words.index("-l") + 1] == level
    assert words[-2:] == ["--alert", "--syslog"]


@given(st.text(max_size=2000))
def test_an_alert_is_one_short_line_of_ascii(text: str) -> None:
    made = alert_text(text)
    assert made.isascii()
    assert made.isprintable()
    assert len(made) <= LONGEST_ALERT < 500
    assert not made.startswith("-")


# ---- what is generated -----------------------------------------------------------------------------------------------


def sketch(name: str = "web", command: str = "/opt/ko boshi's/bin/koboshi") -> Sketch:
    return Sketch(ResourceConfig(name, "apache", {}, Policy()), Glue(package="failover1"), command)


@pytest.mark.parametrize("name", ["web", "www.example.org", "9-web_x"])
def test_every_script_is_sound(name: str, tmp_path: Path) -> None:
    scripts = write(tmp_path, CONNECTOR.scaffold(sketch(name)))
    assert len(scripts) == 7
    for script in scripts:
        assert_sound(script)


def test_the_files_lie_where_the_configuration_is_pushed_from() -> None:
    assert {each.path for each in CONNECTOR.scaffold(sketch())} >= {
        "scripts/failover1/exec-web/start.sh",
        "scripts/failover1/exec-web/stop.sh",
        "scripts/monitor.s/genw-web/genw.sh",
        "scripts/monitor.s/genw-web/preaction.sh",
    }


def test_a_probe_ends_inside_the_time_of_its_monitor() -> None:
    (genw,) = [each.text for each in CONNECTOR.scaffold(sketch()) if each.path.endswith("genw.sh")]
    (limit,) = re.findall(r"--timeout=(\d+)", genw)
    assert int(limit) <= clusterpro_scaffold.GENW_TIMEOUT / 2


def test_activation_may_take_longer_than_its_script() -> None:
    (text,) = [each.text for each in CONNECTOR.scaffold(sketch()) if each.path == "configure.sh"]
    settings = dict(re.findall(r"(parameters/timeout/\w+|(?:de)?act/timeout) (\d+)", text))
    assert int(settings["act/timeout"]) == int(settings["parameters/timeout/start"]) + 180
    assert int(settings["deact/timeout"]) == int(settings["parameters/timeout/stop"]) + 180
    assert int(settings["parameters/timeout/stop"]) < 180


def test_one_party_alone_restarts() -> None:
    (text,) = [each.text for each in CONNECTOR.scaffold(sketch()) if each.path == "configure.sh"]
    assert "emergency/threshold/restart 0" in text
    assert "emergency/threshold/fo 1" in text


def test_the_resident_watcher_is_the_process_that_is_watched() -> None:
    (text,) = [each.text for each in CONNECTOR.scaffold(sketch()) if "exec-watch-web/start.sh" in each.path]
    assert re.search(r"(?m)^exec '.*' watch --clusterware=clusterpro web$", text)
