"""On which line each table and key of a TOML file stands; ``tomllib`` does not tell.

Only for text that ``tomllib`` has accepted: it finds places, it checks nothing. Keys inside inline tables are not
looked for; they stand where their table does.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str, ...]

_KEY = re.compile(r"""[ \t]*(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_SKIP = re.compile(
    r'"{3}(?:[^\\]|\\.)*?"{3,5}'  # a multi-line string may end in up to two quotes of its own
    r"|'{3}.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}]|\n|[^\[\]{}\"'#\n]+",
    re.DOTALL,
)


class Places:
    """Line numbers (from 1) of tables and keys, by their whole path."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        table: Path = ()
        at, counted, line = 0, 0, 1
        while at < len(text):
            line += text.count("\n", counted, at)
            counted = at
            if text[at] in " \t\r\n":
                at += 1
            elif text[at] == "#":
                at = _end_of_line(text, at)
            elif text[at] == "[":
                table, at = _path(text, at + (2 if text.startswith("[[", at) else 1))
                self._note(table, line)
                at = _end_of_line(text, at)
            else:
                path, at = _path(text, at)
                self._note((*table, *path), line)
                at = _end_of_value(text, at + 1)

    def line(self, *path: str) -> int | None:
        """The line of ``path``, or of the nearest thing around it; None when nothing of it is in the file."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None

    def _note(self, path: Path, line: int) -> None:
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)


def _path(text: str, at: int) -> tuple[Path, int]:
    parts: list[str] = []
    while match := _KEY.match(text, at):
        parts.append(_plain(match[0].strip()))
        at = match.end()
        if not text.startswith(".", at):
            break
        at += 1
    return tuple(parts), at


def _plain(key: str) -> str:
    if key.startswith(("'", '"')):
        return str(tomllib.loads(f"key = {key}")["key"])
    return key


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _end_of_value(text: str, at: int) -> int:
    """Just behind the line on which the value that begins at ``at`` ends."""
    depth = 0
    while match := _SKIP.match(text, at):
        at = match.end()
        if match[0] in ("[", "{"):
            depth += 1
        elif match[0] in ("]", "}"):
            depth -= 1
        elif match[0] == "\n" and depth == 0:
            return at
    return _end_of_line(text, at)
