"""The picture in the terminal: as wide as that is, in the letters and colours it has, and no bad request unseen."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import SAMPLES, records, thorough
from vagrant.lab.answers import Answer
from vagrant.lab.lanes import marks
from vagrant.lab.letters import Look, cells, wrap
from vagrant.lab.picture import draw
from vagrant.lab.record import Record, load_all

ROOT = Path(__file__).resolve().parents[2]
ONCE, KILLED, SLOW = load_all(SAMPLES)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def lane(record: Record, name: str, shown: Look) -> str:
    """What is drawn beside a name."""
    return next(line for line in draw(record, shown).splitlines() if line.startswith(f"{name} "))[len(name) :].strip()


@thorough
@given(records(), st.integers(24, 200), st.booleans(), st.booleans())
def test_no_line_is_wider_than_the_terminal_and_nothing_in_it_commands_one(
    found: Record, width: int, unicode: bool, colour: bool
) -> None:
    drawn = draw(found, Look(width, unicode, colour))
    bare = _COLOUR.sub("", drawn) if colour else drawn
    assert all(cells(line) <= width for line in bare.splitlines())
    assert all(char == "\n" or char.isprintable() for char in bare)
    assert unicode or bare.isascii()


@thorough
@given(records(), st.integers(24, 200))
def test_with_or_without_colour_it_is_the_same_picture(found: Record, width: int) -> None:
    def squeezed(colour: bool) -> list[str]:
        drawn = _COLOUR.sub("", draw(found, Look(width, colour=colour)))
        return [line.rstrip() for line in drawn.splitlines()]

    assert squeezed(True) == squeezed(False)


def test_each_node_has_a_mark_of_its_own_and_bad_is_none_of_them() -> None:
    assert re.fullmatch(r"━+╳+═+", lane(KILLED, "web", Look(100)))
    assert re.fullmatch(r"1+X+2+", lane(KILLED, "web", Look(100, unicode=False)))
    assert re.fullmatch(r"1+", lane(SLOW, "shop", Look(100, unicode=False)))
    assert "1 node1, 2 node2, X a bad request" in draw(KILLED, Look(100, unicode=False))


def test_a_node_keeps_its_mark_also_where_the_first_never_answered() -> None:
    answers = tuple(Answer(float(at), at + 0.1, "web", True, "node2") for at in range(5))
    assert set(lane(Record("n", "t", "p", 2, 0.0, "", ("web",), answers, ()), "web", Look(80, unicode=False))) == {"2"}


@pytest.mark.parametrize("width", [24, 59, 60, 300])
def test_a_single_bad_request_among_thousands_is_seen(width: int) -> None:
    answers = tuple(
        Answer(at / 50, at / 50 + 0.01, "web", at != 2222, "node1" if at != 2222 else "cut-off") for at in range(3000)
    )
    for unicode, bad in ((True, "╳"), (False, "X")):
        drawn = draw(Record("n", "t", "p", 2, 0.0, "", ("web",), answers, ()), Look(width, unicode))
        assert sum(bad in line and "bad" not in line for line in drawn.splitlines()) == 1
        assert "0.02 s" in drawn


def test_while_nobody_asked_nothing_is_claimed() -> None:
    answers = (
        *(Answer(at, at, "web", True, "node1") for at in (0.0, 1.0)),
        Answer(9.0, 10.0, "web", False, "no answer"),
    )
    drawn = lane(Record("n", "t", "p", 1, 0.0, "", ("web",), answers, ()), "web", Look(100, unicode=False))
    assert re.fullmatch(r"1+ +X", drawn)


def test_it_says_what_happened_when_and_who_did_it() -> None:
    drawn = draw(KILLED, Look(100))
    for mark in marks(KILLED):
        assert re.search(
            rf"^ *{mark.number} +{mark.at:.2f} s  {mark.event.who} +{re.escape(mark.event.words)}$", drawn, re.MULTILINE
        )
    assert drawn.startswith("passed  node_killed (namespaces, 2 nodes; 2026-")
    assert "└" in drawn
    assert "answered by node1 → node2" in drawn
    assert "did nothing: Pacemaker node1" in drawn


def test_a_failure_is_told_with_its_reason_on_top() -> None:
    drawn = draw(SLOW, Look(100)).splitlines()
    assert drawn[0].startswith("FAILED  too_slow")
    assert drawn[3].strip() == "90-too_slow.txt:7: expect web was bad for at most 0.5s"
    assert drawn[4].strip().startswith("the client missed it for")


@thorough
@given(st.text(alphabet="ab 語e\u0301", max_size=60), st.integers(8, 40))
def test_wrapping_loses_no_letter(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cells(line) <= width for line in lines)


# ---- a real process, with and without a terminal ---------------------------------------------------------------------


def said(tmp_path: Path, terminal: bool, **environment: str) -> str:
    """What the report prints in such an environment."""
    words = (
        "import sys; from pathlib import Path; from vagrant.lab.report import report; report(*map(Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", words, str(SAMPLES), str(tmp_path / "report.html")]
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "NO_COLOR", "COLUMNS"))
    }
    given = {**kept, "TERM": "xterm", **environment}
    if not terminal:
        done = subprocess.run(command, cwd=ROOT, env=given, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return done.stdout.decode()
    reader, writer = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, env=given, stdin=writer, stdout=writer, stderr=writer) as process:
        os.close(writer)
        parts = []
        while True:
            try:
                parts.append(os.read(reader, 65536))
            except OSError:  # the other end is closed
                break
    os.close(reader)
    assert process.returncode == 0
    return b"".join(parts).decode()


def test_colours_come_on_a_terminal_only_and_not_where_no_color_is_set(tmp_path: Path) -> None:
    assert "\x1b[" in said(tmp_path, terminal=True, LANG="C.UTF-8")
    assert "\x1b" not in said(tmp_path, terminal=True, LANG="C.UTF-8", NO_COLOR="1")
    assert "\x1b" not in said(tmp_path, terminal=True, LANG="C.UTF-8", TERM="dumb")
    assert "\x1b" not in said(tmp_path, terminal=False, LANG="C.UTF-8")


def test_letters_are_those_that_the_locale_has(tmp_path: Path) -> None:
    assert "╳" in said(tmp_path, terminal=False, LANG="C.UTF-8")
    for locale in ({"LC_ALL": "C"}, {"LC_ALL": "POSIX", "LANG": "C.UTF-8"}):
        assert said(tmp_path, terminal=False, **locale).isascii()


def test_it_is_as_wide_as_the_terminal(tmp_path: Path) -> None:
    for columns in (40, 133):
        lines = said(tmp_path, terminal=False, LC_ALL="C", COLUMNS=str(columns)).splitlines()[:-1]
        assert max(map(len, lines)) == columns
