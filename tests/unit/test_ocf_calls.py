"""What a cluster hands over is understood as Pacemaker means it, and what is said back is one code and one reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cluster_glue.ocf_requests import WRONG
from cluster_glue.ocf_requests import read as mandated
from ocf.conditions import CONDITIONS, Verdict
from ocf.environment import instance_of, read
from resource_agents import daemon_client, mandates
from resource_agents.daemon_client import kept_down, remind
from resource_agents.entry import main
from resource_agents.memory import keep, keep_spent, recall, spent
from resource_agents.processes import Identity, look
from tests.waiting import eventually

PARAMETERS = {"OCF_RESKEY_configfile": "/nonexistent/lighttpd.conf"}


def act(action: str, tmp_path: Path, **more: str) -> int:
    """Run one action of the lighttpd agent in this process."""
    return main(["lighttpd", action], {"KOBOSHI_RUNTIME_DIR": str(tmp_path / "run"), **PARAMETERS, **more})


# ---- the environment -------------------------------------------------------------------------------------------------


def test_times_come_in_milliseconds_and_no_interval_is_a_probe() -> None:
    call = read(["monitor"], {"OCF_RESKEY_CRM_meta_timeout": "45000"})
    assert (call.timeout, call.probe, call.level) == (45.0, True, 0)
    recurring = {"OCF_RESKEY_CRM_meta_interval": "10000", "OCF_CHECK_LEVEL": "20"}
    assert not read(["monitor"], recurring).probe
    assert read(["monitor"], recurring).level == 20
    assert not read(["start"], {}).probe


def test_only_instance_parameters_are_values() -> None:
    env = {
        "OCF_RESKEY_port": "80",
        "OCF_RESKEY_CRM_meta_name": "monitor",
        "OCF_ROOT": "/",
        "OCF_RESKEY_OCF_CHECK_LEVEL": "10",
    }
    call = read(["monitor", "ignored"], env)
    assert dict(call.values) == {"port": "80"}
    assert call.level == 10


@pytest.mark.parametrize("name", ["web", "web:0", "web/1", "../../etc/passwd", "_web", "", "é", "x" * 300, "a@b.json"])
def test_any_resource_name_makes_a_harmless_file_name(name: str) -> None:
    plain = instance_of(name)
    assert 0 < len(plain) <= 64
    assert plain[0].isalnum()
    assert not set(plain) & set("/:@\0 ")


def test_long_names_stay_different() -> None:
    assert instance_of("x" * 300) != instance_of("x" * 301)


# ---- codes and reasons -----------------------------------------------------------------------------------------------


def test_6_is_for_values_that_are_wrong_in_themselves_and_nothing_else() -> None:
    assert [row.name for row in CONDITIONS.values() if row.code == 6] == ["wrong-parameter"]


def test_every_row_has_its_reason() -> None:
    assert all(row.why and row.plan in ("nothing", "restart", "move", "stop", "fence") for row in CONDITIONS.values())
    assert all(Verdict(row.name).good == (row.plan == "nothing") for row in CONDITIONS.values())


def test_an_unknown_action_is_3(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert act("notify", tmp_path) == 3
    assert act("promote", tmp_path) == 3
    assert main(["lighttpd"], {}) == 3


def test_a_probe_without_software_and_files_is_7_silently(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert act("monitor", tmp_path, OCF_RESKEY_httpd="/nonexistent/lighttpd") == 7
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "run").exists()


def test_a_start_without_software_is_5_and_wakes_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert act("start", tmp_path, OCF_RESKEY_httpd="/nonexistent/lighttpd") == 5
    said = capfd.readouterr().err
    assert said.startswith("ocf-exit-reason:")
    assert said.count("\n") == 1
    assert "/nonexistent/lighttpd" in said
    assert not (tmp_path / "run").exists()


def test_a_stop_of_what_never_ran_is_0_even_with_wrong_values(tmp_path: Path) -> None:
    assert act("stop", tmp_path) == 0
    assert act("stop", tmp_path, OCF_RESKEY_port="http") == 0
    assert act("stop", tmp_path, OCF_RESKEY_httpd="/nonexistent/lighttpd") == 0


def test_a_wrong_value_is_6_for_a_start_and_7_for_a_probe(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert act("start", tmp_path, OCF_RESKEY_port="http") == 6
    assert "port" in capfd.readouterr().err
    assert act("validate-all", tmp_path, OCF_RESKEY_port="http") == 6
    assert act("monitor", tmp_path, OCF_RESKEY_port="http") == 7


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"restart_limit": "-1"}, "restart_limit = -1 is below its least value 0"),
        ({"restart_limit": "many"}, "restart_limit = 'many' is no number"),
        ({"restart_limit": "8", "restart_window": "600"}, "restart_window = 600 s cannot hold its own restarts"),
        ({"restart_window": "an hour"}, "restart_window: 'an hour' is no time"),
        ({"failure_threshold": "0"}, "failure_threshold = 0 is below its least value 1"),
        ({"connect_timeout": "3", "probe_timeout": "2s"}, "connect_timeout = 3 s is longer than probe_timeout = 2 s"),
        ({"queue_warning": "95"}, "queue_warning = 95 is above queue_error = 90"),
        ({"queue_error": "101"}, "queue_error = 101 must be at least 1 and at most 100"),
        ({"on_exhausted": "despair"}, "on_exhausted = 'despair' is none of"),
        ({"repair_time": "soon"}, "repair_time: 'soon' is no time"),
    ],
)
def test_recovery_parameters_are_refused_by_the_action_in_the_daemons_own_words(
    given: dict[str, str], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    env = {f"OCF_RESKEY_{name}": value for name, value in given.items()} | {"OCF_RESKEY_CRM_meta_timeout": "40000"}
    for action in ("validate-all", "start"):
        assert act(action, tmp_path, **env) == 6
        (reason,) = capfd.readouterr().err.splitlines()
        assert words in reason
    assert act("monitor", tmp_path, **env) == 7
    assert not (tmp_path / "run").exists()
    request = {"instance": "web", "agent": "lighttpd", "values": given, "timeout": 40.0}
    with pytest.raises(WRONG) as refused:
        mandated(request)
    assert str(refused.value) in reason


def test_validation_at_level_0_never_touches_the_machine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert act("validate-all", tmp_path, OCF_RESKEY_httpd="/nonexistent/lighttpd") == 0
    assert act("validate-all", tmp_path, OCF_RESKEY_httpd="/nonexistent/lighttpd", OCF_CHECK_LEVEL="10") == 5


def test_reload_of_a_stopped_server_refuses(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert act("reload", tmp_path) == 7
    assert act("reload-agent", tmp_path) == 7


# ---- mandates and memory ---------------------------------------------------------------------------------------------


def test_a_mandate_is_there_until_it_is_withdrawn(tmp_path: Path) -> None:
    path = mandates.give(tmp_path, "web", {"agent": "apache"})
    assert mandates.current(tmp_path, "web") == path
    assert mandates.read(path) == {"agent": "apache"}
    assert mandates.current(tmp_path, "we") is None
    mandates.withdraw(tmp_path, "web")
    assert mandates.current(tmp_path, "web") is None
    assert mandates.read(path) == {}


def test_a_mandate_that_says_the_same_stays_and_one_given_anew_is_another(tmp_path: Path) -> None:
    first = mandates.give(tmp_path, "web", {"timeout": 20})
    assert mandates.give(tmp_path, "web", {"timeout": 20}) == first
    second = mandates.give(tmp_path, "web", {"timeout": 40})
    assert second != first
    assert not first.exists()
    mandates.amend(second, {"timeout": 60})
    assert mandates.current(tmp_path, "web") == second


def test_withdrawing_takes_the_status_along(tmp_path: Path) -> None:
    mandates.give(tmp_path, "web", {})
    (tmp_path / "ocf/web.status").write_text("1 2 3 4 5\n")
    mandates.withdraw(tmp_path, "web")
    assert list((tmp_path / "ocf").iterdir()) == []


def test_what_is_remembered_is_of_this_boot_only(tmp_path: Path) -> None:
    from resource_agents.families import Remembered

    me = look(os.getpid())
    assert me is not None
    keep(tmp_path, "web", Remembered(Identity(me.pid, me.start), me.sid, True, ((1, 2),)))
    assert recall(tmp_path, "web") == Remembered(Identity(me.pid, me.start), me.sid, True, ((1, 2),))
    path = tmp_path / "resources/web.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))
    assert recall(tmp_path, "web") is None


def test_a_budget_outlives_a_stop_when_it_is_told_to_and_never_a_boot(tmp_path: Path) -> None:
    mandates.make_folder(tmp_path)
    saved = tmp_path / "resources/web.json"
    saved.parent.mkdir()
    keep_spent(tmp_path, "web", (1.5, 2.5))
    assert spent(tmp_path, "web") == (1.5, 2.5)
    boot = json.loads((tmp_path / "ocf/web.spent").read_text())["boot"]
    saved.write_text(json.dumps({"boot": boot, "state": {"restarts": [3.5]}}))
    assert spent(tmp_path, "web") == (3.5,), "what a daemon saved is later"
    saved.unlink()
    keep_spent(tmp_path, "web", ())
    assert spent(tmp_path, "web") == ()
    (tmp_path / "ocf/web.spent").write_text(json.dumps({"boot": "another", "state": {"restarts": [1.5]}}))
    assert spent(tmp_path, "web") == ()
    (tmp_path / "ocf/web.spent").write_text("nonsense")
    assert spent(tmp_path, "web") == ()


@pytest.mark.parametrize(
    ("says", "down"),
    [
        ("active", False),
        ("activating", False),  # it died, and RestartSec is not over
        ("reloading", False),
        ("inactive", True),  # stopped, or masked
        ("failed", True),
        ("deactivating", False),  # it hung, and systemd aborts it before it starts it again
    ],
)
def test_a_daemon_that_its_operator_keeps_down_is_not_waited_for(
    says: str, down: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl, units = tmp_path / "systemctl", tmp_path / "units"
    systemctl.write_text(
        f'#!/bin/sh\n[ "$*" = "is-active koboshi.service" ] || exit 99\necho {says}\nexit {3 * down}\n'
    )
    systemctl.chmod(0o755)
    units.mkdir()
    monkeypatch.delenv("KOBOSHI_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(daemon_client, "SYSTEMD", str(units))
    monkeypatch.setattr(daemon_client, "UNITS", (str(units),))
    monkeypatch.setattr(daemon_client, "SYSTEMCTL", str(systemctl))
    assert not kept_down(), "no unit: the actions themselves rouse it"
    (units / "koboshi.service").touch()
    assert kept_down() == down
    systemctl.unlink()
    assert not kept_down(), "nobody said so"


def test_a_dead_server_whose_daemon_is_kept_down_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_client, "remind", lambda *_: True)
    monkeypatch.setattr(daemon_client, "kept_down", lambda *_: True)
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits"))
    mandates.give(tmp_path / "run", "web", {"agent": "command", "values": {}})
    commands = {"OCF_RESKEY_start_command": "/bin/sleep 60", "OCF_RESKEY_pidfile": str(tmp_path / "pid")}
    env = {"KOBOSHI_RUNTIME_DIR": str(tmp_path / "run"), "OCF_RESOURCE_INSTANCE": "web", **commands}
    assert main(["command", "monitor"], env | {"OCF_RESKEY_CRM_meta_interval": "10000"}) == 7


def test_a_daemon_that_is_a_unit_is_left_to_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called, command, units = tmp_path / "called", tmp_path / "koboshi", tmp_path / "units"
    command.write_text(f"#!/bin/sh\ntouch {called}\n")
    command.chmod(0o755)
    units.mkdir()
    monkeypatch.delenv("KOBOSHI_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(daemon_client, "SYSTEMD", str(units))
    monkeypatch.setattr(daemon_client, "UNITS", (str(units),))
    (units / "koboshi.service").symlink_to("/dev/null")  # masked by the operator
    remind(tmp_path / "run", str(command))
    assert not (tmp_path / "run").exists()
    (units / "koboshi.service").unlink()
    remind(tmp_path / "run", str(command))
    eventually(called.exists, what="the call")
