"""Values as people write them in a configuration file: numbers, and what becomes the text of an OCF parameter."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final

from ocf.durations import LARGEST, ValueWrong, bounded, duration, shown

#: A wait that grows by more than this from try to try is a slip of the pen, and its powers are no floats any more.
LARGEST_FACTOR: Final = 1000


def number(value: object) -> float:
    """A number as it is. Raises :class:`ValueWrong`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bounded(float(min(value, 2 * LARGEST)), value)
    raise ValueWrong(f"{shown(value)} is no number: write it bare, without quotes")


def whole(value: object) -> int:
    """A whole number. Raises :class:`ValueWrong`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(bounded(min(value, 2 * LARGEST), value))
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


def _printable(value: str) -> str:
    for char in value:
        if (char < " " and char not in "\t\n") or char == "\x7f":
            raise ValueWrong(f"{shown(value)} holds the control character U+{ord(char):04X}")
    return value


__all__ = [
    "LARGEST_FACTOR",
    "ValueWrong",
    "address",
    "duration",
    "number",
    "ocf_text",
    "reader",
    "shown",
    "text",
    "truth",
    "whole",
]
