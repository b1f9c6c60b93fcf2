"""Pacemaker's connector: what it reads, what it says, what it generates."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_glue.config_model import ResourceConfig, Settings
from cluster_glue.connectors import crm_mon
from cluster_glue.connectors.clusterware import ScaffoldError, Sketch, Subject, load, names
from cluster_glue.connectors.pacemaker import CONNECTOR, attribute_of
from cluster_glue.recovery.policy import Policy
from ocf.conditions import CONDITIONS
from ocf.programs import Finished
from tests.house import ROOT

SAMPLES = ROOT / "tests" / "samples" / "crm_mon"

#: What each sample permits ("" = to act), in words that must occur in the refusal.
PERMITS = {
    "healthy": "",
    "failed-and-still-ours": "",
    "clone": "",
    "clone-unique": "",
    "no-quorum-ignored": "",
    "form-1.1": "",
    "form-3.0": "",
    "node-names-with-dots-and-dashes": "",
    "maintenance-mode": "maintenance mode",
    "stop-all-resources": "stop all resources",
    "no-quorum": "no quorum",
    "not-managed": "not managed",
    "resource-maintenance": "not managed",
    "target-role-stopped": "target-role",
    "group-target-role-stopped": "target-role",
    "node-standby": "standby",
    "node-maintenance": "maintenance",
    "node-offline": "offline",
    "on-the-other-node": "on node2",
    "stopped": "active on no node",
    "being-stopped": "the cluster itself acts",
    "removed": "removed from the configuration",
    "not-connected": "Not connected",
}


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.xml").read_text()


def answered(text: str, node: str = "node1") -> str:
    return CONNECTOR.authority(Subject("web", node), Finished(0, text, 0.0))


# ---- authority -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PERMITS))
def test_only_a_managed_resource_that_is_wanted_here_may_be_repaired(name: str) -> None:
    node = "web-1.example.org" if "dots" in name else "node1"
    refusal = answered(sample(name), node)
    assert (PERMITS[name] in refusal) if PERMITS[name] else refusal == ""


def test_every_sample_is_judged() -> None:
    assert {path.stem for path in SAMPLES.glob("*.xml")} == set(PERMITS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Segmentation fault",
        "<html>no</html>",
        "<pacemaker-result/>",
        "<crm_mon><summary/></crm_mon>",
        '<!DOCTYPE a [<!ENTITY b "c">]><crm_mon/>',
        sample("healthy")[:900],
        sample("healthy").replace('managed="true"', ""),
        sample("healthy").replace('online="true"', ""),
        sample("healthy").replace('with_quorum="true"', ""),
        sample("healthy").replace('present="true"', ""),
    ],
)
def test_an_answer_that_does_not_say_yes_means_no(text: str) -> None:
    assert answered(text)


def test_no_answer_means_no() -> None:
    refusal = CONNECTOR.authority(Subject("web", "node1"), Finished(None, "", 2.0, "crm_mon did not end within 2 s"))
    assert "did not end within 2 s" in refusal


def test_a_node_without_a_name_may_do_nothing() -> None:
    assert answered(sample("healthy"), "")


def test_warnings_before_the_answer_are_no_harm() -> None:
    assert answered("warning: old configuration\n" + sample("healthy")) == ""


@given(st.text(alphabet='<>/="aemnotruwb \n', max_size=200))
def test_garbage_is_refused_and_never_raises(text: str) -> None:
    assert answered(text)


@given(st.integers(0, len(sample("healthy")) - 30))
def test_an_answer_that_was_cut_off_is_refused(length: int) -> None:
    assert answered(sample("healthy")[:length])


def test_a_longer_name_is_another_resource() -> None:
    with_other = sample("healthy").replace('id="web"', 'id="web2"')
    assert crm_mon.refusal(with_other, "web", "node1") == "the cluster knows no resource web"
    numbered = sample("clone").replace('id="web"', 'id="web:0"')
    assert crm_mon.refusal(numbered, "web", "node1") == ""


@pytest.mark.parametrize(
    ("shown", "asked", "known"),
    [
        ("web", "web", True),
        ("web:0", "web:0", True),
        ("web:1", "web:0", False),
        ("web", "web:0", True),
        ("web:0", "web", True),
        ("web2", "web:2", False),
        ("web:x", "web", False),
    ],
)
def test_an_instance_of_a_clone_is_found_by_either_name(shown: str, asked: str, known: bool) -> None:
    text = sample("clone").replace('id="web"', f'id="{shown}"')
    refusal = crm_mon.refusal(text, asked, "node1")
    assert refusal == ("" if known else f"the cluster knows no resource {asked}")


@pytest.mark.parametrize(
    ("name", "attribute"), [("web", "koboshi-web"), ("web:0", "koboshi-web"), ("a:b", "koboshi-a.x3a.b")]
)
def test_the_attribute_is_the_clones_and_not_the_instances(name: str, attribute: str) -> None:
    assert attribute_of(name) == attribute


# ---- what is told ----------------------------------------------------------------------------------------------------


def test_asked_it_takes_the_codes_of_ocf() -> None:
    assert CONNECTOR.asked == {name: row.code for name, row in CONDITIONS.items()}


def test_a_hand_over_is_one_transient_attribute_and_taken_back_by_one_command() -> None:
    here = Subject("web", "node1")
    (told,) = CONNECTOR.told(here, "failover", "restarts are spent")
    assert told.argv == ("attrd_updater", "-n", "koboshi-web", "-U", "0", "-d", "0")
    (back,) = CONNECTOR.withdrawn(here, by_operator=False)
    assert back.argv == ("attrd_updater", "-n", "koboshi-web", "-D")
    assert CONNECTOR.withdrawn(here, by_operator=True)[1].argv[:2] == ("crm_resource", "--cleanup")


def test_a_simulated_failure_is_never_said_twice() -> None:
    (told,) = CONNECTOR.told(Subject("web", "node1", settings=Settings(push="fail")), "failover", "")
    assert told.argv == ("crm_resource", "--fail", "--resource", "web", "--node", "node1")
    assert not told.again


def test_without_a_push_the_next_monitor_alone_says_it() -> None:
    assert CONNECTOR.told(Subject("web", "node1", settings=Settings(push="none")), "failover", "") == ()
    assert CONNECTOR.told(Subject("web", "node1"), "report", "") == ()


@given(st.text(min_size=1, max_size=40))
def test_an_attribute_can_be_made_of_any_name(name: str) -> None:
    attribute = attribute_of(name)
    assert attribute.isascii()
    assert attribute.startswith("koboshi-")
    assert not set(attribute) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


# ---- what is generated -----------------------------------------------------------------------------------------------


def sketch(name: str = "web", form: str = "crm", **values: str) -> Sketch:
    return Sketch(ResourceConfig(name, "apache", values, Policy()), options={"form": form, "ip": "192.0.2.7"})


def test_operations_last_longer_than_what_they_wait_for() -> None:
    text = CONNECTOR.scaffold(sketch())[0].text
    policy = Policy()
    assert f"op start interval=0s timeout={policy.start_timeout + 20:g}s" in text
    assert f"op stop interval=0s timeout={policy.stop_timeout + 20:g}s" in text
    assert "migration-threshold=1" in text
    assert "rule -inf: defined koboshi-web and koboshi-web number:eq 0" in text


@pytest.mark.parametrize("name", ["9web", "web;reboot", "we b", "web\nprimitive x", "-web", "wéb", "web:0", ""])
def test_a_name_that_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(ScaffoldError, match="cannot be an id"):
        CONNECTOR.scaffold(sketch(name))


def test_two_hyphens_in_a_name_do_not_break_the_comments() -> None:
    comments = [line for line in CONNECTOR.scaffold(sketch("web--1"))[0].text.splitlines() if line.startswith("#")]
    assert comments
    assert not any("--" in line for line in comments)


def test_a_line_end_in_a_value_is_refused_where_it_cannot_be_written() -> None:
    with pytest.raises(ScaffoldError, match="line end"):
        CONNECTOR.scaffold(sketch(options="a\nprimitive evil ocf:x:y"))


# ---- connectors in general -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
def test_a_connector_is_called_as_its_file_is_and_answers_every_condition(name: str) -> None:
    ware = load(name)
    assert ware.name == name
    assert ware.title
    assert set(ware.asked) == set(CONDITIONS)
    assert set(ware.foreground) <= set(CONDITIONS)
    assert "report" in ware.escalations
    assert all(ware.asked[row] == 0 for row in ("running", "done", "repairing"))
    assert not set(ware.foreground) & {"running", "done", "repairing", "degraded"}


def test_the_connectors_of_the_house_are_found() -> None:
    assert names() == ["clusterpro", "pacemaker", "serviceguard", "standalone"]
    with pytest.raises(LookupError):
        load("runner")


def test_a_connector_imports_nothing_that_acts() -> None:
    for name in names():
        text = (ROOT / "cluster_glue" / "connectors" / f"{name}.py").read_text()
        for word in ("import subprocess", "import asyncio", "programs import run", "import time", "import socket"):
            assert word not in text, name


def test_samples_come_with_a_word_about_where_they_are_from() -> None:
    assert "Recorded from" in Path(SAMPLES / "README.rst").read_text()
