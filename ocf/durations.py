"""Times as people write them: a number of seconds, or a text such as ``500ms``, ``30m`` or ``1h30m``."""

from __future__ import annotations

import math
import re
from typing import Final

#: Seconds in each unit.
UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

#: No number of a configuration is larger: thirty years in seconds.
LARGEST: Final = 1e9

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|d)\s*)+")


class ValueWrong(ValueError):
    """What is wrong with a value and how it should look; without its name."""


def duration(value: object) -> float:
    """Seconds in a number of seconds or a text such as ``500ms``, ``30m`` or ``1h30m``. Raises :class:`ValueWrong`."""
    if isinstance(value, str):
        text = value.strip().lower()
        if _DURATION.fullmatch(text):
            return bounded(sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text)), value)
        if re.fullmatch(r"\d+(?:\.\d+)?", text):
            return bounded(float(text), value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return bounded(float(min(value, 2 * LARGEST)), value)
    raise ValueWrong(f'{shown(value)} is no time: write seconds (30) or text such as "500ms", "30m", "1h"')


def bounded(result: float, value: object) -> float:
    """``result``, if it is within all bounds. Raises :class:`ValueWrong`, which shows ``value``."""
    if math.isnan(result) or abs(result) > LARGEST:
        raise ValueWrong(f"{shown(value)} is out of all bounds (at most {LARGEST:g})")
    return result


def shown(value: object) -> str:
    """A value for a message: as it would be written, but short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    words = repr(value) if isinstance(value, str | int | float) else str(value)
    return words if len(words) <= 60 else f"{words[:59]}…"
