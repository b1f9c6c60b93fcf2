"""What one line of the tables of causes is, and the patterns that more than one table searches for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cluster_glue.diagnosis.evidence import DIED, STALLED, START_FAILED
from ocf.faults import Kind

ALWAYS: Final = (DIED, STALLED, START_FAILED)


@dataclass(frozen=True, slots=True)
class Rule:
    """One cause and what proves it. ``proof`` and ``also`` are an item's name and a pattern for one of its lines."""

    cause: str
    kind: Kind
    moments: tuple[str, ...]
    proof: tuple[str, str]
    reason: str
    advice: str = ""
    also: tuple[tuple[str, str], ...] = ()


#: The probe's connection was taken, and nothing came.
MUTE: Final = r"^no answer was given"
#: A JVM spends time in collecting garbage.
COLLECTED: Final = r"\) collected garbage for ([5-9]|[1-9]\d|100) % of \S+ s,"
