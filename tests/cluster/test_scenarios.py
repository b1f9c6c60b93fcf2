"""Each file of ``tests/scenarios/cluster``, played on a real cluster with real Apache and nginx."""

from __future__ import annotations

import pytest

from vagrant.lab.claims import View
from vagrant.lab.scenario import Scenario, Untrue, every, play
from vagrant.lab.timeline import tell_all

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("scenario", every(), ids=lambda scenario: scenario.name)
def test_a_scenario_on_a_real_cluster_goes_as_its_file_says(scenario: Scenario, view: View) -> None:
    began = view.since
    try:
        play(scenario, view)
    except Untrue as untrue:
        view.since = began
        pytest.fail(f"{scenario.title}\n{untrue}\n" + "\n".join(tell_all(view)), pytrace=False)
