"""What the commands that generated scripts call have in common. Their exit status is always one that is known there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from cluster_glue.cli.acting import _seconds

if TYPE_CHECKING:
    from ocf.conditions import Verdict

#: Seconds of a stop in a hurry: another node waits.
HURRY: Final = 20.0


def limit(default: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The option that bounds a command."""
    return click.option(
        "--timeout", callback=_seconds, default=default, show_default=True, metavar="TIME", help="End within this time."
    )


def tell(name: str, verdict: Verdict) -> None:
    """A verdict for the clusterware's log."""
    echo(f"{name}: {verdict.condition}" + (f": {verdict.reason}" if verdict.reason else ""))


def echo(line: str) -> None:
    """A line for the clusterware's log. That it cannot be written (a full disk) changes nothing of what is done."""
    try:
        click.echo(line)
    except OSError:  # and what is left of the line must not be tried again at the end, which would fail for it
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def complain(line: str) -> None:
    """The same on standard error."""
    try:
        sys.stderr.write(f"koboshi: {line}\n")
        sys.stderr.flush()
    except OSError:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
