"""Actions that are interrupted, delayed or cannot begin: what they started is not forgotten, nothing is given up."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster_glue.recovery import executor as hands
from cluster_glue.recovery.executor import Ended, Executor
from cluster_glue.recovery.model import Action, Phase, Run, StartAsked, StopAsked, Tell
from ocf import programs
from ocf.environment import Call
from ocf.faults import Kind
from resource_agents import entry, families, mandates
from resource_agents.families import Remembered, members
from resource_agents.memory import recall
from resource_agents.patience import Patience
from resource_agents.processes import Identity, alive, look, recently
from resource_agents.server import Server, load
from resource_agents.starting import start
from resource_agents.stopping import stop
from tests.ports import free_port
from tests.unit.test_ocf_service import Ware, forsaken, stage
from tests.waiting import LONG, eventually


def scripted_server(folder: Path) -> Server:
    """One whose start script is still at work: there is no main process yet."""
    values = {"start_command": f"/bin/sh -c 'sleep 86400.{free_port()}; :'", "pidfile": str(folder / "pid")}
    return load("command")(values, "web")


# ---- what was spawned is known to whoever stops it -------------------------------------------------------------------


def test_a_start_script_that_is_called_off_is_remembered_and_ended_by_the_stop(tmp_path: Path) -> None:
    """Also where there are no control groups by which it could be found."""
    server, patience, seen = scripted_server(tmp_path), Patience(LONG), list[Remembered]()

    def launched(kept: Remembered) -> None:
        seen.append(kept)
        patience.cancel()

    started = start(lambda: server, server, None, None, tmp_path / "out", patience, launched=launched)
    assert started.fault is not None
    assert started.fault.kind is Kind.OURS
    assert started.remembered == seen[0]
    family = members(server, started.remembered, None)
    assert started.remembered.main in [process.identity for process in family]
    assert stop(server, started.remembered, None, Patience(LONG), gentle=False)[0] is None
    assert not any(alive(process.identity) for process in family)


def test_what_a_start_breaks_off_with_is_told_and_what_it_spawned_is_kept(tmp_path: Path) -> None:
    server, asked = scripted_server(tmp_path), list[int]()

    def make() -> Server:
        asked.append(1)
        raise ZeroDivisionError("the second look")

    started = start(make, server, None, None, tmp_path / "out", Patience(LONG))
    assert started.fault is not None
    assert started.fault.reason == "start broke off: ZeroDivisionError: the second look"
    assert started.remembered is not None
    stop(server, started.remembered, None, Patience(LONG), gentle=False)
    assert not alive(started.remembered.main)


def test_a_daemon_that_is_killed_in_a_start_leaves_word_of_what_it_spawned(tmp_path: Path) -> None:
    async def talk() -> None:
        async with stage(tmp_path, Ware(), forsaken()) as web:
            web.watch.executor.make = lambda: scripted_server(tmp_path)
            web.watch.server = scripted_server(tmp_path)
            web.engine.turn(web.watch, StartAsked())
            async with asyncio.timeout(LONG):
                while (kept := recall(tmp_path, "web")) is None:
                    await asyncio.sleep(0.01)
            assert web.watch.state.phase is Phase.STARTING
            assert alive(kept.main)
            web.engine.turn(web.watch, StopAsked())
            await web.until(Phase.IDLE)
            assert not alive(kept.main)

    asyncio.run(talk())


# ---- an action that cannot begin -------------------------------------------------------------------------------------


def test_without_a_thread_an_action_is_tried_again_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([RuntimeError("can't start new thread"), OSError(24, "Too many open files")])
    begin, told = Executor.run, list[Tell]()

    def run(self: Executor, *words: Any) -> None:
        for refusal in refusals:
            raise refusal
        begin(self, *words)

    async def talk() -> None:
        async with stage(tmp_path, Ware(), forsaken()) as web:
            web.engine._tell = lambda _, tell: told.append(tell)
            monkeypatch.setattr(Executor, "run", run)
            web.engine.turn(web.watch, StartAsked())
            await web.until(Phase.UP)

    asyncio.run(talk())
    assert [tell.detail for tell in told if tell.message == "postponed"] == [
        "the start could not be begun, and is tried again: can't start new thread"
    ]


def test_a_thread_that_does_not_start_is_not_waited_for_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[Ended] = []
    server = load("command")({"start_command": f"/bin/sleep 86400.{free_port()}"}, "web")
    doer = Executor(lambda: server, None, tmp_path / "out", ends.append)
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("can't start")))
        with pytest.raises(RuntimeError):
            doer.run(Run(Action.STOP, 1, 5.0, False, ""), server, None)
    doer.run(Run(Action.STOP, 2, 5.0, False, ""), server, None)
    eventually(lambda: ends)
    assert (ends[0].number, ends[0].fault) == (2, None)


# ---- a start long after a stop looks what runs -----------------------------------------------------------------------


@pytest.mark.parametrize("later", [True, False])
def test_only_a_start_just_after_a_stop_does_without_a_look(
    later: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[Ended] = []
    values = {"start_command": f"/bin/sleep 86400.{free_port()}"}
    doer = Executor(lambda: load("command")(values, "web"), None, tmp_path / "out", ends.append)
    monkeypatch.setattr(hands, "JUST_NOW", 0.0 if later else LONG)

    def act(action: Action, number: int, remembered: Remembered | None = None) -> Ended:
        doer.run(Run(action, number, LONG, False, ""), load("command")(values, "web"), remembered)
        eventually(lambda: len(ends) == number, what=f"the end of {action}")
        return ends[-1]

    act(Action.STOP, 1)
    by_hand = subprocess.Popen(values["start_command"].split(), start_new_session=True)
    try:
        eventually(lambda: any(process.pid == by_hand.pid for process in recently(0.0)), what="a server that is seen")
        started = act(Action.START, 2)
        assert started.adopted is later
        assert started.remembered is not None
        assert (started.remembered.main.pid == by_hand.pid) is later
        act(Action.STOP, 3, started.remembered)
    finally:
        by_hand.kill()
        by_hand.wait()


# ---- a number that went to somebody else -----------------------------------------------------------------------------


@contextmanager
def leader() -> Iterator[Identity]:
    """The leader of a session of its own."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as program:
        found = look(program.pid)
        assert found is not None
        try:
            yield found.identity
        finally:
            program.kill()


