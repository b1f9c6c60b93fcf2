"""The demonstration's judgement: what counts as an answer of a new main process, and what as an outage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.house import ROOT, shell


@pytest.fixture(scope="module")
def client() -> Iterator[ModuleType]:
    """``script/demonstration/client.py``."""
    sys.path.insert(0, str(ROOT / "script"))
    try:
        import demonstration.client

        yield demonstration.client
    finally:
        sys.path.remove(str(ROOT / "script"))


OLD, NEW = 11, 22


def test_an_answer_through_the_old_socket_is_an_orphans_and_ends_no_outage(client: ModuleType) -> None:
    samples = [client.Sample(at, at + 0.001, client.OK, OLD) for at in (1.0, 1.1, 1.2)]
    seen = client.judge(samples, 1.0, OLD)
    assert (seen.back, seen.outage, seen.from_orphans) == (None, None, 3)


def test_an_answer_that_cannot_be_attributed_proves_nothing(client: ModuleType) -> None:
    """The listening socket changed while it was asked: it neither ends an outage nor makes it shorter."""
    unclear = client.Sample(1.0, 2.9, client.OK, 0)
    assert client.judge([unclear], 1.0, OLD).back is None
    assert client.judge([unclear, client.Sample(3.0, 3.5, client.OK, NEW)], 1.0, OLD).outage == 2.5


def test_the_outage_runs_from_the_last_good_answer_to_the_first_of_a_new_main_process(client: ModuleType) -> None:
    samples = [
        client.Sample(1.0, 1.5, client.OK, OLD),
        client.Sample(2.0, 2.1, client.REFUSED, 0),
        client.Sample(3.0, 3.5, client.OK, NEW),
        client.Sample(4.0, 4.1, client.OK, NEW),
    ]
    seen = client.judge(samples, 1.0, OLD)
    assert (seen.back, seen.outage, seen.from_orphans, seen.failures) == (3.5, 2.0, 1, 1)


def test_the_outage_of_what_never_answered_again_before_runs_from_the_knock(client: ModuleType) -> None:
    samples = [client.Sample(1.2, 1.3, client.SILENT, OLD), client.Sample(3.0, 3.5, client.OK, NEW)]
    assert client.judge(samples, 1.0, OLD).outage == 2.5


def test_a_mistake_in_the_small_web_server_s_configuration_is_told_with_file_and_line(tmp_path: Path) -> None:
    configuration = tmp_path / "web.conf"
    configuration.write_text("listen 8080\ncolour red\n")
    program = ROOT / "script/demonstration/web.py"
    finished = shell(sys.executable, "-S", str(program), "--check", str(configuration))
    assert finished.status == 1
    assert finished.output.startswith(f"{configuration}:2: ")
    configuration.write_text("listen 8080\npage hello\n")
    assert shell(sys.executable, "-S", str(program), "--check", str(configuration)).ok


def test_help_needs_no_set_up() -> None:
    finished = shell("/bin/sh", "script/demo", "--help")
    assert finished.ok
    assert finished.output.startswith("usage: script/demo")
