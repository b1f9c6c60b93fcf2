"""``koboshi incidents`` and ``koboshi why``: read from the journal, so they work while koboshi is down."""

from __future__ import annotations

import dataclasses
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cluster_glue import places
from cluster_glue.cli import daemon, diagnosis, words
from cluster_glue.cli.failure import DENIED, FAILED, UNKNOWN, Failure
from cluster_glue.messages import CATALOGUE, sanitise

if TYPE_CHECKING:
    from cluster_glue.journal_reader import Incident, Line, Reader

#: How each ending is told, at the end of the sentence.
TOLD: Final = {
    "": "it is not over",
    "recovered": "it recovered",
    "stopped": "it was then stopped as asked",
    "exhausted": "koboshi gave up",
    "hopeless": "koboshi gave up, as a restart here could not help",
    "stop-failed": "koboshi gave up, as the rest of it could not be ended",
    "released": "koboshi was then told to watch it no longer",
    "interrupted": "koboshi lost sight of it",
}


@click.command()
@daemon.argument(required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many.")
@daemon.JSON
def incidents(resource: str | None, limit: int, as_json: bool) -> None:
    """List what fell, the latest first."""
    with _journal() as journal:
        found = journal.incidents(resource, limit)
    if as_json:
        words.show_json([_as_json(incident) for incident in found])
    elif found:
        click.echo(words.table([["INCIDENT", "FELL", "OUTAGE", "ENDED", "CAUSE", "WHY"], *map(_row, found)]))
    else:
        click.echo(f"no incident {f'of {resource} ' if resource else ''}is on record")


@click.command()
@click.argument("incident", required=False, shell_complete=daemon.complete_resource)
@diagnosis.BUNDLE
@daemon.JSON
def why(incident: str | None, bundle: Path | None, as_json: bool) -> None:
    """Tell the story of an incident.

    What fell, why, what was done, and how long it was out; then the timeline.
    INCIDENT is an id such as web1-7, or a resource's name for its latest; without it, the latest of all.
    """
    with _journal() as journal:
        name = _named(journal, incident)
        if name is None:
            words.show_json(None) if as_json else click.echo("nothing has fallen: no incident is on record")
            return
        found = journal.incident(name)
    if found is None:
        raise Failure(UNKNOWN, f"there is no incident {incident!r}", "`koboshi incidents` lists them")
    told = {**_as_json(found[0]), "timeline": [dataclasses.asdict(line) for line in found[1]]}
    if bundle is not None:
        diagnosis.write_bundle(bundle, told, story(*found))
    elif as_json:
        words.show_json(told)
    else:
        click.echo(story(*found))


def story(incident: Incident, timeline: list[Line]) -> str:
    """The answer in one sentence, then the proof, then the timeline."""
    lines = [sentence(incident, timeline), ""]
    for label, text in (("proof", incident.proof), ("advice", incident.advice)):
        if text:
            lines.append(f"{label + ':':9}{sanitise(text)}")
    evidence = diagnosis.evidence_of(incident.id)
    if evidence.is_dir():
        lines.append(f"{'evidence:':9} {evidence}")
    if len(lines) > 2:
        lines.append("")
    for line in timeline:
        message = CATALOGUE.get(line.message)
        text = sanitise(line.detail) or (message.meaning if message else "")
        lines.append(f"{_offset(line.offset):>14}  {line.message:19}{text}")
        if line.proof and line.proof != incident.proof:
            lines.append(f"{'':14}  {'':19}| {sanitise(line.proof)}")
    return "\n".join(lines).rstrip()


def sentence(incident: Incident, timeline: list[Line]) -> str:
    """What fell, why, what was done, how long it was out."""
    began = timeline[0].message if timeline else "fell"
    verb = "could not be started" if began == "start-failed" else "fell"
    reason = sanitise(incident.reason) or "for a reason that was not recorded"
    cause = "the cause is not known" if incident.cause == "unknown" else f"cause: {incident.cause}"
    restarts = incident.actions.count("restarting")
    done = f"koboshi restarted it {words.times(restarts)}" if restarts else "koboshi did not restart it"
    if incident.outage is not None:
        out = f"it was out for {words.span(incident.outage)}"
    elif incident.ended is None or incident.ending != "released":
        out = f"it has been out for {words.span(max(0.0, time.time() - incident.fell))}"
    else:
        out = "how long it was out is not known"
    told = "; ".join([done, TOLD.get(incident.ending, incident.ending), out])
    when = words.moment(incident.fell)
    return f"{incident.id}: {incident.resource} {verb} at {when}: {reason} ({cause}); {told}."


def _named(journal: Reader, name: str | None) -> str | None:
    """The id of the incident that is meant; None when nothing is on record at all."""
    if name is not None and journal.incident(name) is not None:
        return name
    latest = journal.incidents(name, 1)
    if latest:
        return latest[0].id
    return name


def _journal() -> Reader:
    from cluster_glue.client import AskError, ask
    from cluster_glue.journal_reader import JournalUnreadable, Reader

    with suppress(AskError):  # a daemon that runs may have words on the way to its journal
        ask(places.control_socket(), {"do": "ping"}, 2.0)
    try:
        return Reader(places.journal_file())
    except JournalUnreadable as error:
        raise Failure(DENIED if error.denied else FAILED, str(error)) from None


def _row(incident: Incident) -> list[str]:
    return [
        incident.id,
        words.moment(incident.fell),
        words.span(incident.outage),
        incident.ending or "open",
        incident.cause,
        incident.reason,
    ]


def _as_json(incident: Incident) -> dict[str, object]:
    evidence = diagnosis.evidence_of(incident.id)
    kept = str(evidence) if evidence.is_dir() else None
    return {"id": incident.id, **dataclasses.asdict(incident), "evidence": kept}


def _offset(seconds: float) -> str:
    return f"+{seconds:.3f} s" if seconds < 120 else f"+{words.span(seconds)}"


COMMANDS: Final = (incidents, why)
