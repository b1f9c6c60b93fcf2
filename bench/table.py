"""The table of a run, as reStructuredText: ``python -m bench.table RESULTS.json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.figures import SHARES, Line, figures

HEAD = ("what", "who", "unit", "n", *SHARES, "bound", "held", "ratio", "load")


def record(line: Line) -> dict[str, Any]:
    """A line as the results file has it: the samples, and what is counted from them."""
    return {
        **{name: getattr(line, name) for name in Line.__dataclass_fields__},
        "n": len(line.samples),
        "figures": figures(line.samples),
        "held": line.held,
    }


def revive(found: dict[str, Any]) -> Line:
    """A line of a results file. Raises ``KeyError`` for a record that is none of ours."""
    return Line(**{name: found[name] for name in Line.__dataclass_fields__})


def rst(lines: Iterable[Line]) -> str:
    """One table with a heading row for each row of the benchmark."""
    cells: list[Sequence[str]] = [HEAD]
    cells += [_cells(line) for line in lines]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    ruler = "  ".join("=" * width for width in widths)
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([ruler, text[0], ruler, *text[1:], ruler]) + "\n"


def number(value: float) -> str:
    """Three digits that mean something, and no exponent."""
    if value < 0:
        return f"-{number(-value)}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}" if value >= 0.001 or not value else f"{value:.5f}"


def _cells(line: Line) -> list[str]:
    found = figures(line.samples)
    held = {None: "", True: "yes", False: "NO"}[line.held]
    ratio = "" if line.ratio is None else f"{line.ratio:.2f} of {line.ratio_to}"
    return [
        f"{line.row}: {line.subject}",
        line.who,
        line.unit,
        str(len(line.samples)),
        *(number(found[name]) if found else "" for name in SHARES),
        line.bound if found else "see below",
        held,
        ratio,
        f"{line.load:.1f}",
    ]


def about(run: dict[str, Any]) -> str:
    """On what machine, and when, in a few lines."""
    machine = run["machine"]
    programs = ", ".join(f"{name} {version}" for name, version in machine["programs"].items())
    return (
        f"{run['began']}, koboshi {run['koboshi']}, {machine['cpus']} CPUs ({machine['model']}),"
        f" {machine['memory']}, Linux {machine['kernel']}, Python {machine['python']}.\n"
        f"{programs}.\n"
        f"Load average {run['load']['before']:.1f} before and {run['load']['after']:.1f} after."
        f"{' A quick run: few samples.' if run['quick'] else ''}\n"
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table of a results file; 2 when there is none to print."""
    if len(arguments) != 1:
        print("usage: python -m bench.table RESULTS.json", file=sys.stderr)
        return 2
    try:
        run = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        lines = [revive(found) for found in run["lines"]]
        print(f"{about(run)}\n{rst(lines)}{notes(lines)}", end="")
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{arguments[0]} is no results file: {error!r}", file=sys.stderr)
        return 2
    return 0


def notes(lines: Iterable[Line]) -> str:
    """What has to be said about single lines."""
    found = [f"* {line.row}: {line.subject}, {line.who}: {line.note}" for line in lines if line.note]
    return "\n" + "\n".join(found) + "\n" if found else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
