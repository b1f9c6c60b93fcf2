"""Failover on a real cluster: ``ocf:koboshi:apache`` beside ``ocf:heartbeat:apache``, same cluster, same run.

usage: python -m bench.failover [--quick]

Needs root and what script/lab needs. One lab of two nodes; contestants take turns on the same address. "Unrecoverable"
is a broken configuration and the death of all of Apache's processes; the time runs from the kill to the end of the
first good answer from the other node, as a client sees it that asks every 20 ms. "Repairable" is what a restart mends.
"""

from __future__ import annotations

import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bench.figures import Line
from bench.table import notes, rst
from vagrant.lab.answers import Client, moves, outage
from vagrant.lab.bringing_up import HOME, must, restore, until, up
from vagrant.lab.claims import View
from vagrant.lab.cluster import Cluster
from vagrant.lab.machines import Lab, LabError
from vagrant.lab.timeline import tell_all
from vagrant.namespaces.lab import Namespaces

#: Where the lab's Apache is, and how all of its processes are killed at once.
ROOT = "/srv/lab/apache"
KILL_ALL = f"kill -9 -$(ps -o pgid= -p $(cat {ROOT}/httpd.pid) | tr -d ' ')"
#: Repairable faults, in turn.
FAULTS = {
    "kill -9 main": f"kill -9 $(cat {ROOT}/httpd.pid)",
    "kill -9 all": KILL_ALL,
    "segmentation fault": f"kill -SEGV $(cat {ROOT}/httpd.pid)",
    "SIGTERM from a stranger": f"kill -TERM $(cat {ROOT}/httpd.pid)",
}
#: Seconds after which a contestant is called hopeless in one round.
HOPELESS = 60.0


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to run Apache: what stands in the cluster's configuration in place of koboshi's primitive."""

    name: str
    primitive: str


_KEPT = "op start interval=0s timeout=60s op stop interval=0s timeout=80s"
_OURS = f"primitive web ocf:koboshi:apache params configfile={ROOT}/httpd.conf restart_limit=%s restart_wait=0"
_PEER = f"primitive web ocf:heartbeat:apache params configfile={ROOT}/httpd.conf statusurl=http://127.0.0.1:8081/server-status"


def ours(limit: int) -> Contestant:
    """koboshi, with so many restarts to spend."""
    given = f"{_OURS % limit} {_KEPT} op monitor interval=10s timeout=20s meta migration-threshold=1"
    return Contestant("koboshi", given)


def peer(interval: int, threshold: str) -> Contestant:
    """The peer, with a monitor every ``interval`` seconds."""
    meta = f"meta migration-threshold={threshold}"
    given = f"{_PEER} {_KEPT} op monitor interval={interval}s timeout=20s {meta}"
    return Contestant(f"heartbeat, monitor {interval} s", given)


class Rounds:
    """The lab with one contestant in it."""

    def __init__(self, lab: Lab, folder: Path, contestant: Contestant) -> None:
        self._lab, self._cluster, self._contestant = lab, Cluster(lab), contestant
        self._enter(contestant)
        self._client = Client(lab, folder / f"client-{time.monotonic_ns()}")
        self.view = View(lab, self._client)

    def _enter(self, contestant: Contestant) -> None:
        """Put it in the place of what runs there; it goes home by itself whenever it may."""
        restore(self._lab)
        must(self._lab, HOME, "crm_resource --resource web-group --meta --set-parameter target-role -v Stopped")
        until(lambda: not self._cluster.where("web"), 60, "the stop of web")
        script = (
            f"printf '%s\\n' {_quoted(contestant.primitive)} >/tmp/web.crm; crm -F configure load update /tmp/web.crm"
        )
        must(self._lab, HOME, "crm_attribute --type rsc_defaults --name resource-stickiness --update 0")
        must(self._lab, HOME, script)
        must(self._lab, HOME, "crm_resource --resource web-group --meta --delete-parameter target-role")
        until(lambda: self._cluster.where("web") == [HOME], 60, "the start of web")

    def unrecoverable(self) -> float:
        """Seconds from the kill to service on the other node."""
        self.view.ready()
        time.sleep(random.uniform(0, 10))  # somewhere between two monitors
        must(self._lab, HOME, f"cp {ROOT}/httpd.conf {ROOT}/kept; echo NoSuchDirective >>{ROOT}/httpd.conf")
        self.view.mark()
        must(self._lab, HOME, KILL_ALL)
        began = self.view.since
        until(lambda: self._elsewhere(began), HOPELESS, "service on the other node")
        return self._elsewhere(began) - began

    def _elsewhere(self, since: float) -> float:
        answers = self._client.answers("web", since)
        return min((each.at for each in answers if each.good and each.who != HOME), default=0.0)

    def back(self) -> None:
        """Mend it, and let it come home."""
        must(self._lab, HOME, f"mv {ROOT}/kept {ROOT}/httpd.conf")
        self._lab.run(HOME, "koboshi clear web")
        must(self._lab, HOME, "attrd_updater -n koboshi-web -D; crm_resource --cleanup --resource web")
        until(lambda: self._cluster.where("web") == [HOME], 60, "web at home again")

    def told(self) -> float | None:
        """Seconds from koboshi's decision to the cluster having the request."""
        said = {name: (at, words) for at, _, name, words in self.view.journal(HOME)}
        match = re.search(r"in (\d+(?:\.\d+)?) (ms|s)", said["escalated"][1]) if "escalated" in said else None
        return None if match is None else float(match[1]) / (1000 if match[2] == "ms" else 1)

    def repairable(self, command: str) -> tuple[float, bool]:
        """One fault: seconds without service, and whether the service left its node."""
        self.view.ready()
        must(self._lab, HOME, command)
        try:
            until(self._served_again, HOPELESS, "service again")
        except LabError as hopeless:  # counted as it is, and told; then everything is put in its place again
            told = "\n".join(tell_all(self.view))
            print(f"{command}: {hopeless}\n{told}", file=sys.stderr)
            answers = self._client.answers("web", self.view.since)
            self._enter(self._contestant)
            return outage(answers), moves(answers) != [HOME]
        answers = self._client.answers("web", self.view.since)
        moved = moves(answers) != [HOME]
        if moved:
            must(self._lab, HOME, "crm_resource --cleanup --resource web")
            until(lambda: self._cluster.where("web") == [HOME], 60, "web at home again")
        return outage(answers), moved

    def _served_again(self) -> bool:
        """It answers, from a main process that is there."""
        alive = f"kill -0 $(cat {ROOT}/httpd.pid)"
        where = self._cluster.where("web")
        if len(where) != 1 or self._lab.run(where[0], alive).returncode:
            return False
        latest = self._client.answers("web", time.time() - 0.3)
        return len(latest) > 3 and all(each.good for each in latest)

    def end(self) -> None:
        self._client.end()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def failover(lab: Lab, folder: Path, quick: bool) -> Iterator[Line]:
    """The table of the hand-over."""
    rounds, lines = (2 if quick else 10), []
    part = Line("failover", "decision to the cluster having the request", "koboshi", "ms", bounds={"p50": 50.0})
    part.bound = "50 ms"
    for contestant in (ours(3), peer(10, "1"), peer(1, "1")):
        line = Line("failover", "unrecoverable, to service on node 2", contestant.name, "s")
        stage = Rounds(lab, folder, contestant)
        for number in range(rounds):
            _say(f"{contestant.name}, unrecoverable, round {number + 1} of {rounds}")
            line.samples.append(stage.unrecoverable())
            took = stage.told() if contestant.name == "koboshi" else None
            if took is not None:
                part.samples.append(took * 1000)
            stage.back()
        stage.end()
        line.load = os.getloadavg()[0]
        lines.append(line)
    mine, slow, quickly = lines
    if slow.median and quickly.median:
        mine.bounds = {"p50": min(slow.median / 4, quickly.median)}
        mine.bound = f"1/4 of {slow.median:.2f}, and below {quickly.median:.2f}"
    mine.compare(slow, slow.who)
    yield from (*lines, part)


