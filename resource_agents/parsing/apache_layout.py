"""What an Apache configuration says to a watcher: listeners, files, locks, and a page the server answers by itself.

A relative path counts from ServerRoot. An address speaks TLS when the virtual host (or the main server, where there is
none) for it has an engine on, or when its protocol is https and there is a certificate.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from resource_agents.layouts import Address, ConfigurationUnreadable
from resource_agents.parsing.addresses import listened
from resource_agents.parsing.apache_conf import Directive, Reader, Section
from resource_agents.parsing.apache_program import compiled
from resource_agents.parsing.doors import Door
from resource_agents.parsing.faults import unreadable

_ENGINES = frozenset({"sslengine", "gnutlsenable"})
_CERTIFICATES = frozenset({"sslcertificatefile", "sslcertificatekeyfile", "gnutlscertificatefile"})
_STATUS = frozenset({"server-status", "server_status"})
_LOGS = ("errorlog", "customlog", "transferlog")
_HOST_NAME = re.compile(r"(?:\w+://)?([A-Za-z0-9.-]+)(?::\d+)?")


@dataclass(frozen=True, slots=True)
class Apache:
    """What the configuration says. ``doors`` are ways in without a client certificate or proxy header, best first."""

    root: str
    addresses: tuple[Address, ...]
    doors: tuple[Door, ...]
    pidfile: str
    user: str
    error_log: str
    semaphores: bool
    files: tuple[str, ...]
    writes: tuple[str, ...]
    names: tuple[tuple[Address, str], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line adds: ``defines`` of -D, ``before`` and ``after`` directives of -C and -c."""

    binary: str
    configfile: str
    root: str
    environment: Mapping[str, str]
    defines: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def read(asked: Asked) -> Apache:
    """Read the configuration. Raises :class:`ConfigurationUnreadable` with file and line, and the files so far."""
    reader = Reader(asked.binary, asked.root, asked.environment, dict.fromkeys(asked.defines, ""))
    try:
        reader.given(asked.before, "-C")
        reader.read(asked.configfile)
        reader.given(asked.after, "-c")
        return _Facts(reader, asked.binary).apache()
    except ConfigurationUnreadable as error:
        error.files = tuple(dict.fromkeys(reader.files))
        raise


