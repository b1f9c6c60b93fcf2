"""A record's timeline drawn with letters, as wide as the terminal; without colour or Unicode where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby

from cluster_glue.messages import sanitise
from vagrant.lab.answers import Answer
from vagrant.lab.lanes import (
    MOST,
    Mark,
    answering,
    homes,
    labels,
    lanes,
    marks,
    missed,
    moment,
    outages,
    plain,
    provider,
    silent,
    span,
    ticks,
    title,
)
from vagrant.lab.letters import Look, cells, cut, look, pad, wrap
from vagrant.lab.record import Record

#: From so many columns on, names stand beside their lanes, else above.
BESIDE = 60
_RED, _BOLD, _FAINT = "1;31", "1", "2"
_NODES = ("32", "36", "34", "35", "33", "92", "96", "95")


def draw(record: Record, shown: Look) -> str:
    """The picture: head, a lane for each service and side, the axis, and the list of what the numbers mean."""
    lines = [*_head(record, shown), "", *_Canvas(record, shown).lines(), "", *_legend(record, shown)]
    return "\n".join(line.rstrip() for line in lines)


def show(record: Record) -> None:
    """Print the picture."""
    print(draw(record, look(os.environ)), flush=True)


# ---- above and beneath -----------------------------------------------------------------------------------------------


def _head(record: Record, shown: Look) -> Iterator[str]:
    result = shown.paint("FAILED", _RED) if record.problem else shown.paint("passed", "1;32")
    words = shown.fit(f"{title(record.name)} ({provider(record)}; {moment(record.when)})")
    first, *others = wrap(words, shown.width - 8)
    yield f"{result}  {shown.paint(first, _BOLD)}"
    yield from (" " * 8 + shown.paint(line, _BOLD) for line in others)
    for line in [title(record.title), *plain(record.problem)]:
        yield from (" " * 8 + part for part in wrap(shown.fit(line), shown.width - 8))
    for service in record.services:
        name = sanitise(service, 40) or "?"
        arrow = " → " if shown.unicode else " -> "
        words = (
            f"{name}: outage {missed(record, service)}; answered by {arrow.join(homes(record, service)) or 'nobody'}"
        )
        yield from (" " * 8 + part for part in wrap(shown.fit(words), shown.width - 8))


def _legend(record: Record, shown: Look) -> Iterator[str]:
    meaning = [f"{mark} {sanitise(who, 40) or '?'}" for who, mark in _marks(record, shown).items()]
    yield from wrap(shown.fit(", ".join([*meaning, f"{shown.bad} a bad request"])), shown.width)
    if silent(record):
        yield from wrap(f"did nothing: {', '.join(silent(record))}", shown.width)
    for mark in marks(record):
        yield from _told(mark, shown)


def _told(mark: Mark, shown: Look) -> Iterator[str]:
    number, at, who = f"{mark.number:3}", f"{mark.at:8.2f} s", shown.fit(sanitise(mark.event.who, 40)) or "?"
    words = shown.fit(sanitise(mark.event.words, MOST))
    if shown.width < BESIDE:
        first, *others = wrap(f"{number} {at} {who}: {words}", shown.width - 4)
        yield first
        yield from ("    " + line for line in others)
        return
    head = f"{number} {at}  "
    first, *others = wrap(words, shown.width - cells(head) - 17)
    yield head + shown.paint(pad(who, 16), _side(mark.event.who)) + " " + first
    yield from (" " * (cells(head) + 17) + line for line in others)


# ---- the lanes -------------------------------------------------------------------------------------------------------


class _Canvas:
    """The lanes of one record, between a gutter with their names and the edge."""

    def __init__(self, record: Record, shown: Look) -> None:
        self._record, self._shown, self._span = record, shown, span(record)
        self._sides = [(self._named(lane.who), lane) for lane in lanes(record)]
        self._services = [(self._named(service), service) for service in record.services]
        names = [name for name, _ in [*self._sides, *self._services]]
        self._gutter = max(map(cells, names), default=0) + 2 if shown.width >= BESIDE else 0
        self._room = shown.width - self._gutter

    def lines(self) -> Iterator[str]:
        for name, service in self._services:
            answers = self._record.of(service)
            yield from self._under(name, self._service(answers))
            brackets = self._brackets(answers)
            if brackets:
                yield from self._under("", self._shown.paint(brackets, _RED))
        for line in self._axis():
            yield from self._under("", self._shown.paint(line, _FAINT))
        for name, lane in self._sides:
            line = ""
            for label in labels(lane, self._place, len, self._room):
                line = line.ljust(int(label.start)) + label.words
            yield from self._under(name, self._shown.paint(line, _side(lane.who)))

    def _named(self, name: str) -> str:
        return cut(self._shown.fit(sanitise(name, 18)), 18) or "?"

    def _under(self, name: str, line: str) -> Iterator[str]:
        if name and not self._gutter:
            yield name
        yield pad(name, self._gutter) + line if self._gutter else line

    def _place(self, at: float) -> float:
        return min(max(at / self._span, 0.0), 1.0) * (self._room - 1) + 0.5

    def _column(self, epoch: float) -> int:
        return int(self._place(epoch - self._record.when))

    def _service(self, answers: list[Answer]) -> str:
        """A mark for each column in which something was asked, bad before good; between two of a kind it goes on."""
        whose, bad = _marks(self._record, self._shown), self._shown.bad
        at: dict[int, str] = {}
        for each in answers:
            column = self._column(each.asked)
            if at.get(column) != bad:
                at[column] = whose[each.who] if each.good else bad
        line = before = ""
        for column, mark in sorted(at.items()):
            line += (before if before == mark else " ") * (column - len(line)) + mark
            before = mark
        codes = {whose[who]: _NODES[number % len(_NODES)] for who, number in answering(self._record).items()}
        runs = ("".join(run) for _, run in groupby(line))
        return "".join(self._shown.paint(run, codes.get(run[0], _RED)) for run in runs)

    def _brackets(self, answers: list[Answer]) -> str:
        """Beneath each outage how long it was, as far as there is room."""
        left, right, dash = "└┘─" if self._shown.unicode else "||-"
        line = ""
        for began, ended in outages(answers):
            first, last = self._column(began), self._column(ended)
            words = f"{ended - began:.2f} s"
            wide = last - first + 1
            if wide >= len(words) + 4:
                drawn = left + f" {words} ".center(wide - 2, dash) + right
            elif first + max(wide, 2) + len(words) + 1 <= self._room:
                drawn = left + dash * (wide - 2) + right + " " + words
            else:
                drawn, first = words + " " + left + dash * (wide - 2) + right, first - len(words) - 1
            if first >= len(line) + bool(line) and first + len(drawn) <= self._room:
                line = line.ljust(first) + drawn
        return line

    def _axis(self) -> Iterator[str]:
        numbers = line = ""
        for at in ticks(self._span, max(self._room // 9, 1)):
            column, words = int(self._place(at)), f"{at:g} s"
            line = line.ljust(column, self._shown.line) + self._shown.tick
            start = min(column, self._room - len(words))
            if start >= len(numbers) + bool(numbers):
                numbers = numbers.ljust(start) + words
        yield line.ljust(self._room, self._shown.line)
        yield numbers


def _marks(record: Record, shown: Look) -> dict[str, str]:
    """Who answers, and with which mark."""
    return {who: shown.good[min(number, len(shown.good) - 1)] for who, number in answering(record).items()}


def _side(who: str) -> str:
    return {"koboshi": "33", "Pacemaker": "34"}.get(who.partition(" ")[0], _FAINT)
