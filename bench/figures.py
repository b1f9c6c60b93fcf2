"""What is counted from samples: order statistics, and whether they keep to their bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

#: The order statistics that are shown, as shares of the sorted samples.
SHARES = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99}


def quantile(samples: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the samples lie, between neighbours in proportion.

    Raises ``ValueError`` when there are no samples.
    """
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def figures(samples: Sequence[float]) -> dict[str, float]:
    """The order statistics of :data:`SHARES`; empty when there are no samples."""
    return {name: quantile(samples, share) for name, share in SHARES.items()} if samples else {}


@dataclass(slots=True)
class Line:
    """One line of the table: what was measured, of whom, in which unit.

    ``bounds`` maps an order statistic to its greatest allowed value, ``bound`` says it in words. ``ratio`` compares the
    medians of two lines of one run and ``ratio_to`` says with whom. ``load`` is the machine's load average (1 minute)
    when the line was finished.
    """

    row: str
    subject: str
    who: str
    unit: str
    samples: list[float] = field(default_factory=list)
    bounds: dict[str, float] = field(default_factory=dict)
    bound: str = ""
    ratio: float | None = None
    ratio_to: str = ""
    note: str = ""
    load: float = 0.0

    @property
    def median(self) -> float | None:
        """The median; None when nothing was measured."""
        return quantile(self.samples, 0.5) if self.samples else None

    @property
    def held(self) -> bool | None:
        """Whether every bound is kept; None when there is none, or nothing to hold against it."""
        found = figures(self.samples)
        if not self.bounds or not found:
            return None
        return all(found[name] <= limit for name, limit in self.bounds.items())

    def compare(self, other: Line, words: str) -> None:
        """Set this line's ratio to another line's median; nothing when either has none."""
        if self.median is not None and other.median:
            self.ratio, self.ratio_to = self.median / other.median, words
