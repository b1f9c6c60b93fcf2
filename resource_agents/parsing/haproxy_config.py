"""HAProxy's configuration: what its frontends bind, its sockets and files, and a URI that it answers by itself.

One statement per line, words with shell-like quotes, sections begun by a keyword. Lines between ``.if`` and ``.endif``
depend on how the binary was built: what may not be there cannot be demanded, so they are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resource_agents.layouts import Address
from resource_agents.parsing.addresses import listened
from resource_agents.parsing.faults import unreadable

_SECTION = re.compile(
    r"global|defaults|frontend|listen|backend|peers|resolvers|mailers|userlist|cache|program|http-errors|ring"
    r"|log-forward|log-profile|fcgi-app|crt-store|traces|acme"
)
_BINDS = frozenset({"frontend", "listen", "peers", "log-forward"})
_ELSEWHERE = ("/", "unix@", "abns@", "abnsz@", "fd@", "sockpair@", "quic4@", "quic6@", "rhttp@", "rev@", "udp@")
_VARIABLE = re.compile(r"\$\{(\w+)(?:-([^}]*))?\}|\$(\w+)")
_WORD = re.compile(r"""(?P<end>\#.*)|(?P<space>\s+)|\\(?P<escaped>.)|'(?P<plain>[^']*)'|(?P<text>[^\s\\'"\#]+)""")


@dataclass(frozen=True, slots=True)
class Haproxy:
    """What the configuration says. ``monitor`` is an address and a URI that HAProxy itself answers, ``stats`` the first
    stats socket."""

    addresses: tuple[Address, ...]
    pidfile: str
    user: str
    stats: Address | str
    monitor: tuple[Address, str] | None
    master: bool
    files: tuple[str, ...]


def files_of(paths: Sequence[str]) -> list[str]:
    """The files that ``-f`` reads for these files and folders: of a folder, its *.cfg files by name."""
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            inside = sorted(name for name in os.listdir(path) if name.endswith(".cfg") and not name.startswith("."))
            found += [os.path.join(path, name) for name in inside]
        else:
            found.append(path)
    return found


def read(paths: Sequence[str], environment: Mapping[str, str]) -> Haproxy:
    """Read these files and folders in order. Raises :class:`ConfigurationUnreadable` with file and line."""
    reader = _Reader(dict(environment))
    files = files_of(paths)
    for path in files:
        reader.file(path)
    return Haproxy(
        addresses=tuple(dict.fromkeys(reader.addresses)),
        pidfile=reader.said.get("pidfile", ""),
        user=reader.said.get("user", ""),
        stats=reader.stats,
        monitor=reader.monitor(),
        master="master-worker" in reader.said,
        files=tuple(files),
    )


def words(line: str, environment: Mapping[str, str]) -> list[str] | None:
    """The words of a line; None when a quote is not closed."""
    found: list[str] = []
    word: str | None = None
    at = 0
    while at < len(line):
        if line[at] == '"':
            end = re.compile(r'(?:[^"\\]|\\.)*"').match(line, at + 1)
            if end is None:
                return None
            word = (word or "") + _expand(re.sub(r"\\(.)", r"\1", end[0][:-1]), environment)
            at = end.end()
            continue
        match = _WORD.match(line, at)
        if match is None or match.lastgroup is None:
            return None
        at = match.end()
        if match.lastgroup in ("end", "space"):
            if word is not None:
                found.append(word)
            word = None
        else:
            text = match[match.lastgroup]
            word = (word or "") + (_expand(text, environment) if match.lastgroup == "text" else text)
    return found if word is None else [*found, word]


def _expand(text: str, environment: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: environment.get(match[1] or match[3], match[2] or ""), text)


@dataclass
class _Proxy:
    kind: str
    mode: str = "tcp"
    monitor: str = ""
    addresses: list[Address] = field(default_factory=list)


@dataclass
class _Reader:
    environment: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)
    stats: Address | str = ""
    addresses: list[Address] = field(default_factory=list)
    proxies: list[_Proxy] = field(default_factory=list)
    defaults: dict[str, _Proxy] = field(default_factory=dict)
    section: _Proxy | None = None

    def file(self, path: str) -> None:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            raise unreadable(path, 0, error.strerror or str(error), missing=missing) from error
        self.section = None
        depth = 0
        for number, line in enumerate(text.splitlines(), 1):
            said = words(line, self.environment)
            if said is None:
                raise unreadable(path, number, "a quote is not closed")
            if said and said[0] in (".if", ".endif"):
                depth += 1 if said[0] == ".if" else -1
            elif said and depth == 0 and not said[0].startswith("."):
                self._statement(path, number, said)

    def monitor(self) -> tuple[Address, str] | None:
        for proxy in self.proxies:
            if proxy.monitor and proxy.mode == "http" and proxy.addresses:
                return proxy.addresses[0], proxy.monitor
        return None

    def _statement(self, path: str, number: int, said: list[str]) -> None:
        keyword = said[1] if said[0] == "no" and len(said) > 1 else said[0]
        if _SECTION.fullmatch(said[0]):
            self._begin(path, number, said)
        elif self.section is None:
            raise unreadable(path, number, f"{said[0]!r} stands before any section")
        elif self.section.kind == "global":
            self._global(path, number, said)
        elif keyword == "bind" and self.section.kind in _BINDS and len(said) > 1:
            self._bind(path, number, said[1], "ssl" in said[2:])
        elif keyword == "mode" and len(said) > 1:
            self.section.mode = said[1]
        elif keyword == "monitor-uri":
            self.section.monitor = said[1] if len(said) > 1 and said[0] != "no" else ""

    def _begin(self, path: str, number: int, said: list[str]) -> None:
        parent = self.defaults.get(said[said.index("from") + 1] if "from" in said[:-1] else "")
        self.section = _Proxy(said[0], parent.mode, parent.monitor) if parent else _Proxy(said[0])
        if said[0] == "defaults":
            self.defaults[""] = self.section
            if len(said) > 1 and said[1] != "from":
                self.defaults[said[1]] = self.section
        elif said[0] in ("frontend", "listen"):
            self.proxies.append(self.section)
            if len(said) > 2 and said[2] != "from":
                self._bind(path, number, said[2], False)

    def _global(self, path: str, number: int, said: list[str]) -> None:
        if said[0] in ("setenv", "presetenv") and len(said) > 2:
            if said[0] == "setenv" or said[1] not in self.environment:
                self.environment[said[1]] = said[2]
        elif said[:2] == ["stats", "socket"] and len(said) > 2 and not self.stats:
            tcp = [] if said[2].startswith(_ELSEWHERE) else list(_addresses(path, number, said[2], False))
            self.addresses += tcp
            self.stats = tcp[0] if tcp else said[2].removeprefix("unix@") if said[2].startswith(("/", "unix@")) else ""
        elif said[0] in ("pidfile", "user", "master-worker"):
            self.said[said[0]] = said[1] if len(said) > 1 else ""

    def _bind(self, path: str, number: int, text: str, tls: bool) -> None:
        assert self.section is not None
        found = list(_addresses(path, number, text, tls))
        self.addresses += found
        self.section.addresses += found


def _addresses(path: str, number: int, text: str, tls: bool) -> Iterator[Address]:
    """Every TCP address of a bind word: a list, port ranges, any family; what a variable left empty is left out."""
    for part in text.split(","):
        if not part or part.startswith(_ELSEWHERE):
            continue
        host, colon, ports = re.sub(r"^(ipv4|ipv6|tcp|tcp4|tcp6|mptcp|mptcp4|mptcp6)@", "", part).rpartition(":")
        if not ports:
            continue
        low, _, high = ports.partition("-")
        if not colon or not low.isdigit() or not (high or low).isdigit():
            raise unreadable(path, number, f"{part!r} is no address with a port")
        if int(high or low) > 65535:
            raise unreadable(path, number, f"{part!r} has a port above 65535")
        for port in range(int(low), int(high or low) + 1):
            yield Address(listened(host), port, tls)
