"""The benchmark's own arithmetic and table; what it measures is never a matter of tests."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from bench.__main__ import ROWS, rows
from bench.asking import first_answer, listener
from bench.figures import Line, figures, quantile
from bench.table import main, number, record, revive, rst
from tests.house import ROOT, shell


def test_a_median_lies_between_the_two_in_the_middle() -> None:
    assert quantile([4, 1, 3, 2], 0.5) == 2.5
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([7], 0.99) == 7


def test_the_ends_are_the_smallest_and_the_largest() -> None:
    samples = list(range(101))
    assert (quantile(samples, 0), quantile(samples, 1)) == (0, 100)
    assert figures(samples) == {"min": 0, "p50": 50, "p90": 90, "p99": 99}


def test_no_samples_have_no_figures() -> None:
    assert figures([]) == {}
    with pytest.raises(ValueError, match="no samples"):
        quantile([], 0.5)


def test_a_bound_is_kept_only_when_each_figure_keeps_it() -> None:
    bounds = {"p50": 3.0, "p99": 10.0}
    assert Line("r", "s", "w", "ms", [1, 2, 3], bounds).held is True
    assert Line("r", "s", "w", "ms", [1, 2, 30], bounds).held is False
    assert Line("r", "s", "w", "ms", [1, 2, 30]).held is None
    assert Line("r", "s", "w", "ms", [], bounds).held is None


def test_a_ratio_is_of_medians_and_needs_both() -> None:
    floor, line, empty = Line("r", "s", "f", "ms", [10]), Line("r", "s", "w", "ms", [15]), Line("r", "s", "e", "ms")
    line.compare(floor, "floor")
    assert (line.ratio, line.ratio_to) == (1.5, "floor")
    floor.compare(empty, "nothing")
    assert floor.ratio is None


def test_a_line_survives_the_results_file() -> None:
    line = Line("r", "s", "w", "ms", [1.5, 2], {"p50": 3.0}, "3", 1.2, "floor", "a note", 0.5)
    assert revive(json.loads(json.dumps(record(line)))) == line


def test_the_table_is_a_table() -> None:
    lines = [
        Line("outage", "nginx, cold start", "floor", "ms", [9, 10, 11], load=1.25),
        Line("outage", "nginx, kill -9 main", "koboshi", "ms", [30, 20], {"p50": 27.5}, "27.5", 2.5, "floor"),
        Line("peers", "nginx", "monit", "ms", note="not restored in 12 s"),
    ]
    table = rst(lines).splitlines()
    ruler = table[0]
    assert ruler == table[2] == table[-1] and set(ruler) == {"=", " "}
    assert len(table) == 4 + len(lines)
    assert all(len(row) <= len(ruler) for row in table)
    assert "NO" not in table[3] and "yes" in table[4] and "2.50 of floor" in table[4]
    assert "see below" in table[5]


def test_a_generator_makes_the_table_of_a_results_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = {"cpus": 2, "model": "m", "memory": "1 GiB", "kernel": "6", "python": "3", "programs": {"nginx": "1.22"}}
    run = {"began": "now", "koboshi": "0", "machine": machine, "load": {"before": 1, "after": 2}, "quick": True}
    results = tmp_path / "results.json"
    results.write_text(json.dumps({**run, "lines": [record(Line("r", "s", "w", "ms", [1], note="why"))]}))
    assert main([str(results)]) == 0
    printed = capsys.readouterr().out
    assert "nginx 1.22" in printed and "r: s" in printed and "* r: s, w: why" in printed


def test_a_file_that_is_no_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong.json").write_text("{}")
    assert main([str(tmp_path / "wrong.json")]) == 2
    assert "no results file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.00012, "0.00012"),
        (0.0123, "0.0123"),
        (1.234, "1.23"),
        (45.67, "45.7"),
        (1234, "1234"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_have_no_exponent(value: float, shown: str) -> None:
    assert number(value) == shown


def test_every_row_that_is_listed_can_be_measured() -> None:
    assert list(rows()) == list(ROWS)


def test_the_command_lists_its_rows_without_set_up() -> None:
    assert os.access(ROOT / "bench" / "run", os.X_OK)
    listed = shell(f"{ROOT}/bench/run", "--list")
    assert listed.ok, listed.output
    assert [line.split()[0] for line in listed.output.splitlines()] == list(ROWS)


def test_a_row_that_is_not_there_is_refused_with_those_that_are() -> None:
    refused = shell(sys.executable, "-m", "bench", "--only", "outrage")
    assert refused.status == 2 and "outage" in refused.output


def test_an_answer_of_the_old_socket_is_not_the_new_servers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        inode = listener(port)
        assert inode == os.fstat(server.fileno()).st_ino
        assert first_answer(port, inode, limit=0.02) is None
    assert listener(port) == 0
