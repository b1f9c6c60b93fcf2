"""The surface of Apache's configuration: lines that go on after a backslash, words with quotes, ``${NAME}``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_WORD = re.compile(
    r""""(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|["'](?P<rest>.*)|\S+""",
    re.DOTALL | re.ASCII,
)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_ESCAPED = re.compile(r"""\\([\\"'])""")


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line, stripped, with the number of its last physical line (the one Apache names in errors)."""

    number: int
    text: str


def lines(text: str) -> Iterator[Line]:
    """All logical lines that are neither empty nor comments; a comment too goes on after a backslash."""
    held = ""
    number = 0
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if line.endswith("\\"):
            held += line[:-1]
            continue
        line, held = (held + line).strip(), ""
        if line and not line.startswith("#"):
            yield Line(number, line)
    if held.strip() and not held.lstrip().startswith("#"):
        yield Line(number, held.strip())


def words(text: str) -> list[str]:
    """The words of a directive's arguments, without their quotes; a quote that never ends runs to the line's end."""
    found = []
    for match in _WORD.finditer(text):
        kind = match.lastgroup
        found.append(_ESCAPED.sub(r"\1", match[kind]) if kind else match[0])
    return found


def expanded(text: str, *variables: Mapping[str, str]) -> str:
    """``${NAME}`` replaced by the first mapping that knows it; what nobody knows stays as it is."""

    def value(match: re.Match[str]) -> str:
        return next((known[match[1]] for known in variables if match[1] in known), match[0])

    return _VARIABLE.sub(value, text) if "${" in text else text
