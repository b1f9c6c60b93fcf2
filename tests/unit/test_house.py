"""The house itself: walls, the two commands, and the unit file."""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from cluster_glue.places import config_file
from tests.house import ROOT, setup_cfg, shell, text_of

UNIT = ROOT / "dist" / "systemd" / "koboshi.service"
SCRIPTS = ("script/setup", "script/test", "script/lab", ".ci/run")


def words(value: str) -> set[str]:
    return set(value.split())


# ---- the walls -------------------------------------------------------------------------------------------------------


def test_imports_may_point_down_only() -> None:
    contract = setup_cfg()["importlinter:contract:layers"]
    assert contract["type"] == "layers"
    assert [layer for layer in contract["layers"].split() if "." not in layer] == [
        "cluster_glue",
        "resource_agents",
        "ocf",
    ]


def test_the_pure_core_is_walled_off_from_clocks_and_programs() -> None:
    contract = setup_cfg()["importlinter:contract:pure"]
    core = {f"cluster_glue.recovery.{name}" for name in ("machine", "repair", "model", "policy")}
    assert core <= words(contract["source_modules"])
    assert {"time", "subprocess", "logging", "asyncio", "os"} <= words(contract["forbidden_modules"])


def test_the_lower_layers_are_walled_off_from_third_parties() -> None:
    contract = setup_cfg()["importlinter:contract:light"]
    assert words(contract["source_modules"]) == {"ocf", "resource_agents"}
    third_parties = {re.split(r"[>=\[]", word)[0] for word in words(setup_cfg()["options"]["install_requires"])}
    assert third_parties | {"asyncio"} <= words(contract["forbidden_modules"])


def test_types_are_strict_everywhere() -> None:
    mypy = setup_cfg()["mypy"]
    assert mypy.getboolean("strict")
    assert set(mypy["packages"].split(",")) == {"ocf", "resource_agents", "cluster_glue", "vagrant", "bench"}


def test_every_package_is_installed() -> None:
    there = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for top in ("ocf", "resource_agents", "cluster_glue")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert words(setup_cfg()["options"]["packages"]) == there


def test_what_the_machine_imports_of_its_own_layer_is_behind_the_wall_too() -> None:
    """So the wall, and the coverage gate that is read from it, leave no part of the pure core out."""
    pure = words(setup_cfg()["importlinter:contract:pure"]["source_modules"])
    for module in pure:
        assert imported_by(module) <= pure, module


