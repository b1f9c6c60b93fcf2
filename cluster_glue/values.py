"""Values as people write them: durations, numbers, and what becomes the text of an OCF parameter."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from typing import Any, Final

#: Seconds in each unit.
UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

#: No number of a configuration is larger: thirty years in seconds.
LARGEST: Final = 1e9

#: A wait that grows by more than this from try to try is a slip of the pen, and its powers are no floats any more.
LARGEST_FACTOR: Final = 1000

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|d)\s*)+")


class ValueWrong(ValueError):
    """What is wrong with a value and how it should look; without its name."""


def duration(value: object) -> float:
    """Seconds in a number of seconds or a text such as ``500ms``, ``30m`` or ``1h30m``. Raises :class:`ValueWrong`."""
    if isinstance(value, str):
        text = value.strip().lower()
        if _DURATION.fullmatch(text):
            return _bounded(sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text)), value)
        if re.fullmatch(r"\d+(?:\.\d+)?", text):
            return _bounded(float(text), value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(float(min(value, 2 * LARGEST)), value)
    raise ValueWrong(f'{shown(value)} is no time: write seconds (30) or text such as "500ms", "30m", "1h"')


def number(value: object) -> float:
    """A number as it is. Raises :class:`ValueWrong`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(float(min(value, 2 * LARGEST)), value)
    raise ValueWrong(f"{shown(value)} is no number: write it bare, without quotes")


def whole(value: object) -> int:
    """A whole number. Raises :class:`ValueWrong`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(_bounded(min(value, 2 * LARGEST), value))
    raise ValueWrong(f"{shown(value)} is no whole number: write it bare, without quotes and without a point")


def truth(value: object) -> bool:
    """True or false. Raises :class:`ValueWrong`."""
    if isinstance(value, bool):
        return value
    raise ValueWrong(f"{shown(value)} is neither true nor false (bare, in small letters)")


def text(value: object) -> str:
    """A text. Raises :class:`ValueWrong`."""
    if isinstance(value, str):
        return _printable(value)
    raise ValueWrong(f"{shown(value)} is no text: put it in quotes")


def ocf_text(value: Any) -> str:
    """A string, whole number or boolean as the text that OCF hands an agent. Raises :class:`ValueWrong`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(whole(value))
    if isinstance(value, str):
        return _printable(value)
    raise ValueWrong(f"{shown(value)} is neither text nor a whole number nor true or false")


def reader(default: object, unit: str = "") -> Callable[[object], Any]:
    """What reads a value of the kind that ``default`` is; seconds where that is the unit."""
    if unit == "s":
        return duration
    if isinstance(default, bool):
        return truth
    return whole if isinstance(default, int) else text


def address(value: str) -> tuple[str, int]:
    """The host and port in ``HOST:PORT``; an IPv6 address stands in brackets. Raises :class:`ValueWrong`."""
    host, colon, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
        number_of = int(port) if port.isascii() and port.isdigit() else 0
    except ValueError:
        number_of = 0
    if not colon or not 0 < number_of < 65536:
        raise ValueWrong(f'{shown(value)} is no address: write an IP address and a port, such as "127.0.0.1:9000"')
    return host, number_of


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


def _bounded(result: float, value: object) -> float:
    if math.isnan(result) or abs(result) > LARGEST:
        raise ValueWrong(f"{shown(value)} is out of all bounds (at most {LARGEST:g})")
    return result


def _printable(value: str) -> str:
    for char in value:
        if (char < " " and char not in "\t\n") or char == "\x7f":
            raise ValueWrong(f"{shown(value)} holds the control character U+{ord(char):04X}")
    return value
