"""Conditions: something measured against a limit, said when it turns, with what helps.

A value rises to a warning or an error when it held for a while, and falls back only below ``EASE`` of the
threshold, so that one near it is not said again and again. What a restart ends (a leak) becomes a fault after
``patience`` seconds at its error; everything else is words, for a server that answers is not touched for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from cluster_glue.recovery.model import Failed, Tell
from ocf.faults import Fault

#: Seconds that a value must be beyond a threshold before it counts, where its reading does not say.
HOLD = 2.0

#: Share of a threshold below which what went beyond it is over.
EASE = 0.9

#: Seconds after which a fault that still holds is told to the machine again.
REMIND_AFTER = 60.0


class Level(IntEnum):
    """How bad it is."""

    FINE = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing measured. ``key`` says which one among those of one resource; ``fault`` tells it in words.

    ``patience``: seconds at the error after which it is a hard fault that a restart ends; None: no restart for it.
    ``hold``: seconds that the value must be beyond a threshold before it counts.
    """

    key: str
    value: float
    warning: float
    error: float
    fault: Fault
    patience: float | None = None
    hold: float = HOLD


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look has to say about ``name`` (empty: the machine), or to tell the machine of recovery."""

    name: str
    tell: Tell | None = None
    event: Failed | None = None


@dataclass(slots=True)
class _Gauge:
    """One condition over time."""

    level: Level = Level.FINE
    above: Level = Level.FINE  # what the latest values are beyond, not yet for long enough
    since: float = 0.0  # of ``above``
    error_since: float = 0.0
    posted: float = float("-inf")
    fault: Fault | None = None

    def turn(self, reading: Reading, now: float) -> bool:
        """Take the reading in; true when the level turned."""
        beyond = _beyond(reading, self.level)
        if beyond is not self.above:
            self.above, self.since = beyond, now
        self.fault = reading.fault if beyond else self.fault
        if beyond is self.level or (beyond > self.level and now - self.since < reading.hold):
            return False
        if beyond is Level.ERROR:
            self.error_since = now
        self.level = beyond
        return True


def _beyond(reading: Reading, level: Level) -> Level:
    if reading.value >= reading.error * (EASE if level is Level.ERROR else 1.0):
        return Level.ERROR
    if reading.value >= reading.warning * (EASE if level >= Level.WARNING else 1.0):
        return Level.WARNING
    return Level.FINE


@dataclass(slots=True)
class Board:
    """All conditions of one resource (or, without a name, of the machine)."""

    name: str
    _gauges: dict[str, _Gauge] = field(default_factory=dict)
    _told: dict[str, Level] = field(default_factory=dict)

    def judge(self, readings: Iterable[Reading], now: float, keep: Iterable[str] = ()) -> list[Finding]:
        """What is new. A condition without a reading is over, unless it is among ``keep`` (it was not measured now)."""
        found: list[Finding] = []
        seen = set(keep)
        for reading in readings:
            seen.add(reading.key)
            gauge = self._gauges.get(reading.key)
            if gauge is None:
                if _beyond(reading, Level.FINE) is Level.FINE:
                    continue
                gauge = self._gauges[reading.key] = _Gauge()
            if gauge.turn(reading, now):
                found += self._say(reading.key, gauge.level, gauge.fault or reading.fault)
            found += self._act(reading, gauge, now)
            if gauge.level is Level.FINE and gauge.above is Level.FINE:
                del self._gauges[reading.key]
        for key in self._gauges.keys() - seen:
            gauge = self._gauges.pop(key)
            if gauge.level and gauge.fault is not None:
                found += self._say(key, Level.FINE, gauge.fault)
        return found

    @property
    def calm(self) -> bool:
        """Whether nothing is beyond a threshold, not even for a moment yet."""
        return not self._gauges

    def errors(self) -> list[Fault]:
        """The faults at their error now."""
        return [gauge.fault for gauge in self._gauges.values() if gauge.level is Level.ERROR and gauge.fault]

    def levels(self) -> dict[str, str]:
        """Conditions that are not fine, for the status."""
        return {key: gauge.level.name.lower() for key, gauge in self._gauges.items() if gauge.level}

    def _say(self, key: str, level: Level, fault: Fault) -> list[Finding]:
        told = self._told.get(key, Level.FINE)
        if level is Level.FINE:
            self._told.pop(key, None)
            words = f"no longer: {fault.cause} ({key})" if key != fault.cause else f"no longer: {fault.cause}"
            return [Finding(self.name, Tell("eased", words))] if told else []
        if level <= told:  # an error that became a warning is no news
            return []
        self._told[key] = level
        words = f"{fault.reason}; {fault.advice}" if fault.advice else fault.reason
        return [Finding(self.name, Tell("degraded" if level is Level.ERROR else "sighting", words, 0, fault))]

    def _act(self, reading: Reading, gauge: _Gauge, now: float) -> list[Finding]:
        if reading.patience is None or gauge.level is not Level.ERROR or now - gauge.error_since < reading.patience:
            return []
        if now - gauge.posted < REMIND_AFTER:
            return []
        gauge.posted = now
        return [Finding(self.name, None, Failed(reading.fault, hard=True))]
