"""The language of ``tests/scenarios/*.txt``: one case per file, one thing per line, no code.

::

    # what a case shows
    policy  restart_limit=2 restart_wait=1s
    at      10s     died killed by SIGKILL
    expect  clearing, run stop, told fell restarting
    at      +200ms  done
    every   10s until 5m   renewed

``at`` lets time pass (to a time since the beginning, or by ``+``) while each deadline of the machine is kept, and then
one thing happens, or nothing. ``every`` repeats it. ``expect`` looks at the state now and at all orders since the last
``at`` or ``every``; its claims are separated by commas, but ``reason`` and ``fault`` take the rest of their line.
:data:`HAPPENINGS`, :data:`REBORN`, :data:`SUSPENDED` and :data:`CLAIMS` list all there is; ``WORDS...`` stands for any.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from cluster_glue.recovery.model import (
    Answered,
    Ask,
    Cancel,
    Cleared,
    ConfigurationChanged,
    Died,
    Done,
    Escalate,
    Event,
    Failed,
    Found,
    HandedOver,
    Order,
    Paused,
    Permitted,
    Phase,
    ReloadAsked,
    Renewed,
    RestartAsked,
    Resumed,
    Run,
    StartAsked,
    StopAsked,
    Tell,
)
from cluster_glue.recovery.policy import Policy, PolicyError
from ocf.faults import Fault, Kind
from tests.simulation import Bench

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
KINDS = "|".join(kind.value for kind in Kind)
Words = dict[str, str]


class ScenarioError(Exception):
    """A line that cannot be read, or an expectation that is not met; the message has file and line."""


def seconds(text: str) -> float:
    """``1.5h`` in seconds. Raises ``ValueError``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if match is None:
        raise ValueError(f"{text!r} is no time: a number and one of {', '.join(UNITS)}")
    return float(match[1]) * UNITS[match[2]]


def _fault(words: Words) -> Fault:
    reason = words["words"]
    return Fault(re.sub(r"\W+", "-", reason.lower()), Kind(words.get("kind", "resource")), reason)


#: What can happen, as it is written; then what the machine is told.
HAPPENINGS: dict[str, Callable[[Words, Bench], Event]] = {
    "start asked by WORDS...": lambda words, bench: StartAsked(words["words"]),
    "stop asked by WORDS...": lambda words, bench: StopAsked(words["words"]),
    "restart asked by WORDS...": lambda words, bench: RestartAsked(words["words"]),
    "reload asked by WORDS...": lambda words, bench: ReloadAsked(words["words"]),
    "cleared by WORDS...": lambda words, bench: Cleared(words["words"]),
    "paused for TIME": lambda words, bench: Paused(bench.now + seconds(words["time"])),
    "resumed": lambda words, bench: Resumed(),
    "renewed": lambda words, bench: Renewed(),
    "permitted": lambda words, bench: Permitted(bench.state.action),
    "refused WORDS...": lambda words, bench: Permitted(bench.state.action, words["words"]),
    "died WORDS...": lambda words, bench: Died(_fault(words)),
    "failed KIND WORDS...": lambda words, bench: Failed(_fault(words)),
    "failed hard KIND WORDS...": lambda words, bench: Failed(_fault(words), hard=True),
    "answered in TIME": lambda words, bench: Answered(seconds(words["time"])),
    "found running": lambda words, bench: Found(True),
    "found gone": lambda words, bench: Found(False),
    "configuration changed": lambda words, bench: ConfigurationChanged(),
    "handed over": lambda words, bench: HandedOver(bench.state.incident),
    "done": lambda words, bench: Done(bench.state.action),
    "done but KIND WORDS...": lambda words, bench: Done(bench.state.action, _fault(words)),
    "done too late": lambda words, bench: Done(bench.state.action - 1),
}
#: What happens to koboshi itself: killed and started again; and asleep, with everybody else, while the clock goes on.
REBORN = "daemon killed and started"
SUSPENDED = "machine suspended for TIME"


def _runs(orders: Iterable[Order]) -> list[str]:
    return [order.action.value + (" gently" if order.gentle else "") for order in orders if isinstance(order, Run)]


def _told(orders: Iterable[Order]) -> list[str]:
    return [order.message for order in orders if isinstance(order, Tell)]


def _hand_overs(orders: Iterable[Order]) -> list[str]:
    return [order.how for order in orders if isinstance(order, Escalate)]


#: What can be claimed, as it is written; then what is really so, in the same words.
CLAIMS: dict[str, Callable[[Words, Bench], str]] = {
    **{phase.value: lambda words, bench: bench.state.phase.value for phase in Phase},
    "wanted WORD": lambda words, bench: f"wanted {bench.state.wanted.value}",
    "restarts NUMBER": lambda words, bench: f"restarts {len(bench.state.restarts)}",
    "incident NUMBER": lambda words, bench: f"incident {bench.state.incident}",
    "next in TIME": lambda words, bench: f"next in {(bench.state.deadline or 0.0) - bench.now:g}s",
    "no deadline": lambda words, bench: "no deadline" if bench.state.deadline is None else "a deadline",
    "no fault": lambda words, bench: f"fault {bench.state.fault.reason}" if bench.state.fault else "no fault",
    "fault WORDS...": lambda words, bench: f"fault {bench.state.fault.reason if bench.state.fault else ''}",
    "reason WORDS...": lambda words, bench: f"reason {bench.state.reason}",
    "run WORDS...": lambda words, bench: "run " + " ".join(_runs(bench.orders)),
    "cancel": lambda words, bench: "cancel" if any(isinstance(o, Cancel) for o in bench.orders) else "no cancel",
    "ask": lambda words, bench: "ask" if any(isinstance(o, Ask) for o in bench.orders) else "no question",
    "escalate WORD": lambda words, bench: "escalate " + " ".join(_hand_overs(bench.orders)),
    "told WORDS...": lambda words, bench: "told " + " ".join(_told(bench.orders)),
    "silence": lambda words, bench: " ".join(_told(bench.orders)) or "silence",
    "nothing": lambda words, bench: "nothing" if not bench.orders else f"{len(bench.orders)} orders",
}

