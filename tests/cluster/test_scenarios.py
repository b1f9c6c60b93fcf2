"""Each file of ``tests/scenarios/cluster`` that suits the machines, played on a real cluster."""

from __future__ import annotations

import time

import pytest

from tests.cluster.conftest import PROVIDER, RECORDS
from vagrant.lab.claims import View
from vagrant.lab.drill import BEHIND
from vagrant.lab.providers import named
from vagrant.lab.record import doing, keep, load, record
from vagrant.lab.scenario import Line, Scenario, Untrue, every, play
from vagrant.lab.timeline import Event, tell_all

pytestmark = pytest.mark.cluster

#: Machines as they would be made; what they are like is known before.
MACHINES = named(PROVIDER, "/nonexistent")
PLAYABLE = [scenario for scenario in every() if scenario.suits(MACHINES)]


@pytest.mark.parametrize("scenario", PLAYABLE, ids=lambda scenario: scenario.name)
def test_a_scenario_on_a_real_cluster_goes_as_its_file_says(scenario: Scenario, view: View) -> None:
    began, problem = view.since, ""
    doings: list[Event] = []

    def doing_now(line: Line) -> None:
        doings.extend(doing(line))

    try:
        play(scenario, view, doing_now)
    except Untrue as untrue:
        problem = str(untrue)
    time.sleep(BEHIND)
    view.since = began
    path = keep(record(view, scenario, began, problem, doings), RECORDS.name, scenario.path.stem)
    assert load(path).problem == problem
    if problem:
        pytest.fail(f"{scenario.title}\n{problem}\n" + "\n".join(tell_all(view)), pytrace=False)
