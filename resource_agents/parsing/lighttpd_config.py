"""lighttpd's configuration: where it listens, its pid file, user, log and workers.

The language is a sequence of assignments, conditional blocks and includes; line ends mean nothing. ``include_shell``
runs a program for more of it: that is not done here, so what such a program adds stays unknown (Debian adds the IPv6
twin of server.port that way). Settings inside conditions other than ``$SERVER["socket"]`` say nothing about listening.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resource_agents.layouts import Address, ConfigurationUnreadable
from resource_agents.parsing.addresses import listened
from resource_agents.parsing.faults import unreadable

#: Deepest nesting of includes; lighttpd itself stops at 1000 includes.
INCLUDE_LIMIT = 32

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)|(?P<string>"(?:[^"\\]|\\.)*"|'[^']*')|(?P<number>\d+)"""
    r"""|(?P<condition>\$\w+\s*(?:\[\s*"[^"]*"\s*\])?)|(?P<sign>=>|\+=|:=|==|!=|=~|!~|=\^|=\$|[=(){},+;])"""
    r"""|(?P<name>[A-Za-z_][\w.\-]*)""",
    re.DOTALL,
)

Value = str | int | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lighttpd:
    """What the configuration says; ``workers`` 0 when one process does it all."""

    addresses: tuple[Address, ...]
    pidfile: str
    user: str
    error_log: str
    workers: int
    status_path: str
    files: tuple[str, ...]


def read(path: str, environment: Mapping[str, str]) -> Lighttpd:
    """Read the file and what it includes. Raises :class:`ConfigurationUnreadable` with file and line."""
    reader = _Reader(os.path.dirname(path), environment)
    reader.file(path, reader.settings)
    said = reader.settings
    modules = said.get("server.modules", ())
    status = isinstance(modules, tuple) and "mod_status" in modules
    return Lighttpd(
        addresses=tuple(dict.fromkeys(reader.addresses())),
        pidfile=_text(said.get("server.pid-file")),
        user=_text(said.get("server.username")),
        error_log=_text(said.get("server.errorlog")),
        workers=_number(said.get("server.max-worker")) or 0,
        status_path=_text(said.get("status.status-url")) if status else "",
        files=tuple(reader.files),
    )


@dataclass
class _Tokens:
    path: str
    text: str
    at: int = 0

    def peek(self) -> tuple[str, str]:
        """The kind and text of the next token; both empty at the end."""
        while self.at < len(self.text):
            match = _TOKEN.match(self.text, self.at)
            if match is None:
                raise self.wrong()
            if match.lastgroup != "space":
                return str(match.lastgroup), match[0]
            self.at = match.end()
        return "", ""

    def take(self, *wanted: str) -> tuple[str, str]:
        """The next token; when ``wanted`` is given its kind or text must be one of them."""
        kind, text = self.peek()
        if wanted and kind not in wanted and text not in wanted:
            raise self.wrong()
        self.at += len(text)
        return kind, text

    def line(self) -> int:
        """The line that has been read up to."""
        return self.text.count("\n", 0, self.at) + 1

    def wrong(self) -> ConfigurationUnreadable:
        line = self.line()
        near = self.text[self.at :].split("\n", 1)[0].strip()[:40] or "the end of the file"
        return unreadable(self.path, line, f"cannot be understood near {near!r}")


