"""A record's timeline as two SVG pictures: what the client saw, and who did what.

Nothing in them is scaled: places along the axis are percentages, all else is pixels, so that letters stay as large on a
phone as on a wall. The second picture comes twice, with its numbers put together for a wide and for a narrow window.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from cluster_glue.messages import sanitise
from vagrant.lab.answers import Answer, stretches
from vagrant.lab.lanes import MOST, Label, Lane, Mark, answering, lanes, missed, outages, span, spread, ticks
from vagrant.lab.letters import cells, cut
from vagrant.lab.markup import Markup, join, tag
from vagrant.lab.record import Record

#: Pixels: the least width that each form of the second picture gets, and the heights of rows.
FORMS = {"wide": 600.0, "narrow": 260.0}
NAME, BRACKET, BAND, GAP, NUMBERS, PILL, LEADER, TICK = 20, 24, 30, 14, 22, 20, 10, 8
#: Letters of a name in a picture.
NARROWEST = 20
#: Nodes that are told apart by their patterns; all beyond share the last.
PATTERNS = 8
#: Seconds after its last answer for which a service is drawn as answering while nothing else is known.
_HELD = 1.0
#: Pixels that an outage's length takes.
LENGTH = 62


def patterns() -> Markup:
    """What the bands are filled with, for all pictures of a page."""
    lines = (
        "", "M-2 2l4-4M0 8l8-8M6 10l4-4", "M2 2h2v2h-2zM6 6h2v2h-2z", "M2 0v8M6 0v8",
        "M-2 6l4 4M0 0l8 8M6-2l4 4", "M0 4h8", "M0 4h8M4 0v8", "M0 0l8 8M0 8l8-8",
    )  # fmt: skip
    made = [
        tag("pattern", tag("rect", class_=f"f{number}", width=8, height=8), tag("path", class_=f"p{number}", d=path),
            id=f"n{number}", width=8, height=8, patternUnits="userSpaceOnUse")
        for number, path in enumerate(lines)
    ]  # fmt: skip
    return tag("svg", tag("defs", *made), class_="defs", width=0, height=0, aria_hidden="true", focusable="false")


def swatch(number: int) -> Markup:
    """The band of a node in the key."""
    box = tag("rect", class_=f"b{number}", x=1, y=1, width=26, height=12, fill=f"url(#n{number})")
    return tag("svg", box, class_="swatch", width=28, height=14, aria_hidden="true")


def bad_swatch() -> Markup:
    """Bad requests in the key."""
    marks = [tag("rect", class_="tick", x=x, y=0, width=2, height=14) for x in (5, 9, 13, 17, 21)]
    return tag("svg", tag("rect", class_="outage", x=1, y=2, width=26, height=10), *marks,
               class_="swatch", width=28, height=14, aria_hidden="true")  # fmt: skip


def pattern_of(record: Record) -> dict[str, int]:
    """Who answers, and with which pattern."""
    return {who: min(number, PATTERNS - 1) for who, number in answering(record).items()}


class Drawing:
    """The pictures of one record; ``name`` begins its elements' names and is unique on the page."""

    def __init__(self, record: Record, name: str) -> None:
        self._record, self._name, self._span = record, name, span(record)

    def services(self) -> Markup:
        """The client's view: for each service a band while it answers, and a mark for each bad request."""
        parts, y = [], 0
        for service in self._record.services:
            answers = self._record.of(service)
            parts.append(tag("text", _named(service), class_="name", x=0, y=y + 14))
            if outages(answers):
                parts += [*self._brackets(answers, y + NAME)]
                y += BRACKET
            parts += [tag("g", *self._band(answers, y + NAME), class_="service")]
            y += NAME + BAND + GAP
        told = "; ".join(f"{sanitise(name, 40)}: outage {missed(self._record, name)}" for name in self._record.services)
        return self._picture("client", "img", "What the client saw", told, parts, y)

    def sides(self, form: str) -> Markup:
        """What the scenario, koboshi and Pacemaker did: numbers that lead to the list beneath."""
        parts, y = [], 0
        for lane in lanes(self._record):
            parts.append(tag("text", _named(lane.who), class_="name", x=0, y=y + 14))
            parts += self._lane(lane, y + NAME, FORMS[form])
            y += NAME + PILL + LEADER + TICK + GAP
        told = (
            "Each number is an event of the list beneath; two numbers with a hyphen are all of that lane between them"
        )
        return self._picture(form, "group", "What koboshi and Pacemaker did", told, parts, y)

    def _picture(self, kind: str, role: str, title: str, told: str, parts: list[Markup], height: int) -> Markup:
        one, two = f"{self._name}-{kind}-title", f"{self._name}-{kind}-told"
        return tag("svg", tag("title", title, id=one), tag("desc", told, id=two), join([*self._axis(height), *parts]),
                   class_=f"picture {kind}", width="100%", height=height + NUMBERS, role=role,
                   aria_labelledby=one, aria_describedby=two)  # fmt: skip

    def _axis(self, height: int) -> Iterator[Markup]:
        for at in ticks(self._span, 6):
            x = self._x(at)
            anchor = "start" if at == 0 else "end" if at > 0.95 * self._span else "middle"
            yield tag("line", class_="grid", x1=x, x2=x, y1=0, y2=height + 4)
            yield tag("text", f"{at:g} s", class_="number", x=x, y=height + 18, text_anchor=anchor)

    def _x(self, seconds: float) -> str:
        return f"{100 * self._share(seconds):.3f}".rstrip("0").rstrip(".") + "%"

    def _share(self, seconds: float) -> float:
        return min(max(seconds / self._span, 0.0), 1.0)

    # -- services ------------------------------------------------------------------------------------------------------

    def _band(self, answers: list[Answer], y: int) -> Iterator[Markup]:
        when, found, whose = self._record.when, stretches(answers), pattern_of(self._record)
        for began, ended in outages(answers):
            x, width = self._x(began - when), self._width(began, ended)
            yield tag("rect", class_="outage", x=x, y=y + 3, width=width, height=BAND - 6)
        for number, each in enumerate(found):
            end = min(found[number + 1].begin, each.end + _HELD) if number + 1 < len(found) else each.end
            if each.good:
                said = f"{sanitise(each.who, 40) or '?'}: {each.count} good, {self._when(each.begin, each.end)}"
                kind, width = whose[each.who], self._width(each.begin, end)
                yield tag("rect", tag("title", said), class_=f"good b{kind}", x=self._x(each.begin - when), y=y + 3,
                          width=width, height=BAND - 6, fill=f"url(#n{kind})")  # fmt: skip
                yield from self._named(each.who, each.begin, end, y)
        for (good, why), run in groupby(answers, key=lambda each: (each.good, each.who)):
            if not good:
                yield self._bad(list(run), why, y)

    def _named(self, who: str, begin: float, end: float, y: int) -> Iterator[Markup]:
        words = _named(who)
        if (end - begin) / self._span * FORMS["narrow"] > 9 * cells(words) + 8:
            x = self._x((begin + end) / 2 - self._record.when)
            yield tag("text", words, class_="inside", x=x, y=y + BAND / 2 + 4.5, text_anchor="middle")

    def _bad(self, run: list[Answer], why: str, y: int) -> Markup:
        """Each bad request of a run with one reason, as a mark of its own."""
        reason = sanitise(why, MOST) or "no reason"
        said = f"{len(run)} bad, {self._when(run[0].asked, run[-1].at)}: {reason}"
        places = (self._x(each.asked - self._record.when) for each in run)
        marks = [tag("rect", class_="bad", x=x, y=y, width=2, height=BAND) for x in places]
        return tag("g", tag("title", said), *marks)

    def _brackets(self, answers: list[Answer], y: int) -> Iterator[Markup]:
        """Above each outage a bracket; pointed at, it tells the outage's length."""
        for began, ended in outages(answers):
            left, right = began - self._record.when, ended - self._record.when
            arms = [tag("line", x1=self._x(at), x2=self._x(at), y1=y + 15, y2=y + 21) for at in (left, right)]
            bar = tag("line", x1=self._x(left), x2=self._x(right), y1=y + 15.5, y2=y + 15.5)
            said = tag("title", f"outage: {ended - began:.2f} s, {self._when(began, ended)}")
            yield tag("g", said, bar, *arms, class_="bracket")
        for form in FORMS:
            yield tag("g", *self._lengths(answers, y, 100 * LENGTH / FORMS[form]), class_=form)

    def _lengths(self, answers: list[Answer], y: int, room: float) -> Iterator[Markup]:
        """The lengths themselves, each taking ``room`` percent; of those that would meet, the first."""
        free = 0.0
        for began, ended in outages(answers):
            left, right = began - self._record.when, ended - self._record.when
            middle = 100 * self._share((left + right) / 2)
            anchor = "start" if middle < room / 2 else "end" if middle > 100 - room / 2 else "middle"
            at = {"start": left, "middle": (left + right) / 2, "end": right}[anchor]
            first = 100 * self._share(at) - {"start": 0, "middle": room / 2, "end": room}[anchor]
            if first >= free:
                words = f"{ended - began:.2f} s"
                yield tag("text", words, class_="length", x=self._x(at), y=y + 11, text_anchor=anchor)
                free = first + room

    def _width(self, begin: float, end: float) -> str:
        return f"{100 * (self._share(end - self._record.when) - self._share(begin - self._record.when)):.3f}%"

    def _when(self, begin: float, end: float) -> str:
        return f"from {begin - self._record.when:.2f} s to {end - self._record.when:.2f} s"

    # -- sides ---------------------------------------------------------------------------------------------------------

    def _lane(self, lane: Lane, y: int, base: float) -> Iterator[Markup]:
        foot = y + PILL + LEADER + TICK
        kind = lane.who.partition(" ")[0].lower()
        kind = kind if kind in ("koboshi", "pacemaker") else "drill"
        yield tag("line", class_="lane", x1="0%", x2="100%", y1=foot, y2=foot)
        for mark in lane.marks:
            x = self._x(mark.at)
            yield tag("line", tag("title", _tell(mark)), class_=f"moment {kind}", x1=x, x2=x, y1=foot - TICK, y2=foot)
        for label in spread(lane, lambda at: self._share(at) * base, _wide, base):
            x = f"{100 * (label.start + _wide(label.words) / 2) / base:.3f}%"
            at = self._x(sum(mark.at for mark in label.marks) / len(label.marks))
            yield tag("line", class_=f"leader {kind}", x1=x, x2=at, y1=y + PILL - 2, y2=foot - TICK)
            yield self._pill(label, kind, x, y)

    def _pill(self, label: Label, kind: str, x: str, y: int) -> Markup:
        wide, corner = _wide(label.words), {"koboshi": 9, "pacemaker": 0}.get(kind, 4)
        box = tag("rect", x=-wide / 2, y=0.5, width=wide, height=PILL - 2, rx=corner)
        words = tag("text", label.words, x=0, y=14, text_anchor="middle")
        said = tag("title", "\n".join(map(_tell, label.marks)))
        link = tag("a", said, box, words, href=f"#{self._name}-{label.marks[0].number}")
        return tag("svg", link, class_=f"pill {kind}", x=x, y=y, overflow="visible")


def _named(name: str) -> str:
    """A name, as much of it as there is room for on a phone."""
    return cut(sanitise(name, NARROWEST), NARROWEST) or "?"


def _wide(words: str) -> float:
    """Pixels of a number's box."""
    return 8.0 * len(words) + 8


def _tell(mark: Mark) -> str:
    return f"{mark.number}  {mark.at:.2f} s  {sanitise(mark.event.words, MOST)}"
