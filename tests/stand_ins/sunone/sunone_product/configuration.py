"""The product's own, strict reading of server.xml, obj.conf and magnus.conf, with its messages."""

import os
import pwd
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from sunone_product.place import Place

KNOWN = frozenset(
    [
        "server",
        "log",
        "log-file",
        "log-level",
        "temp-path",
        "user",
        "http-listener",
        "name",
        "ip",
        "port",
        "enabled",
        "ssl",
        "server-name",
        "default-virtual-server-name",
        "virtual-server",
        "host",
        "http-listener-name",
        "document-root",
        "thread-pool",
        "max-threads",
        "pkcs11",
        "token",
        "pin",
        "access-log",
        "file",
        "listen-queue-size",
    ]
)
DIRECTIVES = frozenset(
    ["user", "pidlog", "tempdir", "terminatetimeout", "maxprocs", "init", "serverid", "errorlog", "rqthrottle"]
)
FUNCTIONS = frozenset(
    [
        "document-root",
        "find-index",
        "index-common",
        "send-file",
        "type-by-extension",
        "force-type",
        "service-dump",
        "stats-xml",
        "check-acl",
        "assign-name",
        "pfx2dir",
        "flex-log",
    ]
)


class Broken(Exception):
    """The configuration cannot be used; ``lines`` are (severity, text) in the product's order."""

    def __init__(self, *lines: tuple[str, str]) -> None:
        super().__init__(lines)
        self.lines = lines


@dataclass(frozen=True)
class Listener:
    name: str
    host: str
    port: int
    tls: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host or '*'}:{self.port}"

    @property
    def place(self) -> tuple[str, int]:
        return self.host or "0.0.0.0", self.port


@dataclass
class Settings:
    listeners: list[Listener]
    user: str
    errors: str
    access: str
    document_root: str
    pin: str = ""
    max_threads: int = 128
    max_procs: int = 1
    terminate_timeout: float = 30.0
    functions: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read(place: Place) -> Settings:
    """Everything an instance needs. Raises :class:`Broken`."""
    root = _parse(place.config / "server.xml")
    settings = _read_six(place, root) if root.tag == "SERVER" else _read_seven(place, root)
    _read_magnus(place, settings)
    _read_objects(place, settings)
    if settings.user:
        try:
            pwd.getpwnam(settings.user)
        except KeyError:
            raise Broken(("failure", f"CORE3296: Cannot find user {settings.user}")) from None
    return settings


def temp_and_user(place: Place, strict: bool) -> tuple[str, str]:
    """What the start script needs to know (``strict``), or the stop script, which reads past errors. Raises Broken."""
    path = place.config / "server.xml"
    if strict:
        root = _parse(path)
        _check_names(path, root)
        _check_listeners(path, root)
    elif not path.exists():
        raise _missing(path)
    text = path.read_text(errors="replace")
    temp = re.search(r"<temp-path>\s*(.*?)\s*</temp-path>", text)
    user = re.search(r"<user>\s*(.*?)\s*</user>", text)
    return temp.group(1) if temp else f"/tmp/{place.instance.name}", user.group(1) if user else ""


def _missing(path: Path) -> Broken:
    return Broken(("config", f"CONF1115: Error opening {path} (File not found)"))


def _parse(path: Path) -> ElementTree.Element:
    if not path.exists():
        raise _missing(path)
    text = path.read_bytes()
    if not text.strip():
        raise Broken(("config", f"CONF1116: File {path} line 1: Expected <server>"))
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        where = f"File {path} line {error.position[0]}"
        raise Broken(("config", f"CONF1103: {where}: Error from XML parser: {error}")) from None


def _check_names(path: Path, root: ElementTree.Element) -> None:
    for element in root.iter():
        if root.tag == "server" and element.tag not in KNOWN:
            raise Broken(("config", f"CONF1117: File {path} line 1: <{element.tag}>: Unknown or unexpected element"))


def _check_listeners(path: Path, root: ElementTree.Element) -> None:
    servers = {server.findtext("name") for server in root.findall("virtual-server")}
    for element in root.findall("http-listener"):
        if not 0 < int(element.findtext("port", "80")) < 65536:
            raise Broken(("config", f"CONF1103: File {path} line 1: Error from XML parser: value out of range"))
        wanted = element.findtext("default-virtual-server-name")
        if wanted not in servers:
            text = f'CONF1110: File {path} line 1: No <virtual-server> with <name> "{wanted}" was defined'
            raise Broken(("config", text))


def _read_seven(place: Place, root: ElementTree.Element) -> Settings:
    path = place.config / "server.xml"
    _check_names(path, root)
    _check_listeners(path, root)
    listeners = [
        Listener(
            element.findtext("name", ""),
            element.findtext("ip", "").replace("*", ""),
            int(element.findtext("port", "80")),
            element.findtext("ssl/enabled", "false") == "true",
        )
        for element in root.findall("http-listener")
        if element.findtext("enabled", "true") == "true"
    ]
    return Settings(
        listeners=listeners,
        user=root.findtext("user", "").strip(),
        errors=_under(place, root.findtext("log/log-file", "../logs/errors")),
        access=_under(place, root.findtext("access-log/file", "../logs/access")),
        document_root=_under(place, root.findtext("virtual-server/document-root", "../docs")),
        pin=root.findtext("pkcs11/token/pin", ""),
        max_threads=int(root.findtext("thread-pool/max-threads", "128")),
    )


def _read_six(place: Place, root: ElementTree.Element) -> Settings:
    listeners = [
        Listener(e.get("id", ""), "" if e.get("ip") in ("any", None) else e.get("ip", ""), int(e.get("port", "80")))
        for e in root.iter("LS")
    ]
    paths = (_under(place, name) for name in ("../logs/errors", "../logs/access", "../docs"))
    return Settings(listeners, "", *paths)


def _read_magnus(place: Place, settings: Settings) -> None:
    path = place.config / "magnus.conf"
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(" ")
        match name.lower():
            case "maxprocs":
                settings.max_procs = int(value)
            case "terminatetimeout":
                settings.terminate_timeout = float(value)
            case "user":
                settings.user = settings.user or value.strip()
            case known if known and not known.startswith("#") and known not in DIRECTIVES:
                settings.warnings.append(f"CORE2176: {name} directive ignored")


def _read_objects(place: Place, settings: Settings) -> None:
    path = place.config / "obj.conf"
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else (), 1):
        if not line.strip() or line.lstrip().startswith("#") or re.fullmatch(r"\s*</?Object[^<>]*>\s*", line):
            continue
        found = re.fullmatch(r'\s*(\w+)\s+(?:.*\s)?fn="?([\w.-]+)"?(\s+[\w-]+=("[^"]*"|\S+))*\s*', line)
        if not found:
            raise Broken(
                ("failure", f"CONF2258: Error parsing file obj.conf, line {number}, column 1: Syntax error"),
                ("failure", "CORE3235: File obj.conf could not be read"),
            )
        settings.functions[found.group(2)] = found.group(1)


def unknown_function(settings: Settings) -> str:
    """The first function that obj.conf names and nobody knows; empty when all are known."""
    return next((name for name in settings.functions if name not in FUNCTIONS), "")


def _under(place: Place, path: str) -> str:
    return os.path.normpath(place.config / path.strip())