_SLOTS = {
    "TIME": r"(?P<time>\S+)", "KIND": f"(?P<kind>{KINDS})", "WORDS...": "(?P<words>.+)", "WORD": r"\w+",
    "NUMBER": r"\d+",
}  # fmt: skip


def _pattern(form: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(_SLOTS.get(word, re.escape(word)) for word in form.split()))


_READ = {form: _pattern(form) for form in [*HAPPENINGS, *CLAIMS, SUSPENDED]}


class Player:
    """Plays one scenario. Raises :class:`ScenarioError`."""

    def __init__(self, path: Path) -> None:
        self.path, self.line = path, 0
        self.bench = Bench()

    def play(self) -> None:
        """All lines, each promise watched in each turn."""
        for text in self.path.read_text(encoding="utf-8").splitlines():
            self.line += 1
            text = text.partition("#")[0].strip()
            if not text:
                continue
            word, _, rest = text.partition(" ")
            verbs = {"policy": self._policy, "at": self._at, "every": self._every, "expect": self._expect}
            if word not in verbs:
                self._fail(f"{word!r} is none of {', '.join(verbs)}")
            try:
                verbs[word](rest.strip())
            except (ValueError, PolicyError) as error:
                self._fail(str(error))
            except AssertionError as broken:
                self._fail(f"a promise is broken: {broken}")
        if not self.line:
            self._fail("the scenario is empty")

    def _policy(self, text: str) -> None:
        kinds = {parameter.name: parameter for parameter in fields(Policy)}
        values: dict[str, float | str] = {}
        for pair in text.split():
            name, _, value = pair.partition("=")
            if name not in kinds:
                self._fail(f"there is no policy parameter {name!r}{_nearest(name, kinds)}")
            if kinds[name].metadata["unit"] == "s":
                values[name] = seconds(value)
            elif "choices" in kinds[name].metadata:
                values[name] = value
            else:
                values[name] = int(value) if kinds[name].type == "int" else float(value)
        self.bench = Bench(Policy(**values))  # type: ignore[arg-type]

    def _at(self, text: str) -> None:
        when, _, what = text.partition(" ")
        time = self.bench.now + seconds(when[1:]) if when.startswith("+") else seconds(when)
        if time < self.bench.now:
            self._fail(f"{when} is over: it is {self.bench.now:g}s already")
        self.bench.take()
        self.bench.until(time)
        if what.strip():
            self._happen(what.strip())

    def _every(self, text: str) -> None:
        match = re.fullmatch(r"(\S+)\s+until\s+(\S+)\s+(.+)", text)
        if match is None:
            self._fail("write: every TIME until TIME what happens")
        step, end = seconds(match[1]), seconds(match[2])
        self.bench.take()
        while self.bench.now + step <= end:
            self.bench.wait(step)
            self._happen(match[3])

    def _happen(self, text: str) -> None:
        if text == REBORN:
            self.bench.reborn()
            return
        asleep = _READ[SUSPENDED].fullmatch(text)
        if asleep is not None:
            self.bench.now += seconds(asleep["time"])
            return
        for form, make in HAPPENINGS.items():
            match = _READ[form].fullmatch(text)
            if match is not None:
                self.bench.send(make(match.groupdict(), self.bench))
                return
        self._fail(f"nobody knows what {text!r} is{_nearest(text, [*HAPPENINGS, REBORN, SUSPENDED])}")

    def _expect(self, text: str) -> None:
        whole = re.split(r"\b(?=(?:reason|fault) )", text, maxsplit=1)
        for claim in [*whole[0].split(","), *whole[1:]]:
            if claim.strip():
                self._check(" ".join(claim.split()))

    def _check(self, claim: str) -> None:
        for form, really in CLAIMS.items():
            match = _READ[form].fullmatch(claim)
            if match is not None:
                so = really(match.groupdict(), self.bench)
                if not (claim in so if form.startswith(("reason", "fault")) else claim == so):
                    self._fail(f"expected {claim!r}, but it is {so!r}", self.bench.orders)
                return
        self._fail(f"{claim!r} is nothing that can be expected{_nearest(claim, CLAIMS)}")

    def _fail(self, words: str, orders: Iterable[Order] = ()) -> NoReturn:
        state = self.bench.state
        lines = [
            f"{self.path.name}:{self.line}: {words}",
            f"  at {self.bench.now:g}s: {state.phase.value}, {state.reason!r}",
            *(f"    {order}" for order in orders),
        ]
        raise ScenarioError("\n".join(lines)) from None


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1, 0.4)
    return f"; did you mean {near[0]!r}?" if near else ""
