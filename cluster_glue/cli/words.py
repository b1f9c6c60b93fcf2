"""Numbers, times and tables for people; colours only on a terminal, and not where NO_COLOR says so."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import click

from cluster_glue.messages import sanitise

#: Phases by how they look: nothing to do, something goes on, something is wrong.
COLOURS = {"up": "green", "idle": "white", "failed": "red", "misconfigured": "red", "observing": "red"}


def colourful() -> bool:
    """Whether stdout takes colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str, *, bold: bool = False) -> str:
    """``text`` in a colour, where colours are taken."""
    return click.style(text, fg=colour, bold=bold) if colourful() else text


def phase(name: str, width: int = 0) -> str:
    """A phase in its colour, filled up to ``width``."""
    return paint(name.ljust(width), COLOURS.get(name, "yellow"))


def span(seconds: float | None) -> str:
    """A length of time: ``0.042 s``, ``12.3 s``, ``3 min 4 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{max(0.0, seconds):.3f} s"
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for large, small, size, part in (("min", "s", 60, 1), ("h", "min", 3600, 60), ("d", "h", 86400, 3600)):
        if whole < size * (60 if size < 3600 else 24) or large == "d":
            return f"{whole // size} {large} {whole % size // part} {small}"
    raise AssertionError(seconds)


def moment(at: float) -> str:
    """A wall time in local time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "?"


def times(count: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def table(rows: list[list[str]], colour_column: int | None = None) -> str:
    """Rows under a head, in columns; the last column is not filled up."""
    rows = [[sanitise(cell, 300) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        if number and colour_column is not None:
            cells[colour_column] = paint(cells[colour_column], COLOURS.get(row[colour_column].split()[0], "yellow"))
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    lines[0] = paint(lines[0], "white", bold=True)
    return "\n".join(lines)


def show_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))
