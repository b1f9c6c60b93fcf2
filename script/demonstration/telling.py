"""What the audience sees: a timeline while it happens, a table at the end. Colours only on a terminal."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time

import click

from cluster_glue.cli import words
from cluster_glue.messages import sanitise

COLOURS = {"did": "yellow", "koboshi": "cyan", "client": "magenta"}

#: Columns that a cell of the table may have before it is broken into lines.
WIDEST = 44


class Teller:
    """One voice for all threads. Times in the timeline are seconds since the latest knock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._zero = time.time()

    def plain(self, text: str = "") -> None:
        """A line as it is."""
        with self._lock:
            try:
                sys.stdout.write(f"{text}\n")
                sys.stdout.flush()
            except BrokenPipeError:
                _mute()

    def title(self, text: str) -> None:
        """The next scene."""
        self.plain(f"\n{words.paint(text, 'white', bold=True)}")

    def knock(self, text: str) -> float:
        """Say what is done now; the moment, from which times are counted (seconds since 1970)."""
        self._zero = time.time()
        self.say("did", text)
        return self._zero

    def say(self, who: str, text: str) -> None:
        """One line of the timeline."""
        after = time.time() - self._zero
        self.plain(f"  {after:+9.3f} s  {words.paint(who.ljust(8), COLOURS[who])}{sanitise(text, 400)}")

    def verdict(self, problems: list[str]) -> None:
        """How the scene ended."""
        if not problems:
            self.plain(f"  {words.paint('as documented', 'green')}")
        for problem in problems:
            self.plain(f"  {words.paint('NOT as documented', 'red')}: {sanitise(problem)}")


def table(rows: list[list[str]]) -> str:
    """Rows under a head; long cells go on in the next line."""
    widths = [min(WIDEST, max(len(row[at]) for row in rows)) for at in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [textwrap.wrap(cell, WIDEST) or [""] for cell in row]
        for at in range(max(map(len, cells))):
            parts = [cell[at] if at < len(cell) else "" for cell in cells]
            line = "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
            lines.append(click.style(line, bold=True) if number == 0 and words.colourful() else line)
    return "\n".join(lines)


def _mute() -> None:
    """Our audience went away: what is said from now on is lost, and the play goes on to its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
