"""Row ``stall``: SIGSTOP to all workers, or to everything, under koboshi's default settings.

A busy client asks every 5 ms, a quiet one once a second. The lanes (a server and a client each) run beside each other,
since most of the time is waiting; the faults come at random moments of koboshi's own rounds.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

from bench.asking import first_answer_beside, now
from bench.figures import Line, quantile
from bench.keepers import Koboshi
from bench.sites import SITES, knock_over
from bench.stage import Stage, Unavailable

#: Seconds that an outage may take besides the server's own start.
ALLOWANCE = 3.0

CLIENTS = {"busy client": 0.005, "quiet client": 1.0}
FAULTS = {"stop-workers": "SIGSTOP workers", "stop-all": "SIGSTOP all"}

#: Seconds after which a server is called not restored.
HOPELESS = 20.0


def stall(stage: Stage) -> Iterator[Line]:
    """All lanes at once."""
    lanes: list[_Lane] = []
    for kind in ("apache-event", "nginx"):
        try:
            floor = quantile([SITES[kind](stage, "floor").cold_start() for _ in range(stage.count(5, 3))], 0.5)
        except Unavailable as why:
            yield Line("stall", kind, "koboshi", "s", note=str(why))
            continue
        lanes += [_Lane(stage, kind, client, floor) for client in CLIENTS]
    for lane in lanes:
        lane.start()
    while any(lane.is_alive() for lane in lanes):
        time.sleep(0.5)
        stage.say(", ".join(f"{lane.name}: {lane.taken}" for lane in lanes))
    for lane in lanes:
        yield from lane.lines


class _Lane(threading.Thread):
    """One server under koboshi, and one client."""

    def __init__(self, stage: Stage, kind: str, client: str, floor: float) -> None:
        super().__init__(name=f"{kind}, {client}", daemon=True)
        self.stage, self.kind, self.client = stage, kind, client
        self.site = SITES[kind](stage, client.partition(" ")[0])
        self.keeper = Koboshi(stage, [self.site])
        limit = ALLOWANCE + floor
        self.lines = [
            Line("stall", f"{kind}, {words}, {client}", "koboshi", "s", bounds={"p50": limit}, bound=f"{limit:.2f}")
            for words in FAULTS.values()
        ]

    @property
    def taken(self) -> int:
        return sum(len(line.samples) for line in self.lines)

    def run(self) -> None:
        try:
            with self.keeper:
                for _ in range(self.stage.count(20, 2)):
                    for fault, line in zip(FAULTS, self.lines, strict=True):
                        self._once(fault, line)
        except Unavailable as why:
            for line in self.lines:
                line.note = str(why)

    def _once(self, fault: str, line: Line) -> None:
        self.keeper.ready(self.site, now())
        time.sleep(random.random() * 2)
        when, inode = knock_over(self.site, fault)
        answered = first_answer_beside(self.site.port, inode, HOPELESS, CLIENTS[self.client])
        if answered is None:
            line.note = f"not restored in {HOPELESS:g} s"
            raise Unavailable(line.note)
        line.samples.append(answered - when)