class _Facts:
    def __init__(self, reader: Reader, binary: str) -> None:
        self._reader, self._program = reader, compiled(binary)
        self._named: dict[str, list[Directive]] = {}
        for directive in reader.directives:
            self._named.setdefault(directive.name, []).append(directive)
        self._engines = {self._host_of(d): d.words[0].lower() for d in self._all(*_ENGINES) if d.words}
        self._hosts = list(dict.fromkeys(s for d in reader.directives for s in d.inside if s.name == "virtualhost"))

    def apache(self) -> Apache:
        addresses = tuple(dict.fromkeys(self._addresses()))
        log = self._last("errorlog", self._program.error_log)
        pidfile = self._path(self._last("pidfile", self._program.pidfile))
        return Apache(
            root=self._reader.root,
            addresses=addresses,
            doors=tuple(self._doors(addresses)),
            pidfile=pidfile,
            user=_user(self._last("user")),
            error_log=self._log(log),
            semaphores=self._semaphores(),
            files=tuple(dict.fromkeys([*self._reader.files, *self._certificates()])),
            writes=tuple(filter(None, dict.fromkeys([self._log(log), *self._logs(), pidfile]))),
            names=tuple(dict.fromkeys(self._names(addresses))),
        )

    def _all(self, *names: str) -> Iterator[Directive]:
        return (directive for name in names for directive in self._named.get(name, ()))

    def _last(self, name: str, otherwise: str = "") -> str:
        """The main server's value: the last one outside any section counts."""
        found = [d.words[0] for d in self._all(name) if not d.inside and d.words]
        return found[-1] if found else otherwise

    def _path(self, path: str) -> str:
        return os.path.normpath(os.path.join(self._reader.root, path)) if path else ""

    def _log(self, log: str) -> str:
        """The file of a log; empty when it goes to a program or to syslog."""
        return "" if log == "syslog" or log.startswith("|") or re.match(r"\w+:", log) else self._path(log)

    def _logs(self) -> Iterator[str]:
        return (self._log(d.words[0]) for d in self._all(*_LOGS) if d.words)

    def _certificates(self) -> Iterator[str]:
        return (self._path(d.words[0]) for d in self._all(*_CERTIFICATES) if d.words and ":" not in d.words[0])

    def _semaphores(self) -> bool:
        """SysV semaphores: asked for by name, or the build's own choice for locks that nobody configured."""
        mechanisms = [(d.words[0].lower(), *d.words[1:]) for d in self._all("mutex", "acceptmutex") if d.words]
        if any(words[0].split(":")[0] == "sysvsem" for words in mechanisms):
            return True
        chosen = any("default" in words[1:] and words[0] not in ("default", "yes") for words in mechanisms)
        return self._program.sysvsem and not chosen

    def _addresses(self) -> Iterator[Address]:
        for directive in self._all("listen", "securelisten"):
            if not directive.words:
                continue
            host, port = _split(directive.words[0], directive)
            said = directive.words[1].lower() if len(directive.words) > 1 and "=" not in directive.words[1] else ""
            bare = Address(host, port)
            tls = directive.name == "securelisten" or self._tls(bare, said or ("https" if port == 443 else "http"))
            yield Address(host, port, tls)

    def _tls(self, address: Address, protocol: str) -> bool:
        by_protocol = "on" if protocol == "https" and any(self._all(*_CERTIFICATES)) else "off"
        otherwise = self._engines.get(None, by_protocol)
        covering = [self._engines.get(host, otherwise) for host in self._hosts if _covers(host, address)]
        return any(engine in ("on", "optional") for engine in covering or [otherwise])

    def _host_of(self, directive: Directive) -> Section | None:
        return next((section for section in directive.inside if section.name == "virtualhost"), None)

    def _doors(self, addresses: tuple[Address, ...]) -> Iterator[Door]:
        """A status page on a plain address first, then on a TLS one, then any address."""
        usable = sorted((each for each in addresses if self._open(each)), key=lambda each: each.tls)
        pages = list(self._status_pages())
        for address in usable:
            for host, path in pages:
                if host is None:
                    yield Door(address, path)
                elif _covers(host, address):
                    yield Door(address, path, self._server_name(host))
        for address in usable:
            yield Door(address)

    def _open(self, address: Address) -> bool:
        """Whether it lets a plain client in: no proxy protocol, no client certificate demanded of everybody."""
        for directive in self._all("remoteipproxyprotocol", "sslverifyclient"):
            host = self._host_of(directive)
            value = directive.words[0].lower() if directive.words else ""
            everywhere = not any(section.name != "virtualhost" for section in directive.inside)
            if everywhere and (host is None or _covers(host, address)):
                if directive.name == "remoteipproxyprotocol" and value == "on":
                    return False
                if directive.name == "sslverifyclient" and value == "require" and address.tls:
                    return False
        return True

    def _status_pages(self) -> Iterator[tuple[Section | None, str]]:
        if not self._reader.has("status_module"):
            return
        for directive in self._all("sethandler"):
            places = [section for section in directive.inside if section.name == "location"]
            if places and places[-1].words[:1] and directive.words and directive.words[0].lower() in _STATUS:
                path = places[-1].words[0]
                if re.fullmatch(r"/[^\s~*?\[\]^$|]*", path):
                    yield self._host_of(directive), path

    def _names(self, addresses: tuple[Address, ...]) -> Iterator[tuple[Address, str]]:
        for address in addresses:
            for host in self._hosts if address.tls else ():
                name = self._server_name(host)
                if name and _covers(host, address):
                    yield address, name

    def _server_name(self, host: Section) -> str:
        names = [d.words[0] for d in self._all("servername") if d.inside[-1:] == (host,) and d.words]
        match = _HOST_NAME.fullmatch(names[-1]) if names else None
        return match[1] if match else ""


def _covers(host: Section, address: Address) -> bool:
    """Whether a ``<VirtualHost>`` serves connections to this address."""
    for word in host.words:
        name, port = _rough(word)
        everywhere = name in ("*", "_default_", "") or not address.host or listened(name) in ("", address.host)
        if port in (0, address.port) and everywhere:
            return True
    return False


def _rough(word: str) -> tuple[str, int]:
    """Host and port of a word as far as it has them; port 0 for any."""
    host, colon, port = word.rpartition(":")
    if colon and not port.endswith("]") and (port.isdecimal() or port == "*"):
        return host, int(port[:6]) if port.isdecimal() else 0
    return word, 0


def _split(word: str, directive: Directive) -> tuple[str, int]:
    host, _, port = word.rpartition(":")
    if not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        raise unreadable(directive.file, directive.line, f"{word!r} is no port or address with a port")
    return listened(host.partition("%")[0]), int(port)


def _user(user: str) -> str:
    """The name of ``#33``, too; the number itself when nobody has it."""
    if not user.startswith("#"):
        return user
    try:
        return pwd.getpwuid(int(user[1:])).pw_name
    except (KeyError, ValueError, OverflowError):
        return user[1:]
