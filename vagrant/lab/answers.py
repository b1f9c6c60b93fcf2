"""What the client saw: each request, good or bad, and from which node."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vagrant.lab.machines import Lab, environment

#: The lab's services: name to address.
SERVICES = {"web": "10.77.0.100", "shop": "10.77.0.101"}
HERE = Path(__file__).resolve().parent
#: Seconds after which a person gives up on a request: one, or more where the machines are slow by nature, up to this.
MOST_PATIENT = 3.0
#: Answers in a row that make sure of something.
ROW = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """One request. ``asked`` and ``at`` (when it ended) are seconds of the epoch; ``who`` is the node, or why not."""

    asked: float
    at: float
    service: str
    good: bool
    who: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Answers of one kind in a row: the first asked at ``begin``, the last ended at ``end``."""

    good: bool
    who: str
    begin: float
    end: float
    count: int


class Client:
    """The client in the machine room, from now until :meth:`end`."""

    def __init__(self, lab: Lab, log: Path) -> None:
        self._log = log
        words = [f"{name}={address}" for name, address in SERVICES.items()]
        rhythm = [f"{lab.every:g}", f"{min(lab.pace, MOST_PATIENT):g}"]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [*lab.entry(), sys.executable, "-I", str(HERE / "client.py"), *rhythm, *words],
                stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, env=environment(), cwd="/",
            )  # fmt: skip
        self._read = 0
        self._answers: list[Answer] = []
        self._turn = threading.Lock()  # who tells a drill looks at it beside who plays it

    def end(self) -> None:
        """Ask no more."""
        assert self._process.stdin is not None
        self._process.stdin.close()  # a signal would end nsenter(1) alone, and the client would go on asking
        self._process.wait(30)

    def answers(self, service: str = "", since: float = 0.0) -> list[Answer]:
        """All that were asked ``since``, in the order of asking."""
        with self._turn:
            self._catch_up()
            return [each for each in self._answers if each.asked >= since and service in ("", each.service)]

    def _catch_up(self) -> None:
        with self._log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            words = line.split(" ", 4)
            if len(words) != 5 or words[3] not in ("good", "bad"):
                raise RuntimeError(f"the client broke off: {line}")
            asked, took = float(words[0]), float(words[1])
            self._answers.append(Answer(asked, asked + took, words[2], words[3] == "good", words[4]))
        self._answers.sort(key=lambda each: each.asked)


def stretches(answers: Iterable[Answer]) -> list[Stretch]:
    """The answers of one service put together."""
    found: list[Stretch] = []
    for each in answers:
        who = each.who if each.good else ""
        last = found[-1] if found else None
        if last is not None and (last.good, last.who) == (each.good, who):
            found[-1] = Stretch(last.good, who, last.begin, max(last.end, each.at), last.count + 1)
        else:
            found.append(Stretch(each.good, who, each.asked, each.at, 1))
    return found


def outage(answers: list[Answer]) -> float:
    """Seconds in which requests that were asked went wrong, put together."""
    total, bad_since = 0.0, None
    for each in answers:
        if not each.good and bad_since is None:
            bad_since = each.asked
        elif each.good and bad_since is not None:
            total, bad_since = total + each.asked - bad_since, None
    return total + (answers[-1].asked - bad_since if bad_since is not None else 0.0)


def moves(answers: list[Answer]) -> list[str]:
    """The nodes that answered, one after another."""
    nodes: list[str] = []
    for each in answers:
        if each.good and (not nodes or nodes[-1] != each.who):
            nodes.append(each.who)
    return nodes
