"""``koboshi doctor``, and the bundle of ``koboshi why``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cluster_glue import places
from cluster_glue.cli import daemon, words
from cluster_glue.cli.failure import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from cluster_glue.diagnosis.capabilities import Capability

BUNDLE = click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write story and evidence into a tar for support, without secrets.",
)


def evidence_of(incident: str) -> Path:
    """Where the evidence of an incident is kept; it may not be there."""
    return places.state_dir() / "evidence" / incident


def write_bundle(path: Path, incident: dict[str, Any], story: str) -> None:
    """Write the bundle of an incident, and say so."""
    from cluster_glue.diagnosis import bundle

    try:
        count = bundle.write(path, incident, story, evidence_of(str(incident["id"])))
    except FileExistsError:
        raise Failure(USAGE, f"{path} exists already", "name a new file") from None
    except OSError as error:
        raise Failure(FAILED, f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"{path}: {count} files; passwords, Authorization and Cookie headers were removed, names were not")


@click.command()
@click.option("--capabilities", is_flag=True, help="What koboshi can see here, and what it costs to be without.")
@daemon.JSON
def doctor(capabilities: bool, as_json: bool) -> None:  # noqa: ARG001
    """Look at this machine with koboshi's eyes.

    It tries each facility of the kernel that koboshi uses, and leaves nothing behind. Run it as koboshi's own user.
    """
    from cluster_glue.diagnosis.capabilities import look

    found = look()
    if as_json:
        words.show_json([{**dataclasses.asdict(one), "available": not one.problem} for one in found])
        return
    head = ["FACILITY", "HERE", "WHAT IT GIVES, OR WHAT IT COSTS TO BE WITHOUT"]
    click.echo(words.table([head, *([one.name, *_told(one)] for one in found)]))


def _told(one: Capability) -> list[str]:
    return ["no", f"{one.cost} ({one.problem})"] if one.problem else ["yes", one.gives]


COMMANDS: Final = (doctor,)
