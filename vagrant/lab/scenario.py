"""The language of ``tests/scenarios/cluster/*.txt``: one rehearsal per file, one thing per line, no code.

::

    # What the scenario shows, in a sentence.
    run     node1: kill -9 $(cat /srv/lab/apache/httpd.pid)
    within  10s  web answers from node1
    expect  web moved 0 times

``run``     a shell command in a node; it must end with 0 (``try``: however it ends; ``begin``: it is not waited for)
``switch``  a word to the power switch (:meth:`vagrant.lab.machines.Lab.ask`): ``off node1``, ``cut node1 both``
``needs``   what the machines must have for it (:data:`vagrant.lab.machines.ABILITIES`); elsewhere it is not played
``mark``    claims about the past count from here (the first mark is the beginning)
``within``  a claim becomes true within that time (stretched where the machines are emulated)
``keep``    a claim is true all that time long
``expect``  a claim is true now

What can be claimed is in :mod:`vagrant.lab.claims`. Each scenario begins with both services at home on node1.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vagrant.lab.claims import Claim, View, read
from vagrant.lab.machines import ABILITIES, CHECKOUT, Lab, LabError, rest

FOLDER = CHECKOUT / "tests" / "scenarios" / "cluster"
_TIMED, _COMMANDS = ("within", "keep"), ("run", "try", "begin")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


class ScenarioError(Exception):
    """The file cannot be understood; the message names file, line and remedy."""


class Untrue(AssertionError):
    """A claim is not true; the message says which, where, and what is so instead."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to do or to claim. ``seconds`` for the timed words, ``node`` for commands."""

    number: int
    verb: str
    words: str
    seconds: float = 0.0
    node: str = ""
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. ``name`` is the file's, without the number that orders it."""

    name: str
    path: Path
    title: str
    lines: tuple[Line, ...]
    needs: frozenset[str] = frozenset()

    def suits(self, lab: Lab) -> bool:
        """Whether the machines of ``lab`` have what it needs."""
        return self.needs <= lab.abilities


def every(folder: Path = FOLDER) -> list[Scenario]:
    """All scenarios in the order of their files. Raises :class:`ScenarioError`."""
    return [parse(path) for path in sorted(folder.glob("*.txt"))]


def parse(path: Path) -> Scenario:
    """Read one file. Raises :class:`ScenarioError`."""
    title, lines, needs = "", [], set[str]()
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if text.startswith("#"):
            title = title or text.strip("# ")
        elif text.strip():
            try:
                if text.startswith("needs "):
                    needs |= _needs(text.split()[1:])
                else:
                    lines.append(_line(number, text.strip()))
            except ValueError as error:
                raise ScenarioError(f"{path}:{number}: {error}") from None
    if not title or not lines:
        raise ScenarioError(f"{path}: needs a comment that says what it shows, and something to do")
    return Scenario(re.sub(r"^\d+-", "", path.stem), path, title, tuple(lines), frozenset(needs))


def _needs(words: list[str]) -> set[str]:
    unknown = sorted(set(words) - ABILITIES)
    if unknown or not words:
        raise ValueError(f"needs takes {', '.join(sorted(ABILITIES))}, and this is {' '.join(unknown) or 'nothing'}")
    return set(words)


def _line(number: int, text: str) -> Line:
    verb, _, words = text.partition(" ")
    words = words.strip()
    if verb in _COMMANDS:
        node, colon, command = words.partition(":")
        if not colon or not re.fullmatch(r"node\d+", node):
            raise ValueError(f"{verb} needs NODE: COMMAND, and this is {words!r}")
        return Line(number, verb, command.strip(), node=node)
    if verb in ("switch", "mark"):
        return Line(number, verb, words)
    if verb == "expect":
        return Line(number, verb, words, claim=read(words))
    if verb in _TIMED:
        time_given, _, words = words.partition(" ")
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", time_given)
        if match is None:
            raise ValueError(f"{verb} needs a time such as 500ms or 10s, and this is {time_given!r}")
        words = words.strip()
        return Line(number, verb, words, float(match[1]) * UNITS[match[2]], claim=read(words))
    raise ValueError(
        f"there is no word {verb!r}; the words are needs, run, try, begin, switch, mark, within, keep, expect"
    )


def play(scenario: Scenario, view: View, told: Callable[[Line], None] = lambda _: None) -> None:
    """Do and check it all. Raises :class:`Untrue` at the first claim that fails, or when the lab itself does."""
    where = scenario.path.name
    try:
        view.ready()
        for line in scenario.lines:
            told(line)
            where = f"{scenario.path.name}:{line.number}: {line.verb} {line.words}"
            for problem in _problems(line, view):
                raise Untrue(f"{where}\n    {problem}")
    except LabError as error:  # it belongs into the report as well
        raise Untrue(f"{where}\n    {error}") from None


def _problems(line: Line, view: View) -> Iterator[str]:
    if line.verb in _COMMANDS:
        yield from _command(line, view)
    elif line.verb == "switch":
        answer = view.lab.ask(line.words)
        if answer not in ("ok", "on", "off"):
            yield answer
    elif line.verb == "mark":
        view.mark()
    elif line.claim is not None:
        seconds = line.seconds * (view.lab.pace if line.verb == "within" else 1.0)
        began = time.monotonic()
        end, problem = began + seconds, line.claim(view)
        while (time.monotonic() < end) and (bool(problem) == (line.verb == "within")):
            rest(began, 0.05)
            began, problem = time.monotonic(), line.claim(view)
        if problem:
            yield problem + (f" (within {seconds:g} s)" if line.verb == "within" else "")


def _command(line: Line, view: View) -> Iterator[str]:
    if line.verb == "begin":
        view.begin(line.node, line.words)
        return
    done = view.lab.run(line.node, line.words, 60)
    if done.returncode and line.verb == "run":
        yield f"it ended with {done.returncode}: {done.stdout.strip()}"
