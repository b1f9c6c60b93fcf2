"""What a scenario claims is true only when somebody could be asked, and said so."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from tests.waiting import eventually
from vagrant.lab import claims
from vagrant.lab.answers import Answer, Client
from vagrant.lab.claims import View, read
from vagrant.lab.machines import Done, Lab, LabError
from vagrant.lab.scenario import Untrue, parse, play
from vagrant.machines.lxc import Containers

PACEMAKER = """\
Nov 22 10:00:00.500 node2 pacemaker-fenced    [7] (finalize_op) notice: Operation 'reboot' targeting node1 by node2: OK
Nov 22 10:00:0{start}.000 node2 pacemaker-controld  [9] (log_executor_event) notice: Result of start operation for \
web on node2: ok | graph action confirmed; call=20 key=web_start_0 rc=0
"""


class Room(Containers):
    """A lab whose nodes say what they were told to; ``silent``: those that do not answer."""

    logs: dict[str, str]
    silent = frozenset[str]()
    python = sys.executable

    @property
    def nodes(self) -> list[str]:
        return ["node1", "node2"]

    def read(self, node: str, path: str) -> str:
        return self.logs.get(node, "")

    def run(self, node: str, command: str | Sequence[str], timeout: float = 60.0) -> Done:
        if node in self.silent:
            raise LabError(f"{node} is off")
        return subprocess.run(command, capture_output=True, text=True, check=False)


class Seen:
    """A client that saw what it is told."""

    def __init__(self, *who: str) -> None:
        self.who = who

    def answers(self, _service: str, _since: float) -> list[Answer]:
        return [Answer(float(at), at + 0.1, "web", who != "", who) for at, who in enumerate(self.who)]


def view(folder: Path, start: int = 3, who: Sequence[str] = ()) -> View:
    room = Room(folder)
    room.logs = {"node2": PACEMAKER.format(start=start)}
    made = View(cast(Lab, room), cast(Client, Seen(*who)))
    made.since = 0.0
    return made


@pytest.mark.parametrize(("start", "right"), [(3, True), (0, False)])
def test_fencing_before_a_start_is_the_order_that_pacemaker_logged(tmp_path: Path, start: int, right: bool) -> None:
    said = read("Pacemaker fenced node1 before web ran on node2")(view(tmp_path, start))
    assert (said == "") is right, said
    assert read("Pacemaker fenced node1 1 times")(view(tmp_path, start)) == ""
    assert "0 starts" in read("Pacemaker fenced node1 before shop ran on node2")(view(tmp_path, start))


@pytest.mark.parametrize(
    ("who", "at_most", "exactly"),
    [
        (["node1", "", "node2"], True, True),
        (["node1", "", "node1"], True, False),
        (["node1", "node2", "node1"], False, False),
        (["", ""], False, False),
    ],
)
def test_moves_are_counted_and_silence_is_none(tmp_path: Path, who: list[str], at_most: bool, exactly: bool) -> None:
    assert (read("web moved at most 1 times")(view(tmp_path, who=who)) == "") is at_most
    assert (read("web moved 1 times")(view(tmp_path, who=who)) == "") is exactly


def test_a_cluster_that_cannot_be_asked_proves_nothing(tmp_path: Path) -> None:
    seen = view(tmp_path)
    cast(Room, seen.lab).silent = frozenset({"node1", "node2"})
    for words in ("node1 is offline", "node1 is online", "koboshi said fell never on node1"):
        assert read(words)(seen) != "", words


def test_a_journal_that_cannot_be_read_is_not_taken_for_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, path = claims._JOURNAL, tmp_path / "journal.sqlite"
    monkeypatch.setattr(claims, "_JOURNAL", program.replace('"/var/lib/koboshi/journal.sqlite"', json.dumps(str(path))))
    never = read("koboshi said fell never on node1")
    assert never(view(tmp_path)) == ""
    path.write_text("no database")
    assert "koboshi's journal on node1 could not be read" in never(view(tmp_path))


def test_what_the_lab_itself_fails_at_is_told_as_the_scenarios_failure(tmp_path: Path) -> None:
    path = tmp_path / "1-switched.txt"
    path.write_text("# A switch.\nswitch off node9\n")
    seen = view(tmp_path, who=["node1"] * 9)
    with pytest.raises(Untrue, match=r"1-switched.txt:2: switch off node9\n    .*there is no lab"):
        play(parse(path), seen)


def test_two_that_look_at_the_client_at_once_see_each_answer_once(tmp_path: Path) -> None:
    """Who plays a drill, and who tells it."""
    client = Client.__new__(Client)
    client._log, client._read, client._answers, client._turn = tmp_path / "log", 0, [], threading.Lock()
    client._log.touch()
    most, over = 400, threading.Event()
    shrunk: list[int] = []

    def look() -> None:
        seen = 0
        while not over.is_set():
            now = len(client.answers())
            if now < seen:
                shrunk.append(now)
            seen = now

    lookers = [threading.Thread(target=look, daemon=True) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        with client._log.open("a", buffering=1) as log:
            for number in range(most):
                log.write(f"{number}.0 0.1 web good node1\n")
                if number % 20 == 0:
                    over.wait(0.002)
        eventually(lambda: len(client.answers()) >= most, what="all answers")
    finally:
        over.set()
        for looker in lookers:
            looker.join()
    assert len(client.answers()) == most
    assert not shrunk
