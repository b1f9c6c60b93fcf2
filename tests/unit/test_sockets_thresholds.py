"""Thresholds are declared once, and nonsense is refused where it is written."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from cluster_glue.config import load
from cluster_glue.config_model import ConfigErrors
from cluster_glue.config_resource import OWN, POLICY
from cluster_glue.ocf_agents import recovery_parameters
from cluster_glue.ocf_requests import read
from cluster_glue.recovery.thresholds import ThresholdError, Thresholds
from resource_agents.server import load as agent
from resource_agents.server import names

TABLE = '[koboshi]\nsyslog = ""\n[resource.web]\nagent = "command"\nstart_command = "/bin/sleep 9"\n'


def written(folder: Path, more: str) -> Path:
    path = folder / "koboshi.toml"
    path.write_text(TABLE + more)
    return path


def test_thresholds_are_set_for_each_resource(tmp_path: Path) -> None:
    config = load(written(tmp_path, 'descriptors_warning = 50\nclose_wait_error = 5000\nleak_hold = "5m"\n'))
    found = config.resources["web"].thresholds
    assert (found.descriptors_warning, found.close_wait_error, found.leak_hold) == (50, 5000, 300)
    assert found.stall_after == Thresholds().stall_after


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("descriptors_warning = 99", "descriptors_error"),
        ("queue_error = 101", "at most 100"),
        ("leak_hold = 0", "at least 1"),
        ("close_wait_warning = 1.5", "whole"),
        ("descriptor_warning = 5", "did you mean descriptors_warning"),
    ],
)
def test_a_wrong_threshold_is_refused_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigErrors) as refused:
        load(written(tmp_path, line + "\n"))
    assert ":6: " in str(refused.value)
    assert said in str(refused.value)


def test_an_error_never_comes_before_its_warning() -> None:
    pairs = [item.name for item in fields(Thresholds) if item.name.endswith("_warning")]
    assert len(pairs) >= 6
    for name in pairs:
        high = getattr(Thresholds(), name.replace("_warning", "_error"))
        with pytest.raises(ThresholdError, match=name):
            replace(Thresholds(), **{name: high + 1})


def test_no_threshold_has_the_name_of_something_else() -> None:
    mine = {item.name for item in fields(Thresholds)}
    assert not mine & {*OWN, *POLICY}
    for each in names():
        assert not mine & {parameter.name for parameter in agent(each).parameters}


def test_every_threshold_says_what_it_is() -> None:
    assert all(item.metadata["doc"] and item.metadata["unit"] for item in fields(Thresholds))


def test_thresholds_are_parameters_of_the_agents_and_reach_the_resource() -> None:
    assert {item.name for item in fields(Thresholds)} <= {parameter.name for parameter in recovery_parameters()}
    values = {"start_command": "/bin/sleep 9", "descriptors_warning": "50", "leak_hold": "5m", "close_wait_error": ""}
    config = read({"instance": "web", "agent": "command", "values": values, "timeout": 40}).config
    assert config.thresholds == Thresholds(descriptors_warning=50, leak_hold=300)
