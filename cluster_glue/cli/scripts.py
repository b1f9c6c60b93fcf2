"""What the commands that generated scripts call have in common. Their exit status is always one that is known there."""

from __future__ import annotations

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
    click.echo(f"{name}: {verdict.condition}" + (f": {verdict.reason}" if verdict.reason else ""))
