"""Serviceguard's connector: its formats, its exit statuses, its scripts. No real Serviceguard was ever there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_glue.config_model import ResourceConfig
from cluster_glue.connectors import cmviewcl
from cluster_glue.connectors.clusterware import ScaffoldError, Sketch, Subject
from cluster_glue.connectors.serviceguard import (
    CONNECTOR,
    DONE,
    ELSEWHERE,
    HP_UX,
    NOWHERE,
    hurried,
    places_in,
    status_of,
)
from cluster_glue.glue_model import Glue
from cluster_glue.messages import CATALOGUE
from cluster_glue.recovery.policy import Policy
from tests.generated import assert_sound, write

#: After the columns in HP's manuals; cells for STATE, AUTO_RUN and restarts are there or empty.
TABLE = """
CLUSTER      STATUS
example      up

  NODE         STATUS       STATE
  ftsys9       up           running

    PACKAGE      STATUS       STATE        AUTO_RUN     NODE
    PKG1         up           running      enabled      ftsys9

      Script_Parameters:
      ITEM       STATUS   MAX_RESTARTS  RESTARTS   NAME
      Service    up                  0         0   service1
      Subnet     up                                15.13.168.0

      Node_Switching_Parameters:
      NODE_TYPE    STATUS       SWITCHING    NAME
      Primary      up           disabled     ftsys9      (current)
      Alternate    up           enabled      ftsys10

UNOWNED_PACKAGES

    PACKAGE      STATUS       STATE        AUTO_RUN     NODE
    pkg-2.x      down         halted       disabled     unowned
    bare         down
