"""What the report and the picture in the terminal both show of a record: outages, lanes of numbered marks, an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster_glue.messages import sanitise
from vagrant.lab.answers import Answer, moves, outage
from vagrant.lab.record import Record
from vagrant.lab.timeline import Event

#: Seconds between two lines of the axis.
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
#: Letters of one event or name beyond which nobody reads on.
MOST = 400


@dataclass(frozen=True, slots=True)
class Mark:
    """An event with its number in the list beneath the picture. ``at``: seconds since the beginning."""

    number: int
    at: float
    event: Event


@dataclass(frozen=True, slots=True)
class Lane:
    """What one side did: the scenario, or koboshi or Pacemaker on one node."""

    who: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """One mark's number, or those of several that are too close to each other; ``start`` is where it begins."""

    words: str
    start: float
    marks: tuple[Mark, ...]


def span(record: Record) -> float:
    """Seconds from its beginning to its end, never nothing."""
    return max(record.end - record.when, 0.001)


def outages(answers: Iterable[Answer]) -> list[tuple[float, float]]:
    """Each outage of one service: the first bad request and the next good one (or the last there was), as asked."""
    found: list[tuple[float, float]] = []
    bad_since, last = None, 0.0
    for each in answers:
        last = each.asked
        if not each.good and bad_since is None:
            bad_since = each.asked
        elif each.good and bad_since is not None:
            found.append((bad_since, each.asked))
            bad_since = None
    return found + ([(bad_since, last)] if bad_since is not None else [])


def missed(record: Record, service: str) -> str:
    """What the client missed of a service, in words."""
    answers = record.of(service)
    bad = sum(not each.good for each in answers)
    if not answers:
        return "never asked"
    return f"{outage(answers):.2f} s, {bad} of {len(answers)} requests" if bad else "none"


def homes(record: Record, service: str) -> list[str]:
    """The nodes that answered, one after another, as words for people."""
    return [sanitise(node, 40) or "?" for node in moves(record.of(service))]


def failovers(record: Record) -> int:
    """How often a service was answered by another node than before."""
    return sum(max(len(moves(record.of(service))) - 1, 0) for service in record.services)


def answering(record: Record) -> dict[str, int]:
    """Who answered, and which mark is whose: the nodes by their number (from 0), then whatever else there was."""
    found = {each.who for each in record.requests if each.good}
    everybody = [*_nodes(record), *sorted(found - set(_nodes(record)))]
    return {who: number for number, who in enumerate(everybody) if who in found}


def marks(record: Record) -> list[Mark]:
    """All that happened but the client's requests, which are drawn as such."""
    found = (each for each in record.events if each.who != "client")
    return [Mark(number, each.at - record.when, each) for number, each in enumerate(found, 1)]


def lanes(record: Record) -> list[Lane]:
    """The scenario's own, then koboshi's and Pacemaker's for each node, as far as they have anything to show."""
    of: dict[str, list[Mark]] = {}
    for mark in marks(record):
        of.setdefault(mark.event.who, []).append(mark)
    order = ["drill", *_sides(record)]
    return [Lane(who, tuple(of[who])) for who in [*order, *sorted(of.keys() - set(order))] if who in of]


def silent(record: Record) -> list[str]:
    """The sides that did nothing."""
    shown = {lane.who for lane in lanes(record)}
    return [who for who in _sides(record) if who not in shown]


def _nodes(record: Record) -> list[str]:
    return [f"node{number}" for number in range(1, record.nodes + 1)]


def _sides(record: Record) -> list[str]:
    return [f"{side} {node}" for node in _nodes(record) for side in ("koboshi", "Pacemaker")]


def labels(lane: Lane, place: Callable[[float], float], width: Callable[[str], float], most: float) -> list[Label]:
    """The lane's numbers from left to right, at least one apart: those that would meet are put together (``3-7``).

    ``place`` says where a second lies, ``width`` how wide a label is, ``most`` where the lane ends.
    """
    found: list[Label] = []
    for mark in lane.marks:
        label = _label((mark,), place, width, most)
        while found and label.start < found[-1].start + width(found[-1].words) + 1:
            label = _label((*found.pop().marks, *label.marks), place, width, most)
        found.append(label)
    return found


def _label(
    together: tuple[Mark, ...], place: Callable[[float], float], width: Callable[[str], float], most: float
) -> Label:
    first, last = together[0], together[-1]
    words = str(first.number) if first is last else f"{first.number}-{last.number}"
    middle = (place(first.at) + place(last.at)) / 2
    return Label(words, max(0.0, min(middle - width(words) / 2, most - width(words))), together)


def spread(lane: Lane, place: Callable[[float], float], width: Callable[[str], float], most: float) -> list[Label]:
    """Each number of the lane on its own, as close to its place as its neighbours allow.

    Where there is no room for all of them: as :func:`labels`.
    """
    groups: list[tuple[float, float, tuple[Mark, ...]]] = []
    for mark in lane.marks:
        group = _group((mark,), place, width, most)
        while groups and group[0] < groups[-1][0] + groups[-1][1]:
            group = _group((*groups.pop()[2], *group[2]), place, width, most)
        groups.append(group)
    if any(taken > most for _, taken, _ in groups):
        return labels(lane, place, width, most)
    return [label for start, _, together in groups for label in _row(start, together, width)]


def _group(
    together: tuple[Mark, ...], place: Callable[[float], float], width: Callable[[str], float], most: float
) -> tuple[float, float, tuple[Mark, ...]]:
    """Where numbers side by side begin so that they are, all in all, closest to their places; and how wide they are."""
    taken = wanted = 0.0
    for mark in together:
        wide = width(str(mark.number))
        wanted += place(mark.at) - taken - wide / 2
        taken += wide + 1
    return max(0.0, min(wanted / len(together), most - taken)), taken, together


def _row(start: float, together: tuple[Mark, ...], width: Callable[[str], float]) -> Iterator[Label]:
    for mark in together:
        yield Label(str(mark.number), start, (mark,))
        start += width(str(mark.number)) + 1


def ticks(seconds: float, most: int) -> list[float]:
    """The seconds to be written at an axis, at most so many of them."""
    step = next((step for step in _STEPS if seconds / step <= most), seconds)
    return [round(number * step, 1) for number in range(int(seconds / step) + 1)]


def moment(at: float) -> str:
    """A time of the epoch as everybody on earth reads it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def provider(record: Record) -> str:
    """What its machines were."""
    return f"{sanitise(record.provider, 40) or '?'}, {record.nodes} node{'s' * (record.nodes != 1)}"


def plain(lines: str) -> list[str]:
    """A text of several lines, harmless."""
    return [line for line in (sanitise(line, MOST) for line in lines.splitlines()) if line]


def title(words: str) -> str:
    """A scenario's name or title, without what would break a line or a terminal."""
    return sanitise(words, MOST) or "?"


def verdict(records: Sequence[Record]) -> str:
    """How many passed."""
    failed = sum(bool(record.problem) for record in records)
    count = f"{len(records)} scenario{'s' * (len(records) != 1)}"
    return f"{count}: {len(records) - failed} passed, {failed} failed"
