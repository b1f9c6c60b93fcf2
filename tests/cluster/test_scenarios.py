"""Each file of ``tests/scenarios/cluster`` that suits the machines, played on a real cluster."""

from __future__ import annotations

import pytest

from tests.cluster.conftest import PROVIDER
from vagrant.lab.claims import View
from vagrant.lab.providers import named
from vagrant.lab.scenario import Scenario, Untrue, every, play
from vagrant.lab.timeline import tell_all

pytestmark = pytest.mark.cluster


PLAYABLE = [scenario for scenario in every() if scenario.suits(named(PROVIDER))]


@pytest.mark.parametrize("scenario", PLAYABLE, ids=lambda scenario: scenario.name)
def test_a_scenario_on_a_real_cluster_goes_as_its_file_says(scenario: Scenario, view: View) -> None:
    began = view.since
    try:
        play(scenario, view)
    except Untrue as untrue:
        view.since = began
        pytest.fail(f"{scenario.title}\n{untrue}\n" + "\n".join(tell_all(view)), pytrace=False)
