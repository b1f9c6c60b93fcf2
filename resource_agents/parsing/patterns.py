"""Regular expressions as ``grep -Ei`` takes them, for the expressions that users of ocf:heartbeat agents have."""

from __future__ import annotations

import re

from ocf.declarations import ParameterError

_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "xdigit": "0-9A-Fa-f",
    "cntrl": r"\x00-\x1f\x7f",
    "print": " -~",
    "graph": "!-~",
}

_WORD_EDGE = re.compile(r"(?<!\\)((?:\\\\)*)\\[<>]")


def extended(pattern: str, parameter: str) -> str:
    """A POSIX extended expression in Python's words: case does not count, ``^`` and ``$`` mean lines.

    Empty stays empty. Raises :class:`ParameterError` when it is none.
    """
    if not pattern:
        return ""
    text = re.sub(r"\[:(\w+):\]", lambda match: _CLASSES.get(match[1], match[0]), pattern)
    text = "(?im)" + _WORD_EDGE.sub(r"\1\\b", text)
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ParameterError(f"{parameter} = {pattern!r} is no regular expression: {error}") from None
    return text
