"""What a played scenario leaves: one JSON file with all that its report needs, read back strictly.

All times in the file are whole milliseconds, as the client writes them: ``when`` since the epoch, an event's since
``when``. A service's requests are three lists: ``asked`` (each since the one before, the first since ``when``),
``took``, and ``who``, which is run-length encoded: ``[how many, good or not, node or reason]``. ``outage`` repeats for
other readers what :func:`vagrant.lab.answers.outage` makes of the requests.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vagrant.lab.answers import SERVICES, Answer, outage
from vagrant.lab.machines import LabError
from vagrant.lab.timeline import Event, events

if TYPE_CHECKING:
    from vagrant.lab.claims import View
    from vagrant.lab.scenario import Line, Scenario

FORMAT, VERSION = "koboshi-lab-record", 1
#: Milliseconds: the end of the year 9999, beyond which no date can be written; and a month, longer than any rehearsal.
_LATEST, _LONGEST = 253_402_300_799_000, 2_678_400_000
_KEYS = {"format", "version", "name", "title", "provider", "nodes", "when", "problem", "outage", "requests", "events"}


class RecordError(LabError):
    """The file is no record; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Record:
    """One scenario that was played. ``when`` it began is seconds of the epoch; ``problem`` is empty when it passed.

    ``requests`` are in the order of asking; times are exact to the millisecond.
    """

    name: str
    title: str
    provider: str
    nodes: int
    when: float
    problem: str
    services: tuple[str, ...]
    requests: tuple[Answer, ...]
    events: tuple[Event, ...]

    def of(self, service: str) -> list[Answer]:
        """The requests to one service."""
        return [each for each in self.requests if each.service == service]

    @property
    def end(self) -> float:
        """When the last request ended (without any: the last thing happened); seconds of the epoch."""
        return max([self.when, *(each.at for each in self.requests or self.events)])


def doing(line: Line) -> list[Event]:
    """What the scenario itself does now, at ``line``: an event, or none where it only claims."""
    if line.claim is not None or line.verb == "mark":
        return []
    where = f"{line.node}: " if line.node else ""
    return [Event(time.time(), "drill", f"{line.verb} {where}{line.words}")]


def record(view: View, scenario: Scenario, began: float, problem: str, doings: Iterable[Event] = ()) -> Record:
    """What ``view`` saw of the ``scenario`` since it ``began`` (seconds of the epoch); ``problem``: why it failed."""
    mark, view.since = view.since, began
    try:
        seen = [*events(view), *doings]
        asked = view.client.answers(since=began)
    finally:
        view.since = mark
    return Record(
        scenario.name, scenario.title, view.lab.provider, len(view.lab.nodes), _whole(began), problem, tuple(SERVICES),
        tuple(sorted((_rounded(each) for each in asked), key=lambda each: (each.asked, each.service))),
        tuple(sorted(Event(_whole(each.at), each.who, each.words) for each in seen)),
    )  # fmt: skip


def keep(found: Record, folder: str | Path, stem: str = "") -> Path:
    """Write the record into ``folder``, in place of the last one of its scenario and provider; the path.

    Records are told in the order of their names, so ``stem`` should be the scenario file's, with its number.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (re.sub(r"[^A-Za-z0-9_-]", "_", f"{stem or found.name}-{found.provider}")[:200] + ".json")
    draft = path.with_suffix(f".{os.getpid()}.new")
    draft.write_text(dump(found), encoding="ascii")
    draft.replace(path)
    return path


def dump(found: Record) -> str:
    """The record as JSON: ASCII only, one line for each service and each event."""
    head = {
        "format": FORMAT, "version": VERSION, "name": found.name, "title": found.title, "provider": found.provider,
        "nodes": found.nodes, "when": _ms(found.when), "problem": found.problem,
        "outage": {service: _ms(outage(found.of(service))) for service in found.services},
    }  # fmt: skip
    requests = ",\n".join(f"{json.dumps(name)}: {_line(_packed(found, name))}" for name in found.services)
    told = ",\n".join(_line([_ms(each.at) - _ms(found.when), each.who, each.words]) for each in found.events)
    return f'{json.dumps(head, indent=1)[:-2]},\n "requests": {{\n{requests}\n }},\n "events": [\n{told}\n ]\n}}\n'


def load(path: Path) -> Record:
    """Read what :func:`keep` wrote. Raises :class:`RecordError`."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} cannot be read: {error}") from None
    except RecordError as error:
        raise RecordError(f"{path} is no record of this lab: {error}; play the scenario again") from None


