"""What an nginx configuration says to a watcher: listeners, files, and a page that nginx answers by itself.

A server that drops every request (``return 444``), refuses handshakes, or wants the PROXY protocol is no way in.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ocf.programs import run
from resource_agents.layouts import Address
from resource_agents.parsing.addresses import listened
from resource_agents.parsing.doors import Door
from resource_agents.parsing.faults import unreadable
from resource_agents.parsing.nginx_conf import Reader, Statement

TIMEOUT = 5.0

_NAME = re.compile(r"\.?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)")
_FILES = frozenset({"ssl_certificate", "ssl_certificate_key", "ssl_trusted_certificate", "ssl_password_file"})


@dataclass(frozen=True, slots=True)
class Program:
    """What a binary has compiled in; relative paths count from ``prefix``."""

    prefix: str = "/usr/local/nginx"
    configfile: str = "conf/nginx.conf"
    pidfile: str = "logs/nginx.pid"
    error_log: str = "logs/error.log"
    user: str = "nobody"


@dataclass(frozen=True, slots=True)
class Nginx:
    """What the configuration says. ``daemon`` is None where it says nothing about that."""

    addresses: tuple[Address, ...]
    doors: tuple[Door, ...]
    pidfile: str
    user: str
    error_log: str
    daemon: bool | None
    files: tuple[str, ...]
    writes: tuple[str, ...]
    names: tuple[tuple[Address, str], ...]


@dataclass(frozen=True, slots=True)
class _Listen:
    addresses: tuple[Address, ...]
    default: bool
    open: bool


def compiled(binary: str) -> Program:
    """The defaults of this binary; those of the sources when it cannot be run."""
    try:
        found = os.stat(binary)
    except OSError:
        return Program()
    return _settings(binary, (found.st_mtime_ns, found.st_size, found.st_ino))


@lru_cache(maxsize=16)
def _settings(binary: str, _stamp: tuple[int, int, int]) -> Program:
    words = re.search(r"configure arguments: *(.*)", run([binary, "-V"], TIMEOUT).output)
    try:
        given = shlex.split(words[1]) if words else []
    except ValueError:
        given = []
    said = dict(word.removeprefix("--").split("=", 1) for word in given if "=" in word)
    usual = Program()
    return Program(
        prefix=said.get("prefix", usual.prefix),
        configfile=said.get("conf-path", usual.configfile),
        pidfile=said.get("pid-path", usual.pidfile),
        error_log=said.get("error-log-path", usual.error_log),
        user=said.get("user", usual.user),
    )


def read(binary: str, configfile: str, prefix: str, options: str = "") -> Nginx:
    """Read the configuration. Raises :class:`ConfigurationUnreadable` with file and line, and the files so far."""
    program = compiled(binary)
    reader = Reader(configfile)
    tree = reader.tree(options)
    prefix = prefix or program.prefix
    servers = [_Server(each) for http in tree.all("http") for each in http.all("server")]
    others = [each for kind in ("stream", "mail") for top in tree.all(kind) for each in top.all("server")]
    addresses = [a for server in servers for listen in server.listens for a in listen.addresses]
    addresses += [a for each in others for listen in _listens(each) for a in listen.addresses]
    log = tree.value("error_log", program.error_log)
    daemon = tree.value("daemon")
    pidfile = _path(prefix, tree.value("pid", program.pidfile))
    logs = (_path(prefix, path) for path in _logs(tree))
    certificates = (os.path.join(os.path.dirname(configfile), path) for path in _certificates(tree))
    return Nginx(
        addresses=tuple(dict.fromkeys(addresses)),
        doors=tuple(_doors(servers)),
        pidfile=pidfile,
        user=tree.value("user", program.user),
        error_log=_path(prefix, log) if _is_file(log) else "",
        daemon=None if not daemon else daemon.lower() == "on",
        files=tuple(dict.fromkeys([*reader.files, *certificates])),
        writes=tuple(dict.fromkeys([*logs, pidfile])),
        names=tuple(dict.fromkeys(_names(servers))),
    )


def _path(prefix: str, path: str) -> str:
    return os.path.normpath(os.path.join(prefix, path))


def _is_file(log: str) -> bool:
    return log not in ("stderr", "off") and not log.startswith(("syslog:", "memory:")) and "$" not in log


def _logs(tree: Statement) -> Iterator[str]:
    """Logs that nginx opens when it starts, and does not start without; the compiled-in one is not among them."""
    for each in tree.below():
        if each.name in ("error_log", "access_log") and len(each.words) > 1 and _is_file(each.words[1]):
            yield each.words[1]


def _names(servers: list[_Server]) -> Iterator[tuple[Address, str]]:
    for server in servers:
        tls = [a for listen in server.listens if listen.open for a in listen.addresses if a.tls]
        yield from ((address, server.name) for address in tls if server.name and not server.refuses)


def _certificates(tree: Statement) -> Iterator[str]:
    for each in tree.below():
        if each.name in _FILES and len(each.words) == 2 and not each.words[1].startswith(("data:", "engine:", "$")):
            yield each.words[1]


class _Server:
    """One ``server`` of ``http``."""

    def __init__(self, said: Statement) -> None:
        self.listens = list(_listens(said))
        if not any(True for _ in said.all("listen")):
            self.listens = [_Listen((Address("", 80 if os.geteuid() == 0 else 8000),), False, True)]
        names = (name for each in said.all("server_name") for name in each.words[1:])
        self.name = next((match[1] for name in names if (match := _NAME.fullmatch(name))), "")
        self.page = next(_status_pages(said), "")
        whole = [each for each in said.all("location") if each.words[1:] in (("/",), ("^~", "/"))]
        self.refuses = said.value("ssl_reject_handshake") == "on"
        self.drops = any(each.words[1:2] == ("444",) for top in [said, *whole] for each in top.all("return"))


def _listens(server: Statement) -> Iterator[_Listen]:
    everything = server.value("ssl") == "on"
    for said in server.all("listen"):
        if len(said.words) < 2 or said.words[1].startswith("unix:"):
            continue
        options = {word.partition("=")[0] for word in said.words[2:]}
        if options & {"quic", "udp"}:
            continue
        tls = everything or "ssl" in options
        host, ports = _split(said)
        addresses = tuple(Address(host, port, tls) for port in ports)
        yield _Listen(addresses, bool(options & {"default_server", "default"}), "proxy_protocol" not in options)


def _split(said: Statement) -> tuple[str, range]:
    """Host and ports of the forms ``80``, ``host``, ``host:80``, ``[::1]:80`` and ``host:80-90``."""
    match = re.fullmatch(r"(?:(\[[^\]]*\]|[\w.*-]*):)?(\d{1,5})(?:-(\d{1,5}))?", said.words[1])
    if match is None:
        if re.fullmatch(r"\[[0-9a-fA-F:.]+\]|[\w.*-]+", said.words[1]):
            return listened(said.words[1]), range(80, 81)
        raise unreadable(said.file, said.line, f"{said.words[1]!r} is no address to listen on")
    low, high = int(match[2]), int(match[3] or match[2])
    if not 0 < low <= high < 65536:
        raise unreadable(said.file, said.line, f"{said.words[1]!r} has no valid port")
    return listened(match[1] or ""), range(low, high + 1)


def _status_pages(server: Statement) -> Iterator[str]:
    """Paths whose location answers with ``stub_status``; of nested locations the innermost path counts."""
    waiting = [(each, "") for each in server.block]
    while waiting:
        each, path = waiting.pop(0)
        if each.name == "stub_status" and path:
            yield path
        if each.name == "location":
            path = _prefix(each.words[1:])
        waiting += [(inner, path) for inner in each.block]


def _prefix(words: tuple[str, ...]) -> str:
    """A path that leads into this location; empty for regular expressions and names."""
    if len(words) == 2 and words[0] in ("=", "^~") and words[1].startswith("/"):
        return words[1]
    path = words[0].removeprefix("=") if len(words) == 1 else ""
    return path if path.startswith("/") else ""


def _doors(servers: list[_Server]) -> Iterator[Door]:
    """Status pages first, then any server that answers at all; plain addresses before TLS ones."""
    defaults: dict[tuple[str, int], _Server] = {}
    for wanted in (True, False):
        for server in servers:
            for listen in server.listens:
                for address in listen.addresses:
                    if listen.default or not wanted:
                        defaults.setdefault((address.host, address.port), server)
    ways = [
        (server, address)
        for server in servers
        for listen in server.listens
        if listen.open
        for address in listen.addresses
        if not (address.tls and server.refuses) and (server.name or defaults[address.host, address.port] is server)
    ]
    ways.sort(key=lambda way: way[1].tls)
    yield from (Door(address, server.page, server.name) for server, address in ways if server.page)
    yield from (Door(address, "", server.name) for server, address in ways if not server.drops)