@dataclass
class _Reader:
    folder: str
    environment: Mapping[str, str]
    settings: dict[str, Value] = field(default_factory=dict)
    sockets: list[tuple[str, dict[str, Value]]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    depth: int = 0

    def file(self, path: str, scope: dict[str, Value]) -> None:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise unreadable(path, 0, error.strerror or str(error), missing=missing) from error
        self.files.append(path)
        tokens = _Tokens(path, text)
        while tokens.peek()[0]:
            self._statement(tokens, scope)

    def addresses(self) -> list[Address]:
        said = self.settings
        tls = said.get("ssl.engine") == "enable"
        port = _number(said.get("server.port")) or (443 if tls else 80)
        found = [_address(_text(said.get("server.bind")), port, tls)]
        for text, inside in self.sockets:
            found.append(_address(text, port, inside.get("ssl.engine", said.get("ssl.engine")) == "enable"))
        return [address for address in found if address is not None]

    def _statement(self, tokens: _Tokens, scope: dict[str, Value]) -> None:
        kind, text = tokens.take("name", "condition", ";", "}")
        if text == ";":
            return
        if kind == "condition":
            self._conditional(tokens, text, scope)
        elif text in ("else", "elseif", "elsif", "if"):
            if tokens.peek()[1] == "{":
                self._block(tokens, {})
        elif text == "global" and tokens.peek()[1] == "{":
            self._block(tokens, self.settings)
        elif text == "include":
            self._include(tokens, scope)
        elif text == "include_shell":
            self._value(tokens, scope)
        elif kind == "name":
            _, sign = tokens.take("=", "+=", ":=")
            target = self.settings if text.startswith("var.") else scope
            value = self._value(tokens, scope)
            target[text] = _add(target[text], value) if sign == "+=" and text in target else value
        else:
            raise tokens.wrong()

    def _conditional(self, tokens: _Tokens, name: str, scope: dict[str, Value]) -> None:
        _, sign = tokens.take("==", "!=", "=~", "!~", "=^", "=$")
        value = self._value(tokens, scope)
        inside: dict[str, Value] = {}
        if "socket" in name and sign == "==":
            self.sockets.append((_text(value), inside))
        self._block(tokens, inside)

    def _block(self, tokens: _Tokens, scope: dict[str, Value]) -> None:
        tokens.take("{")
        while tokens.peek()[1] != "}":
            if not tokens.peek()[0]:
                raise tokens.wrong()
            self._statement(tokens, scope)
        tokens.take("}")

    def _value(self, tokens: _Tokens, scope: Mapping[str, Value]) -> Value:
        kind, text = tokens.take("string", "number", "name", "(")
        value: Value
        if kind == "string":
            value = re.sub(r"\\(.)", r"\1", text[1:-1]) if text[0] == '"' else text[1:-1]
        elif kind == "number":
            value = int(text)
        elif kind == "name":
            known = self.environment.get(text[4:], "") if text.startswith("env.") else self.settings.get(text, "")
            value = scope.get(text, known)
        else:
            value = self._array(tokens, scope)
        if tokens.peek()[1] == "+":
            tokens.take("+")
            return _add(value, self._value(tokens, scope))
        return value

    def _array(self, tokens: _Tokens, scope: Mapping[str, Value]) -> tuple[str, ...]:
        found: list[str] = []
        while tokens.peek()[1] != ")":
            value = self._value(tokens, scope)
            if tokens.peek()[1] == "=>":
                tokens.take("=>")
                self._value(tokens, scope)
            found.append(_text(value))
            if tokens.peek()[1] != ")":
                tokens.take(",")
        tokens.take(")")
        return tuple(found)

    def _include(self, tokens: _Tokens, scope: dict[str, Value]) -> None:
        line = tokens.line()
        pattern = os.path.join(self.folder, _text(self._value(tokens, scope)))
        paths = sorted(glob.glob(pattern))
        if not paths and not glob.has_magic(pattern):
            raise unreadable(tokens.path, line, f"include file {pattern} is not there")
        if self.depth >= INCLUDE_LIMIT:
            raise unreadable(tokens.path, line, "includes are nested too deeply")
        self.depth += 1
        for path in paths:
            self.file(path, scope)
        self.depth -= 1


def _add(left: Value, right: Value) -> Value:
    if isinstance(left, tuple) or isinstance(right, tuple):
        return (*(left if isinstance(left, tuple) else ()), *(right if isinstance(right, tuple) else ()))
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return _text(left) + _text(right)


def _text(value: Value | None) -> str:
    return "" if value is None or isinstance(value, tuple) else str(value)


def _number(value: Value | None) -> int | None:
    text = _text(value)
    return int(text) if text.isdigit() else None


def _address(text: str, port: int, tls: bool) -> Address | None:
    """``host``, ``host:port``, ``[v6]:port``, ``:port``; None for a Unix socket, which nobody dials from a network."""
    if text.startswith(("/", "unix:")):
        return None
    host, bracket, rest = text.partition("]")
    if bracket:
        said = rest.removeprefix(":")
    else:
        host, _, said = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    return Address(listened(host), int(said) if said.isdigit() else port, tls)
