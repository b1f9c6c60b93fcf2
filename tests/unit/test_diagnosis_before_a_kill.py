"""What hangs is looked at before it is killed, and a kill waits for that no longer than it may."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_glue.diagnosis.case import Case
from cluster_glue.diagnosis.evidence import DIED, STALLED, Item
from cluster_glue.diagnosis.investigation import Investigation
from cluster_glue.diagnosis.kernel import KernelLog
from cluster_glue.recovery.executor import Ended, Executor
from cluster_glue.recovery.model import Action, Run
from ocf.faults import Fault, Kind
from resource_agents.processes import Identity, look
from resource_agents.server import Server, load
from tests.waiting import eventually

FAULT = Fault("acceptor-stalled", Kind.RESOURCE, "the acceptor hangs")


def server() -> Server:
    return load("command")({"start_command": "/bin/sleep 1"}, "web")


@pytest.fixture
def hung() -> Iterator[Identity]:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        seen = look(process.pid)
        assert seen is not None
        yield seen.identity
        process.kill()


def investigation(folder: Path, main: Identity, moment: str, **known: Item) -> Investigation:
    case = Case("web", server(), folder / "out", main, stalled=dict(known))
    return Investigation(case, 1, moment, FAULT, (), "", KernelLog(), lambda: False, server)


def test_what_the_kill_would_take_away_is_seen(tmp_path: Path, hung: Identity) -> None:
    made = investigation(tmp_path, hung, STALLED)
    made.look()
    assert made.looked.is_set()
    assert any(line.startswith(f"pid {hung.pid} sleep state S") for line in made.case.stalled["processes"].lines)
    if os.geteuid() == 0:
        assert made.case.stalled["stacks"].lines
    assert "status-page" not in made.case.stalled


def test_what_failed_probes_have_shown_is_not_looked_at_again(tmp_path: Path, hung: Identity) -> None:
    made = investigation(tmp_path, hung, STALLED, probe=Item(("mute: nothing came",)))
    made.look()
    assert made.looked.is_set()
    assert made.case.stalled.keys() == {"probe"}


def test_the_dead_are_not_looked_at(tmp_path: Path, hung: Identity) -> None:
    made = investigation(tmp_path, hung, DIED)
    made.look()
    assert made.looked.is_set()
    assert made.case.stalled == {}


@pytest.mark.parametrize(("gentle", "asked"), [(False, 1), (True, 0)])
def test_only_a_stop_that_repairs_waits_for_a_look(tmp_path: Path, gentle: bool, asked: int) -> None:
    ended: list[Ended] = []
    looks: list[str] = []
    executor = Executor(server, None, tmp_path / "out", ended.append)
    executor.witness = lambda: looks.append(threading.current_thread().name)
    executor.run(Run(Action.STOP, 1, 5.0, gentle), server(), None)
    eventually(lambda: ended, what="the end of the stop")
    assert looks == ["stop"] * asked


def test_a_witness_that_breaks_keeps_no_server_from_being_stopped(tmp_path: Path) -> None:
    ended: list[Ended] = []

    def broken() -> None:
        raise RuntimeError("no")

    executor = Executor(server, None, tmp_path / "out", ended.append)
    executor.witness = broken
    executor.run(Run(Action.STOP, 1, 5.0), server(), None)
    eventually(lambda: ended, what="the end of the stop")
    assert ended[0].fault is None