def imported_by(module: str) -> set[str]:
    """The modules of our top layer that ``module`` imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text_of(module.replace(".", "/") + ".py"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in below if (ROOT / (name.replace(".", "/") + ".py")).exists()}
            found |= modules or {node.module}
    return {name for name in found if name.startswith("cluster_glue")}


# ---- the two commands ------------------------------------------------------------------------------------------------


def test_the_readme_opens_with_three_lines_a_picture_and_two_commands() -> None:
    opening = text_of("README.rst").splitlines()[:35]
    assert "koboshi run" in "\n".join(opening)
    for command in ("script/demo", "script/test"):
        assert any(re.match(rf"    {command}\b", line) for line in opening)
        assert os.access(ROOT / command, os.X_OK), f"{command} cannot be executed"


def test_ci_runs_what_people_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "script/test" in text_of(".ci/run")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_sound_shell(script: str) -> None:
    first = text_of(script).splitlines()[0]
    assert shell(first.removeprefix("#!"), "-n", script).ok
    if shutil.which("shellcheck"):
        checked = shell("shellcheck", script)
        assert checked.ok, checked.output


def test_help_needs_no_set_up() -> None:
    for script in ("script/setup", "script/test"):
        shown = shell(f"{ROOT}/{script}", "--help")
        assert shown.ok and f"usage: {script}" in shown.output


def test_a_wrong_word_is_refused_with_the_right_ones() -> None:
    refused = shell(f"{ROOT}/script/setup", "demmo")
    assert refused.status == 2 and "demo|test|bench|docs" in refused.output
    refused = shell(sys.executable, "script/checks.py", "--only", "nothing")
    assert refused.status == 2 and "--only STEP" in refused.output


def test_what_failed_is_named_again_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "live.xml").write_text(
        '<testsuites><testsuite tests="3" failures="1" errors="1" skipped="0"><testcase classname="a" name="good"/>'
        '<testcase classname="a" name="bad"><failure message="too late&#10;more">...</failure></testcase>'
        '<testcase classname="b" name="worse"><error message="no server"/></testcase></testsuite></testsuites>'
    )
    program = (
        "import sys; sys.path.insert(0, 'script'); import checks\n"
        "step = checks.Step('live', 'live tests', (('false',),), 60)\n"
        f"assert not checks.check([step], {str(tmp_path)!r})"
    )
    said = shell(sys.executable, "-c", program)
    assert said.ok, said.output
    assert [line.split("FAILED    ")[-1] for line in said.output.splitlines()[-3:-1]] == [
        "a::bad: too late",
        "b::worse: no server",
    ]
    assert said.output.splitlines()[-1].startswith("1 passed, 2 failed, 0 skipped")


def test_what_a_step_leaves_running_is_ended(tmp_path: Path) -> None:
    """``script/children.py``, with a daemon that detached itself from its parent and its session."""
    mark = tmp_path / "daemon"
    program = (
        "import sys; sys.path.insert(0, 'script'); import os, pathlib; from children import *\n"
        "assert become_subreaper()\n"
        f"daemon = 'echo $$ >{mark}; exec sleep 600'\n"
        f"line = 'setsid sh -c \"$0\" & while [ ! -s {mark} ]; do sleep 0.01; done'\n"
        "assert call(['sh', '-c', line, daemon], dict(os.environ), pathlib.Path('.')) == 0\n"
        "killed = end_all(0.0)\n"
        "assert len(killed) == 1 and 'sleep 600' in killed[0], killed\n"
        "assert end_all(0.0) == []\n"
    )
    done = shell(sys.executable, "-c", program)
    assert done.ok, done.output
    assert not Path(f"/proc/{mark.read_text().strip()}").exists()


@pytest.fixture
def policy_functions() -> str:
    """The part of ``script/setup`` that keeps services from being started."""
    found = re.findall(r"(?ms)^(?:refuse_services|restore_policy)\(\) \{.*?^\}", text_of("script/setup"))
    assert len(found) == 2
    marks = re.findall(r"(?m)^MARK=.*|^(?:policy_is_ours|saved_policy)=no", text_of("script/setup"))
    return "set -eu\n" + "\n".join(marks + found)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        ("#!/bin/sh\nexit 101\n", "#!/bin/sh\nexit 101\n"),
        ("#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 0\n"),
        ("#!/bin/sh\n# koboshi: script/setup refuses service starts while it installs packages\nexit 101\n", None),
    ],
    ids=["none", "refusing", "permissive", "left by a killed run"],
)
def test_services_are_refused_during_an_installation_and_only_then(
    before: str | None, after: str | None, policy_functions: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy-rc.d"
    if before is not None:
        policy.write_text(before)
        policy.chmod(0o755)
    during = 'status=0; "$POLICY" apache2 start || status=$?; [ "$status" = 101 ]'
    done = shell("bash", "-c", f"POLICY={policy}\n{policy_functions}\nrefuse_services\n{during}\nrestore_policy")
    assert done.ok, done.output
    assert (policy.read_text() if policy.exists() else None) == after
    assert [path.name for path in tmp_path.iterdir()] == ([policy.name] if after else [])


# ---- the unit file ---------------------------------------------------------------------------------------------------


def unit_settings() -> dict[str, list[str]]:
    """All settings of all sections: systemd allows a name more than once."""
    settings: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            settings.setdefault(name, []).append(value)
    return settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("KillMode", "process"),
        ("Delegate", "yes"),
        ("Restart", "always"),
        ("StartLimitIntervalSec", "0"),
        ("OOMPolicy", "continue"),
        ("RuntimeDirectoryPreserve", "yes"),
        ("RuntimeDirectory", "koboshi"),
        ("StateDirectory", "koboshi"),
    ],
)
def test_the_unit_keeps_web_servers_alive_and_budgets_spent(name: str, value: str) -> None:
    assert unit_settings()[name] == [value]


def test_the_unit_is_watched_and_reads_the_configuration_where_koboshi_looks() -> None:
    settings = unit_settings()
    assert settings["WatchdogSec"]
    assert settings["ExecStart"][0].endswith(f"/koboshi run --under-cluster -c {config_file({}, uid=0)}")
    assert "ConditionPathExists" not in settings, "a cluster's start wakes it without a configuration file"


def test_the_unit_and_its_servers_see_the_mounts_that_everybody_sees() -> None:
    """Each of these makes a mount namespace (systemd.exec(5), SANDBOXING)."""
    settings = set(unit_settings())
    assert not {name for name in settings if name.startswith(("Protect", "Private", "TemporaryFileSystem", "Bind"))}
    assert not {name for name in settings if name.endswith(("Paths", "Directories", "Image", "MountNamespace"))}
    assert not {"RootDirectory", "MountFlags", "MountAPIVFS"} & settings


def test_the_unit_takes_nothing_from_the_web_servers_it_starts() -> None:
    """They inherit it; each of these breaks a server that works without koboshi."""
    inherited = {"NoNewPrivileges", "PrivateTmp", "PrivateNetwork", "ProtectHome", "MemoryDenyWriteExecute", "User"}
    inherited |= {"OOMScoreAdjust", "PrivateUsers", "SystemCallArchitectures", "DynamicUser", "PrivateDevices"}
    assert not inherited & set(unit_settings())
    dropped = " ".join(unit_settings()["CapabilityBoundingSet"])
    for needed in ("SETUID", "SETGID", "NET_BIND_SERVICE", "KILL", "CHOWN", "DAC_OVERRIDE", "SYS_PTRACE", "NET_ADMIN"):
        assert f"CAP_{needed}" not in dropped.split()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "koboshi.service"
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8")))
    verified = shell("systemd-analyze", "verify", "--man=no", str(copy))
    assert verified.ok and not verified.output.strip(), verified.output
