"""What a terminal can show, and text laid out in its columns."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

#: Columns: less cannot show anything, more nobody has.
LEAST, WIDEST = 24, 400


@dataclass(frozen=True, slots=True)
class Look:
    """What the terminal can show."""

    width: int = 100
    unicode: bool = True
    colour: bool = False

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text.strip() else text

    def fit(self, text: str) -> str:
        """The text in the letters there are."""
        return text if self.unicode else text.encode("ascii", "replace").decode()

    @property
    def good(self) -> str:
        """One mark for each node that answers."""
        return "━═╍┄≡≈∿░" if self.unicode else "123456789"

    @property
    def line(self) -> str:
        return "─" if self.unicode else "-"

    @property
    def tick(self) -> str:
        return "┬" if self.unicode else "+"

    @property
    def bad(self) -> str:
        return "╳" if self.unicode else "X"


def look(environment: Mapping[str, str]) -> Look:
    """What stdout can show: Unicode only where the locale says so, colours only on a terminal without ``NO_COLOR``."""
    locale = next((value for key in ("LC_ALL", "LC_CTYPE", "LANG") if (value := environment.get(key))), "C")
    can = "utf-8" in (locale.lower().replace("utf8", "utf-8")) and (sys.stdout.encoding or "").lower() == "utf-8"
    colour = sys.stdout.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Look(min(max(shutil.get_terminal_size((100, 24)).columns, LEAST), WIDEST), can, colour)


def cells(text: str) -> int:
    """The columns that a harmless text takes."""
    return sum(_cell(char) for char in text)


def _cell(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) == "Me":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """As much of a text as fits into so many columns."""
    return wrap(text, width)[0] if cells(text) > width else text


def pad(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def wrap(text: str, width: int) -> list[str]:
    """The words of a text in lines of at most ``width`` columns; at least one line."""
    width, lines = max(width, 8), [""]
    for word in text.split():
        if lines[-1] and cells(lines[-1]) + 1 + cells(word) <= width:
            lines[-1] += " " + word
            continue
        if lines[-1]:
            lines.append("")
        for char in word:
            if cells(lines[-1]) + _cell(char) > width:
                lines.append("")
            lines[-1] += char
    return lines
