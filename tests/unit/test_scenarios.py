"""Each file of ``tests/scenarios`` is a case; its language is in :mod:`tests.scenario`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario import CLAIMS, HAPPENINGS, Player, ScenarioError

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenario_goes_as_written(path: Path) -> None:
    Player(path).play()


def test_there_are_scenarios_and_each_says_what_it_shows() -> None:
    assert len(SCENARIOS) >= 15
    for path in SCENARIOS:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# "), f"{path.name} does not say what it shows"
        assert "expect" in text, f"{path.name} expects nothing"


def test_the_language_is_used_whole() -> None:
    """So that each word of it is known to work."""
    text = " ".join(path.read_text(encoding="utf-8") for path in SCENARIOS)
    for form in [*HAPPENINGS, *CLAIMS]:
        assert form.split()[0] in text, f"no scenario has {form!r}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":0: the scenario is empty"),
        ("at 1s\nwait 3s", ":2: 'wait' is none of policy, at, every, expect"),
        ("at ten died x", ":1: 'ten' is no time: a number and one of ms, s, m, h, d"),
        ("at 5s\nat 4s", ":2: 4s is over: it is 5s already"),
        ("at 5s paused 30m", ":1: nobody knows what 'paused 30m' is; did you mean 'paused for TIME'?"),
        ("policy restart_limits=3", ":1: there is no policy parameter 'restart_limits'; did you mean 'restart_limit'?"),
        ("policy restart_window=60s", ":1: restart_window = 60 s cannot hold its own restarts"),
        ("every 5s renewed", ":1: write: every TIME until TIME what happens"),
        ("# a comment\nexpect upp", ":2: 'upp' is nothing that can be expected; did you mean 'up'?"),
        ("expect up", ":1: expected 'up', but it is 'idle'"),
        ("expect frobnicated entirely", ":1: 'frobnicated entirely' is nothing that can be expected"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as failed:
        Player(path).play()
    assert str(failed.value).startswith("wrong.txt" + words)
