"""The state diagram in the docs is what the machine does."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_glue.recovery.diagram import dot, main, page, walk
from cluster_glue.recovery.model import Phase

PAGE = Path(__file__).parents[2] / "docs" / "recovery_machine.rst"
EDGES = walk()


def test_the_page_in_the_docs_is_up_to_date() -> None:
    """If not: ``python -m cluster_glue.recovery.diagram > docs/recovery_machine.rst``."""
    assert PAGE.read_text(encoding="utf-8") == page(EDGES)


def test_the_walk_reaches_each_phase_and_leaves_it_again() -> None:
    assert {end for _, _, end, _ in EDGES} | {Phase.IDLE} == set(Phase)
    assert {begin for begin, _, end, _ in EDGES if begin is not end} == set(Phase)


def test_from_everywhere_a_stop_leads_to_stopping() -> None:
    """Directly, or by calling off first what is in flight."""
    for begin, happened, end, acts in EDGES:
        if happened == "stop asked":
            assert (end is Phase.STOPPING) or (end is begin and acts == "cancel")


def test_no_start_follows_a_stop_that_failed() -> None:
    for begin, happened, _, acts in EDGES:
        if begin in (Phase.STOPPING, Phase.CLEARING) and happened in ("done but failed", "deadline"):
            assert "start" not in acts


def test_only_a_stop_that_ended_leads_from_clearing_to_starting() -> None:
    follows = {happened for begin, happened, end, _ in EDGES if (begin, end) == (Phase.CLEARING, Phase.STARTING)}
    assert follows == {"done"}


def test_the_graph_names_every_phase() -> None:
    graph = dot(EDGES)
    assert graph.startswith("digraph")
    assert all(f"  {phase.value} [" in graph for phase in Phase)


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["dot"], 0), (["svg"], 2)])
def test_it_prints_the_page_or_the_graph(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == status
    said = capsys.readouterr()
    assert said.out == {0: dot(EDGES) if arguments else page(EDGES), 2: ""}[status]
    assert bool(said.err) == (status != 0)
