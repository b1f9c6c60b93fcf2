"""Parameters as agents declare them; metadata, man pages, help and configuration checks come from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ParameterType = Literal["string", "integer", "boolean"]

TRUE_WORDS = frozenset({"1", "true", "yes", "on", "y", "t"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", "n", "f", ""})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One instance parameter. Values arrive as text, as OCF hands them over; ``default`` is text as well.

    ``short`` is a line, ``long`` a paragraph (``short`` serves where it is empty). ``unique`` parameters must differ
    between two resources of the same agent. ``reloadable`` ones take effect without a restart of the server.
    """

    name: str
    type: ParameterType
    default: str
    short: str
    long: str = ""
    required: bool = False
    unique: bool = False
    reloadable: bool = False


class ParameterError(ValueError):
    """A parameter value that cannot be right on any machine; the message names parameter, value and remedy."""


def check(parameter: Parameter, value: str) -> str:
    """Give ``value`` back, cleaned. Raises :class:`ParameterError` when its type is wrong."""
    value = value.strip()
    if parameter.type == "integer" and value:
        try:
            int(value)
        except ValueError:
            raise ParameterError(f"{parameter.name} = {value!r} is not a whole number") from None
    if parameter.type == "boolean" and value.lower() not in TRUE_WORDS | FALSE_WORDS:
        raise ParameterError(f"{parameter.name} = {value!r} is neither true nor false")
    if parameter.required and not value:
        raise ParameterError(f"{parameter.name} is required: {parameter.short}")
    return value


def truth(value: str) -> bool:
    """A boolean parameter's text as a bool."""
    return value.strip().lower() in TRUE_WORDS