"""

LINES = """
name=example
second_cluster_lock
node:ftsys9|name=ftsys9
package:pkg-2.x_y|name=pkg-2.x_y
package:pkg-2.x_y|status="up"
package:pkg-2.x_y|state=running
package:pkg-2.x_y|owner=ftsys9
package:pkg-2.x_y|autorun=enabled
package:pkg-2.x_y|node:ftsys9|name=ftsys9
package:pkg-2.x_y|node:ftsys9|switching=disabled
package:pkg-2.x_y|node:ft-sys.10|switching=enabled
package:pkg-2.x_y|service:s1|status=up
group:g|member:1|node:n|name=n
"""


# ---- cmviewcl --------------------------------------------------------------------------------------------------------


def test_the_line_format_is_read() -> None:
    (package,) = cmviewcl.read(LINES).values()
    assert (package.name, package.status, package.state, package.owner) == ("pkg-2.x_y", "up", "running", "ftsys9")
    assert package.autorun is True
    assert package.switching == {"ftsys9": False, "ft-sys.10": True}
    assert package.barred == ["ftsys9"]


def test_what_the_command_line_fixed_is_not_in_the_prefix() -> None:
    (package,) = cmviewcl.read("status=up\nnode:n1|switching=disabled\n", "PKG1").values()
    assert (package.name, package.status, package.barred) == ("PKG1", "up", ["n1"])


def test_the_table_is_read_with_its_empty_cells() -> None:
    found = cmviewcl.read(TABLE)
    assert list(found) == ["PKG1", "pkg-2.x", "bare"]
    assert (found["PKG1"].state, found["PKG1"].autorun, found["PKG1"].owner) == ("running", True, "ftsys9")
    assert found["PKG1"].switching == {"ftsys9": False, "ftsys10": True}
    assert (found["pkg-2.x"].state, found["pkg-2.x"].autorun, found["pkg-2.x"].owner) == ("halted", False, "unowned")
    assert (found["bare"].status, found["bare"].state, found["bare"].autorun) == ("down", "", None)


NAME = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)


PACKAGE = st.tuples(st.sampled_from(["up", "down"]), st.booleans(), st.dictionaries(NAME, st.booleans(), max_size=3))


@given(st.dictionaries(NAME, PACKAGE, max_size=4), st.booleans())
def test_every_package_that_is_written_is_read(packages: dict[str, tuple[str, bool, dict[str, bool]]], q: bool) -> None:
    def value(word: str) -> str:
        return f'"{word}"' if q else word

    lines = []
    for name, (status, autorun, nodes) in packages.items():
        lines += [f"package:{name}|status={value(status)}", f"package:{name}|lock"]
        lines += [f"package:{name}|autorun={value('enabled' if autorun else 'disabled')}"]
        for node, allowed in nodes.items():
            lines += [f"package:{name}|node:{node}|switching={value('enabled' if allowed else 'disabled')}"]
    found = cmviewcl.read("\n".join(lines))
    assert {name: (one.status, one.autorun, one.switching) for name, one in found.items()} == packages


@given(st.one_of(st.text(max_size=300), st.text(alphabet='pakge:|=" \nSTATUSx1.-_', max_size=300)), st.booleans())
def test_nonsense_is_left_out_and_never_raises(text: str, table: bool) -> None:
    cmviewcl.read(f"PACKAGE STATUS\n{text}" if table else text)


# ---- what is asked and told ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "shared", "status"),
    [
        ("running", False, DONE),
        ("done", False, DONE),
        ("misconfigured", True, NOWHERE),
        ("misconfigured", False, ELSEWHERE),
        ("wrong-parameter", False, NOWHERE),
        ("hopeless", True, ELSEWHERE),
        ("start-failed", True, ELSEWHERE),
        ("missing", False, ELSEWHERE),
        ("not-stopped", False, NOWHERE),
    ],
)
def test_the_diagnosis_chooses_whether_another_node_may_try(condition: str, shared: bool, status: int) -> None:
    assert status_of(condition, Glue(shared_configuration=shared)) == status


@pytest.mark.parametrize(
    ("reason", "short"), [("failure", True), ("user_halt", False), ("automatic_halt", False), ("", False)]
)
def test_a_stop_is_short_only_when_another_node_waits(reason: str, short: bool) -> None:
    assert hurried({"SG_HALT_REASON": reason}) is short
    assert hurried({}) is False


def test_no_command_is_ever_run_about_our_own_package() -> None:
    here = Subject("web", "n1", Glue(package="pkg", generic_resource="web_ok"))
    requests = [*CONNECTOR.told(here, "failover", "x"), *CONNECTOR.withdrawn(here, by_operator=True)]
    for message in CATALOGUE.values():
        requests += CONNECTOR.announced(here, message, "a line")
    assert {request.argv[0] for request in requests} == {"cmsetresource"}
    assert CONNECTOR.question(here) == ()


def test_the_generic_resource_follows_what_we_know() -> None:
    here = Subject("web", "n1", Glue(generic_resource="web_ok"))
    (down,) = CONNECTOR.announced(here, CATALOGUE["exhausted"], "")
    (up,) = CONNECTOR.announced(here, CATALOGUE["recovered"], "")
    assert down.argv == ("cmsetresource", "-r", "web_ok", "-s", "down")
    assert up.argv == ("cmsetresource", "-r", "web_ok", "-s", "up")
    assert CONNECTOR.announced(here, CATALOGUE["restarting"], "") == ()
    assert CONNECTOR.announced(Subject("web", "n1"), CATALOGUE["exhausted"], "") == ()


def test_people_are_reminded_of_the_barred_node() -> None:
    reminder = CONNECTOR.reminder(Subject("web", "n1", Glue(package="pkg")))
    assert "cmmodpkg -e -n n1 pkg" in reminder
    assert "cmmodpkg -e pkg" in reminder


# ---- where Serviceguard is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "/usr/local/cmcluster/conf"),
        ("SGROOT=/opt/cmcluster\nSGCONF=${SGROOT}/conf\n", "/opt/cmcluster/conf"),
        ("export SGROOT='/opt/cm cluster'; SGCONF=$SGROOT/conf # here\n", "/opt/cm cluster/conf"),
        ('SGCONF="/etc/cmcluster"   # HP-UX\nSGSBIN=/usr/sbin\n', "/etc/cmcluster"),
        ("# SGCONF=/nowhere\nif true; then :; fi\n", "/usr/local/cmcluster/conf"),
    ],
)
def test_its_places_are_read_from_its_own_file(text: str, expected: str) -> None:
    assert places_in(text)["SGCONF"] == expected


def test_hp_ux_has_places_of_its_own() -> None:
    assert places_in("", HP_UX) == {"SGCONF": "/etc/cmcluster", "SGSBIN": "/usr/sbin"}


@given(st.text(max_size=200))
def test_a_damaged_file_leaves_the_usual_places(text: str) -> None:
    assert set(places_in(text)) >= {"SGCONF", "SGSBIN"}


# ---- what is generated -----------------------------------------------------------------------------------------------


def sketch(name: str = "web", command: str = "/usr/local/bin/koboshi", package: str = "") -> Sketch:
    return Sketch(ResourceConfig(name, "apache", {}, Policy()), Glue(package=package), command)


@pytest.mark.parametrize("name", ["web", "www.example.org", "9-web_x"])
def test_every_script_is_sound(name: str, tmp_path: Path) -> None:
    scripts = write(tmp_path, CONNECTOR.scaffold(sketch(name)))
    assert len(scripts) == 2
    for script in scripts:
        assert_sound(script)


def test_the_package_leaves_restarts_to_koboshi_and_names_the_watcher() -> None:
    text = next(each.text for each in CONNECTOR.scaffold(sketch(package="pkg")) if each.path.endswith("package.conf"))
    attributes = dict(re.findall(r"(?m)^([a-z_]+) +(\S.*)$", text))
    assert attributes["service_restart"] == "none"
    assert attributes["service_fail_fast_enabled"] == "no"
    (command,) = shlex.split(attributes["service_cmd"])
    assert command == "/usr/local/bin/koboshi watch --clusterware=serviceguard web"
    assert attributes["package_name"] == "pkg"


def test_the_scripts_end_before_serviceguard_ends_them() -> None:
    made = {each.path.rpartition("/")[2]: each.text for each in CONNECTOR.scaffold(sketch())}
    own = dict(re.findall(r"(?m)^(start|stop)\) set -- \w+ --timeout=(\d+)", made["koboshi.sh"]))
    limits = dict(re.findall(r"(?m)^(run|halt)_script_timeout +(\d+)", made["package.conf"]))
    assert int(own["start"]) < int(limits["run"])
    assert int(own["stop"]) < int(limits["halt"])


@pytest.mark.parametrize(
    ("name", "command"), [("x" * 40, "/usr/bin/koboshi"), ("web-", "/usr/bin/koboshi"), ("web", "/opt/my koboshi")]
)
def test_what_serviceguard_could_not_hold_is_refused(name: str, command: str) -> None:
    with pytest.raises(ScaffoldError):
        CONNECTOR.scaffold(sketch(name, command))