def repairs(lab: Lab, folder: Path, quick: bool) -> Iterator[Line]:
    """Repairable faults: no failover of ours, and the outages beside the peer's."""
    count = 4 if quick else 100
    for contestant in (ours(150), peer(10, "INFINITY")):
        stage = Rounds(lab, folder, contestant)
        line = Line("failover", f"{count} repairable faults, each outage", contestant.name, "s")
        left = 0
        for number in range(count):
            words = list(FAULTS)[number % len(FAULTS)]
            _say(f"{contestant.name}, {words}, {number + 1} of {count}")
            took, moved = stage.repairable(FAULTS[words])
            line.samples.append(took)
            left += moved
        stage.end()
        line.note = f"{left} failovers; {sum(line.samples):.1f} s without service in total"
        if contestant.name == "koboshi":
            line.bound, line.note = "0 failovers", f"{line.note}; {'held' if not left else 'NOT HELD'}"
        line.load = os.getloadavg()[0]
        yield line


def _say(words: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{words:100}", end="", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Measure, and print one table."""
    quick = arguments == ["--quick"]
    if arguments and not quick:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="koboshi-failover-") as folder:
        lab = Namespaces(Path(folder) / "lab")
        try:
            up(lab, 2, lambda words: print(words, file=sys.stderr))
            lines = []
            for line in chain(failover(lab, Path(folder), quick), repairs(lab, Path(folder), quick)):
                lines.append(line)
                print(f"{line.subject}, {line.who}: median {line.median} {line.unit}; {line.note}", file=sys.stderr)
        finally:
            lab.end()
    print(rst(lines) + notes(lines), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
