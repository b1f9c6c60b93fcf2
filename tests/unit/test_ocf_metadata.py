"""Metadata, manual pages and the page on agents are what the declarations say, and nothing is kept by hand."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from cluster_glue.ocf_agents import agent_of, every_agent, metadata
from cluster_glue.ocf_manual import files
from ocf.declarations import Parameter, check
from ocf.metadata import DEFAULT_OPERATIONS, Agent, xml
from resource_agents.server import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted(files(ROOT)), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_is_generated_is_up_to_date(path: Path) -> None:
    """If not: ``python -m cluster_glue.ocf_manual``, and look at the difference."""
    assert path.read_text(encoding="utf-8") == files(ROOT)[path]


def test_no_golden_metadata_is_left_of_an_agent_that_is_gone() -> None:
    assert {path.stem for path in (ROOT / "tests/golden").glob("*.xml")} == set(every_agent())


@pytest.mark.parametrize("name", every_agent())
def test_monitors_have_distinct_intervals_and_all_times_have_units(name: str) -> None:
    """Pacemaker tells operations apart by name and interval."""
    actions = list(ET.fromstring(metadata(name)).iter("action"))
    monitors = [action.get("interval") for action in actions if action.get("name") == "monitor"]
    assert len(set(monitors)) == len(monitors) >= 3
    for action in actions:
        assert (action.get("timeout") or "").endswith("s")
    assert {"start", "stop", "monitor", "meta-data", "validate-all", "reload", "reload-agent", "status"} <= {
        action.get("name") for action in actions
    }


@pytest.mark.parametrize("name", every_agent())
def test_the_recovery_policy_is_among_the_parameters_and_every_default_is_good(name: str) -> None:
    parameters = {parameter.name: parameter for parameter in agent_of(load(name)).parameters}
    assert {"local_recovery", "report_degraded", "repair_time", "restart_limit", "restart_window"} <= set(parameters)
    for parameter in parameters.values():
        if not parameter.required:
            assert check(parameter, parameter.default) == parameter.default


def test_text_that_xml_would_misread_arrives_as_it_is() -> None:
    nasty = Parameter("p", "string", 'a "b" <c> & d', "x < y & z", "first\n\nsecond > 'third'")
    root = ET.fromstring(xml(Agent("a", "1", "s", "l & m", (nasty,), DEFAULT_OPERATIONS)))
    parameter = root.find("parameters/parameter")
    assert parameter is not None
    assert parameter.findtext("shortdesc") == nasty.short
    assert parameter.findtext("longdesc") == nasty.long
    content = parameter.find("content")
    assert content is not None
    assert content.get("default") == nasty.default
