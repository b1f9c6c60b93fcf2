"""Tomcat's server.xml: connectors and the shutdown port, with ``${property}`` replaced as Tomcat replaces it.

Rules, measured on Tomcat 10.1: a property of catalina.properties wins over ``-D`` of the same name; an expression
``${name:-default}`` has a default; a property that nobody sets makes the port unusable; an AJP connector without an
address listens on loopback; the shutdown port is 8005 and on localhost where nothing is said, and -1 switches it off.
Tomcat includes external entities, so this reader does too, but only plain files below the folder of server.xml: nothing
is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

from resource_agents.layouts import Address
from resource_agents.parsing.addresses import listened
from resource_agents.parsing.faults import unreadable

#: Characters that an internal entity may have: room for a port or a path, none for a bomb.
ENTITY_LIMIT = 4096

_PROPERTY = re.compile(r"\$\{([^{}]+)\}")
_OPTION = re.compile(r"""(?:^|[\s"'=])-D([\w.\-]+)=([^\s"']*)""")


@dataclass(frozen=True, slots=True)
class Connectors:
    """What server.xml opens: HTTP(S) and AJP connectors in its order, the shutdown port, and the files that say so."""

    http: tuple[Address, ...]
    ajp: tuple[Address, ...]
    shutdown: Address | None
    files: tuple[str, ...]


def options(text: str) -> dict[str, str]:
    """The ``-Dname=value`` words in Java options, or in the text of a setenv.sh (which is not run)."""
    return dict(_OPTION.findall(text))


def properties(text: str) -> dict[str, str]:
    """A Java properties file: ``name=value``, ``name: value``, comments, lines continued by a backslash."""
    found: dict[str, str] = {}
    joined = re.sub(r"\\\r?\n[ \t]*", "", text)
    for line in joined.splitlines():
        match = re.match(r"\s*([^#!\s=:][^\s=:]*)\s*[=:\s]\s*(.*?)\s*$", line)
        if match:
            found[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
    return found


def substitute(text: str, known: Mapping[str, str]) -> str:
    """``text`` with each known ``${property}`` replaced; an unknown one stays as it is, as Tomcat leaves it."""

    def value(match: re.Match[str]) -> str:
        name, colon, default = match[1].partition(":-")
        return known.get(name, default if colon else match[0])

    return _PROPERTY.sub(value, text)


def read(path: str, known: Mapping[str, str]) -> Connectors:
    """Read server.xml. Raises :class:`ConfigurationUnreadable` with file and line."""
    reader = _Reader(Path(path), known)
    reader.parse(path)
    return Connectors(tuple(reader.http), tuple(reader.ajp), reader.shutdown, tuple(reader.files))


@dataclass
class _Reader:
    path: Path
    known: Mapping[str, str]
    http: list[Address] = field(default_factory=list)
    ajp: list[Address] = field(default_factory=list)
    shutdown: Address | None = None
    files: list[str] = field(default_factory=list)
    offset: int = 0

    def parse(self, path: str, into: expat.XMLParserType | None = None) -> None:
        parser = into or expat.ParserCreate()
        parser.StartElementHandler = self._element
        parser.EntityDeclHandler = self._declared
        parser.ExternalEntityRefHandler = lambda context, _base, system, _public: self._include(parser, context, system)
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.files.append(path)
        try:
            parser.Parse(Path(path).read_bytes(), True)
        except OSError as error:
            raise unreadable(
                path, 0, error.strerror or str(error), missing=isinstance(error, FileNotFoundError)
            ) from error
        except expat.ExpatError as error:
            raise unreadable(path, error.lineno, expat.ErrorString(error.code)) from error

    def _declared(self, name: str, _parameter: bool, value: str | None, *_rest: object) -> None:
        if value is not None and ("&" in value or len(value) > ENTITY_LIMIT):
            raise unreadable(str(self.path), 0, f"entity {name!r} is built from entities or too long")

    def _include(self, parser: expat.XMLParserType, context: str | None, system: str | None) -> int:
        url = urlsplit(system or "")
        folder = self.path.parent.resolve()
        target = (folder / unquote(url.path)).resolve()
        if url.scheme not in ("", "file") or url.netloc or not target.is_relative_to(folder) or not target.is_file():
            raise unreadable(str(self.path), 0, f"entity file {system!r} is not a file below {folder}")
        self.parse(str(target), parser.ExternalEntityParserCreate(context))
        return 1

    def _element(self, tag: str, attributes: Mapping[str, str]) -> None:
        said = {name: substitute(value, self.known) for name, value in attributes.items()}
        if tag == "Server":
            self.offset = _number(said.get("portOffset", "0")) or 0
            port = _number(said.get("port", "8005"))
            if port is not None and 0 < port + self.offset < 65536:
                self.shutdown = Address(listened(said.get("address", "localhost")), port + self.offset)
        elif tag == "Connector":
            self._connector(said)

    def _connector(self, said: Mapping[str, str]) -> None:
        port = _number(said.get("port", ""))
        if port is None or port <= 0 or port + self.offset > 65535 or "unixDomainSocketPath" in said:
            return
        host = said.get("address", "")
        if "ajp" in said.get("protocol", "").lower():
            self.ajp.append(Address(listened(host or "localhost"), port + self.offset))
        else:
            tls = said.get("SSLEnabled", "").lower() in ("true", "yes")
            self.http.append(Address(listened(host), port + self.offset, tls))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*[-+]?\d+\s*", text) else None


def first(paths: Iterable[Path]) -> str:
    """The text of the first file that can be read; empty when none can."""
    for path in paths:
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
    return ""
