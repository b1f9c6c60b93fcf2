"""The lab's own words: scenarios are understood or refused with a reason, and what the client saw is put together."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vagrant.lab.answers import Answer, moves, outage, stretches
from vagrant.lab.machines import LabError
from vagrant.lab.scenario import ScenarioError, every, parse
from vagrant.namespaces.lab import Namespaces

ROOT = Path(__file__).resolve().parents[2]


def seen(*answers: tuple[float, bool, str]) -> list[Answer]:
    """Answers of one service, asked at these times."""
    return [Answer(asked, asked + 0.01, "web", good, who) for asked, good, who in answers]


def script_lab(*words: str) -> subprocess.CompletedProcess[str]:
    """script/lab as a person runs it."""
    return subprocess.run(
        [str(ROOT / "script" / "lab"), *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_every_scenario_is_understood_and_says_what_it_shows() -> None:
    scenarios = every()
    assert len(scenarios) >= 14
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert all(scenario.title.endswith(".") for scenario in scenarios)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("jump node1: true", "the words are needs, run"),
        ("needs luck", "needs takes fence, freeze, kernel, systemd, and this is luck"),
        ("run true", "needs NODE: COMMAND"),
        ("within soon web answers", "a time such as"),
        ("expect web is blue", "lists what can be claimed"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named_with_a_remedy(tmp_path: Path, line: str, remedy: str) -> None:
    path = tmp_path / "1-wrong.txt"
    path.write_text(f"# Wrong.\n{line}\n")
    with pytest.raises(ScenarioError, match=f"1-wrong.txt:2: .*{remedy}"):
        parse(path)


def test_an_outage_runs_from_the_first_bad_request_to_the_next_good_one() -> None:
    answers = seen((1.0, True, "node1"), (1.5, False, "refused"), (2.0, False, "refused"), (3.0, True, "node2"))
    assert outage(answers) == pytest.approx(1.5)
    assert outage(answers[:3]) == pytest.approx(0.5)


def test_a_service_that_moves_is_seen_to_move() -> None:
    answers = seen((1, True, "node1"), (2, False, "refused"), (3, True, "node1"), (4, True, "node2"))
    assert moves(answers) == ["node1", "node2"]
    assert [(each.good, each.who) for each in stretches(answers)] == [
        (True, "node1"), (False, ""), (True, "node1"), (True, "node2"),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 9])
def test_a_number_of_nodes_that_is_no_cluster_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(LabError, match="--nodes takes 2 to 8"):
        Namespaces(tmp_path / "lab").begin(count, print)
    assert not (tmp_path / "lab").exists()


def test_each_word_of_a_lab_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    for words in (["status"], ["exec", "node1", "true"], ["logs"], ["drill", "killed_once"]):
        said = script_lab("--directory", str(tmp_path / "lab"), *words)
        assert said.returncode == 1
        assert "script/lab up makes one" in said.stdout or "there is no scenario" in said.stdout
    said = script_lab("--directory", str(tmp_path / "lab"), "down")
    assert said.returncode == 0
    assert "there was no lab" in said.stdout


def test_wrong_words_are_refused_with_one_line() -> None:
    for words in (["uup"], ["up", "--nodes", "many"], ["--provider", "paper", "up"], ["drill", "a", "b"]):
        said = script_lab(*words)
        assert said.returncode == 2, said.stdout
        assert said.stdout.count("\n") == 1


def test_a_directory_that_is_not_a_labs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    lab = Namespaces(tmp_path)
    with pytest.raises(LabError):
        lab.begin(2, print)
    lab.end()
    assert (tmp_path / "precious").read_text() == "mine"
