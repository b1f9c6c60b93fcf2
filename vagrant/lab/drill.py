"""A scenario played for a person, who watches what the client, koboshi and Pacemaker see while it happens."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from vagrant.lab.answers import Client
from vagrant.lab.bringing_up import restore
from vagrant.lab.claims import View
from vagrant.lab.machines import Lab, LabError
from vagrant.lab.record import doing, keep, record
from vagrant.lab.scenario import Line, Scenario, Untrue, every, play
from vagrant.lab.timeline import Event, events, tell

#: The folder in a lab's directory where what was rehearsed is kept for the report.
RECORDS = "records"
#: Seconds between two looks at what happened, while a person watches.
LOOK = 0.5
#: Seconds by which the logs of three sides may be behind each other.
BEHIND = 0.7
#: The name that stands for each scenario, one after another.
ALL = "all"


def drill(lab: Lab, name: str, say: Callable[[str], None]) -> int:
    """Play one scenario, or :data:`ALL`, and tell live what happens; 1 when it goes wrong.

    Without a name: list them. Raises :class:`LabError`.
    """
    known = {scenario.name: scenario for scenario in every()}
    if not name:
        width = max(map(len, known), default=0)
        for each in known.values():
            say(f"{each.name:{width}}  {each.title}" + (f" (needs {', '.join(sorted(each.needs))})" * bool(each.needs)))
        return 0
    if name == ALL:
        return max(_played(lab, each, say) for each in known.values() if each.suits(lab))
    if name not in known:
        raise LabError(f"there is no scenario {name}; there are {', '.join(known)}")
    if not known[name].suits(lab):
        raise LabError(_unsuited(lab, known[name]))
    return _played(lab, known[name], say)


def _unsuited(lab: Lab, scenario: Scenario) -> str:
    """Why it is not played there, and what helps."""
    wanted = scenario.needs - lab.abilities
    if wanted <= lab.has:
        return f"{scenario.name} needs a fence device that can be made deaf: a lab made without LAB_FENCE has one"
    words = ", ".join(sorted(wanted))
    return f"{scenario.name} needs machines that have {words}, and {lab.provider} has not: try --provider libvirt"


def _played(lab: Lab, scenario: Scenario, say: Callable[[str], None]) -> int:
    say(f"everything is put in its place first (about {10 * lab.pace:.0f} s)")
    restore(lab)
    with tempfile.TemporaryDirectory(prefix="koboshi-drill-") as folder:
        client = Client(lab, Path(folder) / "client")
        view = View(lab, client)
        try:
            return _watched(scenario, view, say)
        finally:
            view.end()
            client.end()


def _watched(scenario: Scenario, view: View, say: Callable[[str], None]) -> int:
    say(f"{scenario.title}\n")
    teller = _Teller(view, say)
    problem = ""
    try:
        play(scenario, view, teller.doing)
    except Untrue as untrue:
        problem = str(untrue)
    teller.end()
    keep(record(view, scenario, teller.began, problem, teller.doings), view.lab.directory / RECORDS, scenario.path.stem)
    say(f"\n{'it went wrong: ' + problem if problem else 'it went as it should'}")
    return 1 if problem else 0


class _Teller:
    """Prints what happened while it happens, each thing once."""

    def __init__(self, view: View, say: Callable[[str], None]) -> None:
        self._say = say
        self._view = View(view.lab, view.client)
        self.began, self.doings = time.time(), list[Event]()
        self._over = threading.Event()
        self._told: set[Event] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def doing(self, line: Line) -> None:
        """The scenario goes on to ``line``."""
        self.doings += doing(line)

    def end(self) -> None:
        """Tell the rest."""
        time.sleep(BEHIND)
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            self._tell(time.time() - BEHIND)
        self._tell(time.time())

    def _tell(self, until: float) -> None:
        self._view.since = self.began
        try:
            seen = events(self._view)
        except LabError:
            seen = []
        for event in sorted({*seen, *self.doings} - self._told):
            if event.at <= until:
                self._told.add(event)
                self._say(tell(event, self.began))
