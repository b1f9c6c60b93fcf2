"""Row ``stall``: SIGSTOP to all workers, or to everything, or an acceptor that hangs; koboshi's default settings.

A busy client asks every 5 ms, a quiet one once a second. The lanes (a server and a client each) run beside each other,
since most of the time is waiting; the faults come at random moments of koboshi's own rounds. When koboshi found it is
the time of the restart that it ordered. What its evidence adds to an outage is told from the rest of the outage, of the
same fault with the diagnosis and without.
"""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from bench.asking import answers, first_answer_beside, listener, now
from bench.figures import Line, quantile
from bench.keepers import Koboshi, Undiagnosed
from bench.sites import SITES, Site, knock_over
from bench.stage import Stage, Unavailable, free_port, until

#: Seconds that an outage may take besides the server's own start, that a stall may go unnoticed, and that an outage may
#: grow by for the evidence; all in the median.
ALLOWANCE, NOTICED, EVIDENCE = 3.0, 1.5, 0.3

CLIENTS = {"busy client": 0.005, "quiet client": 1.0}
FAULTS = {"stop-workers": "SIGSTOP workers", "stop-all": "SIGSTOP all"}

#: Seconds after which a server is called not restored.
HOPELESS = 20.0

#: A server whose only thread stops accepting when it is asked to.
HANGING = Path(__file__).resolve().parents[1] / "tests" / "socket_server.py"


def stall(stage: Stage) -> Iterator[Line]:
    """All lanes at once."""
    lanes: list[_Lane] = []
    for kind in ("apache-event", "nginx"):
        try:
            floor = quantile([SITES[kind](stage, "floor").cold_start() for _ in range(stage.count(5, 3))], 0.5)
        except Unavailable as why:
            yield Line("stall", kind, "koboshi", "s", note=str(why))
            continue
        lanes += [_Lane(stage, SITES[kind](stage, client.split()[0]), client, floor) for client in CLIENTS]
        lanes.append(_Lane(stage, SITES[kind](stage, "plain"), "busy client", floor, Undiagnosed))
    lanes += [_Hang(stage, hanging(stage), client) for client in CLIENTS]
    for lane in lanes:
        lane.start()
    while any(lane.is_alive() for lane in lanes):
        time.sleep(0.5)
        stage.say(", ".join(f"{lane.name}: {lane.taken}" for lane in lanes))
    for lane in lanes:
        yield from lane.lines()
    for lane in lanes:
        for other in lanes:
            if isinstance(other.keeper, Undiagnosed) and (lane.subject, lane.who) == (other.subject, "koboshi"):
                yield from _added(lane, other)


def hanging(stage: Stage) -> Site:
    """A site of :data:`HANGING`."""
    folder, port = stage.place("acceptor"), free_port()
    words = (sys.executable, str(HANGING), "64", str(port))
    url = f"http://127.0.0.1:{port}/"
    values = {"start_command": " ".join(words), "port": f"127.0.0.1:{port}", "statusurl": url}
    return Site("hanging acceptor", folder, port, words, words, "command", values)


def _added(lane: _Lane, other: _Lane) -> Iterator[Line]:
    """What the evidence adds to the outage, in the median, for each fault."""
    for fault, after in lane.after.items():
        words = f"{lane.site.kind}, {fault}, {lane.client}: from found to the answer"
        line, without = Line("stall", words, "koboshi", "s", after), Line("stall", words, other.who, "s")
        without.samples = other.after[fault]
        if line.median is not None and without.median is not None:
            limit = without.median + EVIDENCE
            line.bounds, line.bound = {"p50": limit}, f"+ {EVIDENCE:g} = {limit:.2f}"
        line.compare(without, without.who)
        yield without
        yield line


class _Lane(threading.Thread):
    """One server under koboshi, and one client."""

    faults: ClassVar[dict[str, str]] = FAULTS

    def __init__(
        self, stage: Stage, site: Site, client: str, floor: float | None, keeper: type[Koboshi] = Koboshi
    ) -> None:
        super().__init__(name=f"{site.kind}, {client}", daemon=True)
        self.stage, self.site, self.client, self.note = stage, site, client, ""
        self.keeper, self.who = keeper(stage, [site]), keeper.name
        self.subject = (site.kind, client)
        self.floor = floor
        self.outages: dict[str, list[float]] = {words: [] for words in self.faults.values()}
        self.noticed: dict[str, list[float]] = {words: [] for words in self.faults.values()}
        self.after: dict[str, list[float]] = {words: [] for words in self.faults.values()}

    @property
    def taken(self) -> int:
        return sum(map(len, self.outages.values()))

    def lines(self) -> Iterator[Line]:
        """Outages and how long it took to notice, with their bounds."""
        for fault in self.faults.values():
            words = f"{self.site.kind}, {fault}, {self.client}"
            outage = Line("stall", words, self.who, "s", self.outages[fault], note=self.note)
            if self.floor is not None:
                limit = ALLOWANCE + self.floor
                outage.bounds, outage.bound = {"p50": limit}, f"{limit:.2f}"
            yield outage
            found = Line("stall", f"{words}: found", self.who, "s", self.noticed[fault], {"p50": NOTICED})
            found.bound = f"median {NOTICED:g}"
            yield found

    def run(self) -> None:
        try:
            with self.keeper:
                for _ in range(self.stage.count(20, 2)):
                    for fault, words in self.faults.items():
                        self._once(fault, words)
        except Unavailable as why:
            self.note = str(why)

    def _once(self, fault: str, words: str) -> None:
        self._ready()
        time.sleep(random.random() * 2)
        name = self.keeper.names[self.site.port]
        before = len(self.keeper.restarts(name))
        when, inode = self._hurt(fault)
        answered = self._answer(inode)
        until(lambda: len(self.keeper.restarts(name)) > before, HOPELESS, "the restart")
        found = self.keeper.restarts(name)[before]
        if answered < found:  # by a thread that ran on for a moment
            answered = self._answer(inode)
        self.outages[words].append(answered - when)
        self.noticed[words].append(found - when)
        self.after[words].append(answered - found)

    def _answer(self, inode: int) -> float:
        answered = first_answer_beside(self.site.port, inode, HOPELESS, CLIENTS[self.client])
        if answered is None:
            raise Unavailable(f"not restored in {HOPELESS:g} s")
        return answered

    def _ready(self) -> None:
        self.keeper.ready(self.site, now())

    def _hurt(self, fault: str) -> tuple[float, int]:
        return knock_over(self.site, fault)


class _Hang(_Lane):
    """A server whose only thread hangs, without being stopped."""

    faults: ClassVar[dict[str, str]] = {"hang": "hangs"}

    def __init__(self, stage: Stage, site: Site, client: str) -> None:
        super().__init__(stage, site, client, None)

    def _ready(self) -> None:
        name = self.keeper.names[self.site.port]
        until(lambda: self.keeper.saved(name).get("phase") == "up" and answers(self.site.port), 30.0, "an answer")

    def _hurt(self, fault: str) -> tuple[float, int]:
        inode = listener(self.site.port)
        when = now()
        with suppress(OSError):
            ask_for(self.site.port, f"/{fault}")
        return when, inode


def ask_for(port: int, path: str) -> None:
    """One request, whose answer is read. Raises ``OSError``."""
    with socket.create_connection(("127.0.0.1", port), 5.0) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        client.recv(100)
