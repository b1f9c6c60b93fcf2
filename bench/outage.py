"""Rows ``outage`` and ``peers``: from ``kill -9`` to the first 200 of a new server.

``outage`` holds koboshi against the floor, the same server's own cold start; ``peers`` holds it against systemd,
supervisord and monit. All contestants of a subject run beside each other and are knocked over in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from bench.asking import first_answer, now
from bench.figures import Line
from bench.keepers import Keeper, Koboshi, Monit, Supervisord
from bench.nspawn import Systemd
from bench.sites import SITES, Site, knock_over
from bench.stage import Stage, Unavailable

#: koboshi's outage may be this much longer than the floor: a factor, and milliseconds.
FACTOR, ALLOWANCE = 1.25, 15.0

#: Seconds after which a server is called not restored, in a full and in a quick run.
HOPELESS = (12.0, 5.0)

FAULTS = {"main": "kill -9 main", "all": "kill -9 all"}


def outage(stage: Stage) -> Iterator[Line]:
    """koboshi against the floor."""
    for kind, make in SITES.items():
        try:
            spare, site = make(stage, "floor"), make(stage, "koboshi")
            lines = {fault: Line("outage", f"{kind}, {words}", "koboshi", "ms") for fault, words in FAULTS.items()}
            floor = Line("outage", f"{kind}, cold start", "floor", "ms")
            with Koboshi(stage, [site]) as keeper:
                keeper.ready(site, now())
                rounds = stage.count(25, 5)
                for number in range(rounds):
                    stage.say(f"{kind}, round {number + 1} of {rounds}")
                    floor.samples.append(spare.cold_start() * 1000)
                    for fault, line in lines.items():
                        _once(keeper, site, fault, line)
        except Unavailable as why:
            yield Line("outage", kind, "koboshi", "ms", note=str(why))
            continue
        yield floor
        for line in lines.values():
            if floor.median is not None:
                line.bounds = {"p50": FACTOR * floor.median + ALLOWANCE}
                line.bound = f"{FACTOR:g} x floor + {ALLOWANCE:g} = {line.bounds['p50']:.1f}"
            line.compare(floor, "floor")
            yield line


def peers(stage: Stage) -> Iterator[Line]:
    """koboshi against those that a user would pick instead."""
    for kind, make in SITES.items():
        lines = {fault: [] for fault in FAULTS}  # type: dict[str, list[Line]]
        with ExitStack() as stack:
            entered: list[tuple[Keeper, Site]] = []
            for way in (Koboshi, Systemd, Supervisord, Monit):
                try:
                    site = make(stage, way.name)
                    keeper = stack.enter_context(way(stage, [site]))
                    keeper.ready(site, now())
                    entered.append((keeper, site))
                except Unavailable as why:
                    yield Line("peers", kind, way.name, "ms", note=str(why))
            for fault in ("all", "main"):
                lines[fault] = [Line("peers", f"{kind}, {FAULTS[fault]}", keeper.name, "ms") for keeper, _ in entered]
                _rounds(stage, entered, fault, lines[fault])
        for found in lines.values():
            yield from _judged(found)


def _rounds(stage: Stage, entered: list[tuple[Keeper, Site]], fault: str, lines: list[Line]) -> None:
    """Knock all over in turn, again and again; one that did not come back is left alone from then on."""
    lost: set[str] = set()
    rounds = stage.count(20, 3)
    for number in range(rounds):
        for (keeper, site), line in zip(entered, lines, strict=True):
            stage.say(f"{line.subject}, round {number + 1} of {rounds}, {keeper.name}")
            if keeper.name not in lost and not _once(keeper, site, fault, line):
                lost.add(keeper.name)


def _once(keeper: Keeper, site: Site, fault: str, line: Line) -> bool:
    """One sample; False when the server did not come back, which is noted."""
    when, inode = knock_over(site, fault)
    limit = HOPELESS[keeper.stage.quick]
    answered = first_answer(site.port, inode, limit)
    if answered is None:
        line.note = f"not restored in {limit:g} s"
        return False
    line.samples.append((answered - when) * 1000)
    keeper.ready(site, answered)
    return True


def _judged(lines: list[Line]) -> Iterator[Line]:
    own = next((line for line in lines if line.who == Koboshi.name), None)
    others = [line for line in lines if line is not own]
    medians = [line.median for line in others if line.median is not None]
    if own is not None:
        if medians:
            own.bounds, own.bound = {"p50": min(medians)}, f"shorter than each: {min(medians):.1f}"
        yield own
    for line in others:
        if own is not None:
            line.compare(own, "koboshi")
        yield line