def test_a_session_whose_number_went_to_somebody_else_is_nobodys(tmp_path: Path) -> None:
    server = scripted_server(tmp_path)
    with leader() as stranger:
        before = Identity(stranger.pid, stranger.start - 1)
        assert members(server, Remembered(before, before.pid), None) == []
        mine = members(server, Remembered(stranger, stranger.pid), None)
        assert [process.identity for process in mine] == [stranger]
    assert families._led_by_another(Remembered(before, before.pid), {}) is False, "a dead leader is safe to go by"


# ---- programs and files ----------------------------------------------------------------------------------------------


def test_a_program_that_does_not_die_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    spared: list[int] = []
    with monkeypatch.context() as unkillable:
        unkillable.setattr(programs.os, "killpg", lambda pid, _: spared.append(pid))
        began = time.monotonic()
        finished = programs.run(["/bin/sleep", "86400"], 0.05)
    assert finished.status is None
    assert time.monotonic() - began < LONG
    os.killpg(spared[0], signal.SIGKILL)
    os.waitpid(spared[0], 0)


@pytest.mark.parametrize("present", [True, False])
def test_a_start_is_good_although_it_cannot_be_handed_to_the_daemon(
    present: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full /run is no fault of the server's."""

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mandates, "give", full)
    if present:
        monkeypatch.setattr(entry._Act, "_absent", lambda _: None)
    values = {"start_command": f"/bin/sleep 86400.{free_port()}"}

    def act(action: str) -> str:
        call = Call(action, "web", values, 20.0, 0.0, 0)
        return entry.perform("command", call, {"KOBOSHI_RUNTIME_DIR": str(tmp_path)}).condition

    assert act("start") == "done"
    assert act("stop") == "done"


def test_a_mandate_that_could_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        mandates.give(tmp_path, "web", {"agent": "command"})
    assert [path.name for path in mandates.folder(tmp_path).iterdir()] == []