def load_all(folder: Path) -> list[Record]:
    """All records of a folder, in the order of their names. Raises :class:`RecordError`."""
    return [load(path) for path in sorted(folder.glob("*.json"))]


# ---- writing ---------------------------------------------------------------------------------------------------------


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _whole(seconds: float) -> float:
    return _ms(seconds) / 1000


def _rounded(each: Answer) -> Answer:
    asked = _ms(each.asked)
    return Answer(asked / 1000, (asked + _ms(each.at - each.asked)) / 1000, each.service, each.good, each.who)


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _packed(found: Record, service: str) -> dict[str, list[Any]]:
    answers = found.of(service)
    asked = [_ms(each.asked) for each in answers]
    return {
        "asked": [now - before for now, before in zip(asked, [_ms(found.when), *asked], strict=False)],
        "took": [_ms(each.at) - _ms(each.asked) for each in answers],
        "who": [[len(list(run)), *kind] for kind, run in groupby(answers, key=lambda each: (each.good, each.who))],
    }


# ---- reading ---------------------------------------------------------------------------------------------------------


def parse(text: str) -> Record:
    """The record that ``text`` is. Raises :class:`RecordError`."""
    try:
        found = json.loads(text, parse_constant=_no_number, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise RecordError(str(error) or "it is nested too deeply") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise RecordError(f'it does not say "format": "{FORMAT}"')
    if found.get("version") != VERSION or type(found["version"]) is not int:
        raise RecordError(f"its version is {str(found.get('version'))[:20]!r}, and this is read: {VERSION}")
    if found.keys() != _KEYS:
        raise RecordError(f"{', '.join(sorted(_KEYS - found.keys()))[:200] or 'nothing'} is missing, or it has more")
    when = _number(found["when"], "when", _LATEST)
    requests = _kind(found["requests"], dict, "requests")
    answers = [each for service in requests for each in _answers(service, requests[service], when)]
    name, title, provider, problem = (_kind(found[key], str, key) for key in ("name", "title", "provider", "problem"))
    made = Record(
        name, title, provider, _number(found["nodes"], "nodes", 1000), when / 1000, problem, tuple(requests),
        tuple(sorted(answers, key=lambda each: (each.asked, each.service))),
        tuple(sorted(_event(each, when) for each in _kind(found["events"], list, "events"))),
    )  # fmt: skip
    if found["outage"] != {service: _ms(outage(made.of(service))) for service in requests}:
        raise RecordError("its outage is not what its requests say")
    return made


def _answers(service: str, packed: Any, when: int) -> list[Answer]:
    where = f"requests of {service[:40]!r}"
    if _kind(packed, dict, where).keys() != {"asked", "took", "who"}:
        raise RecordError(f"{where} are not asked, took and who")
    asked, took, runs = (_kind(packed[key], list, f"{where}: {key}") for key in ("asked", "took", "who"))
    for run in runs:
        if not isinstance(run, list) or [type(part) for part in run] != [int, bool, str] or run[0] < 1:
            raise RecordError(f"{where}: who is not made of [how many, good or not, node or reason]")
    if not len(asked) == len(took) == sum(run[0] for run in runs):
        raise RecordError(f"{where}: asked, took and who differ in length")
    answers, at = [], when
    kinds = ((good, who) for count, good, who in runs for _ in range(count))
    for since, lasted, (good, who) in zip(asked, took, kinds, strict=True):
        at += _number(since, f"{where}: asked", _LONGEST)
        if at - when > _LONGEST:
            raise RecordError(f"{where}: asked for longer than a month")
        end = at + _number(lasted, f"{where}: took", _LONGEST)
        answers.append(Answer(at / 1000, end / 1000, service, good, who))
    return answers


def _event(told: Any, when: int) -> Event:
    if not isinstance(told, list) or [type(part) for part in told] != [int, str, str] or abs(told[0]) > _LATEST:
        raise RecordError("an event is not made of [milliseconds, who, words]")
    return Event((when + told[0]) / 1000, told[1], told[2])


def _kind(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise RecordError(f"{what} should be a {kind.__name__}, and is a {type(value).__name__}")
    return value


def _number(value: Any, what: str, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise RecordError(f"{what} should be a whole number from 0 to {most}, and is {str(value)[:40]}")
    return value


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)
