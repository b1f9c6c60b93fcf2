"""Configuration of a Sun ONE / iPlanet / Sun Java System Web Server instance, read without the product.

Release 7.0 keeps everything in ``server.xml`` (elements ``http-listener``, ``temp-path``, ``user``, ``log``); 6.0 and
6.1 keep listeners in ``server.xml`` (elements ``LS``) and the rest in ``magnus.conf``. Names and defaults: the
product's configuration file references (6.0, 6.1) and the released source of 7.0 (heliod).
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from ocf.faults import Fault, Kind
from resource_agents.layouts import Address, ConfigurationUnreadable

#: Seconds that a worker waits for busy sessions at an orderly stop (magnus.conf TerminateTimeout).
TERMINATE_TIMEOUT = 30.0

_ANY = frozenset({"", "any", "*", "0.0.0.0", "::"})
_TRUE = frozenset({"true", "on", "yes", "1"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """What an instance's files say. Paths are absolute or empty; ``terminate_timeout`` is in seconds."""

    release: str
    listeners: tuple[Address, ...]
    temp_path: str
    pidfile: str
    user: str
    error_log: str
    files: tuple[str, ...]
    terminate_timeout: float = TERMINATE_TIMEOUT


def read(instance: Path) -> Configuration:
    """Read the instance directory's configuration. Raises :class:`ConfigurationUnreadable`."""
    path = instance / "config" / "server.xml"
    root = _parse(path)
    magnus = read_magnus(instance / "config" / "magnus.conf")
    files = tuple(str(path.parent / name) for name in ("server.xml", "magnus.conf", "obj.conf"))
    read_release = _read_seven if _name(root) == "server" else _read_six
    return read_release(instance, root, magnus, files)


def read_magnus(path: Path) -> dict[str, str]:
    """Directives of a ``magnus.conf`` by lower-case name; empty when the file cannot be read (7.0 needs none)."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.split(None, 1) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return {pair[0].lower(): pair[1].strip().strip('"') for pair in pairs if len(pair) == 2}


def release_of(instance: Path) -> str:
    """``7.0`` or ``6.1``, by the scripts and files in the instance directory; a broken server.xml does not matter."""
    if (instance / "bin" / "startserv").exists():
        return "7.0"
    if (instance / "start").exists():
        return "6.1"
    try:
        text = (instance / "config" / "server.xml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "7.0"
    return "6.1" if re.search(r"<SERVER\b", text) else "7.0"


def default_temp_path(instance: Path) -> str:
    """Where release 7.0 keeps pid file and sockets when ``temp-path`` is not set."""
    return f"/tmp/{instance.name}"


def temp_path_anyway(instance: Path) -> str:
    """The temp path of a 7.0 instance even where server.xml is malformed, as the product's own stop script finds it."""
    try:
        text = (instance / "config" / "server.xml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return default_temp_path(instance)
    found = re.search(r"<temp-path>\s*([^<]+?)\s*</temp-path>", re.sub(r"(?s)<!--.*?-->", "", text))
    return _under(instance / "config", found.group(1)) if found else default_temp_path(instance)


def _read_seven(
    instance: Path, root: ElementTree.Element, magnus: dict[str, str], files: tuple[str, ...]
) -> Configuration:
    config = instance / "config"
    names = {_text(each, "name"): _text(each, "value") for each in root if _name(each) == "variable"}
    listeners = []
    for element in root:
        if _name(element) != "http-listener" or _text(element, "enabled", "true").lower() not in _TRUE:
            continue
        ssl = _child(element, "ssl")
        tls = ssl is not None and _text(ssl, "enabled", "true").lower() in _TRUE
        host, port = (_expand(_text(element, name), names) for name in ("ip", "port"))
        listeners.append(_address(files[0], host, port, tls))
    log = _child(root, "log")
    error_log = _text(log, "log-file") if log is not None else ""
    temp_path = _under(config, _expand(_text(root, "temp-path"), names) or default_temp_path(instance))
    return Configuration(
        release="7.0",
        listeners=tuple(listeners),
        temp_path=temp_path,
        pidfile=f"{temp_path}/pid",
        user=_text(root, "user"),
        error_log=_under(config, _expand(error_log, names) or "../logs/errors"),
        files=files,
        terminate_timeout=terminate_timeout(magnus),
    )


def _read_six(
    instance: Path, root: ElementTree.Element, magnus: dict[str, str], files: tuple[str, ...]
) -> Configuration:
    config = instance / "config"
    listeners = [
        _address(files[0], element.get("ip", ""), element.get("port", ""), element.get("security", "").lower() in _TRUE)
        for element in root.iter()
        if _name(element) == "LS"
    ]
    logs = [element.get("file", "") for element in root.iter() if _name(element) == "LOG"]
    error_log = magnus.get("errorlog") or next((path for path in logs if path), "") or "../logs/errors"
    pidfile = magnus.get("pidlog", "")
    return Configuration(
        release="6.1",
        listeners=tuple(listeners),
        temp_path=_under(config, magnus["tempdir"]) if "tempdir" in magnus else "",
        pidfile=_under(config, pidfile) if pidfile else "",
        user=magnus.get("user", ""),
        error_log=_under(config, error_log),
        files=files,
        terminate_timeout=terminate_timeout(magnus),
    )


def _parse(path: Path) -> ElementTree.Element:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _unreadable(f"{path}: {error.strerror}") from None
    if not text.strip():
        raise _unreadable(f"{path} is empty")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise _unreadable(f"{path} line {error.position[0]}: {error}") from None


def _address(path: str, host: str, port: str, tls: bool) -> Address:
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise _unreadable(f"{path}: {port!r} is not a port")
    host = host.strip("[]")
    return Address("" if host.lower() in _ANY else host, int(port), tls)


def _unreadable(reason: str) -> ConfigurationUnreadable:
    return ConfigurationUnreadable(Fault("config-error", Kind.CONFIGURATION, reason, reason, "correct the file"))


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element | None:
    return next((each for each in element if _name(each) == name), None)


def _text(element: ElementTree.Element, name: str, default: str = "") -> str:
    child = _child(element, name)
    return (child.text or "").strip() if child is not None else default


def _expand(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\$\{?([A-Za-z_][\w-]*)\}?", lambda found: names.get(found.group(1), found.group(0)), text)


def _under(config: Path, path: str) -> str:
    return os.path.normpath(config / path)


def terminate_timeout(magnus: dict[str, str]) -> float:
    """Seconds that a worker waits for busy sessions at an orderly end."""
    try:
        return float(magnus["terminatetimeout"])
    except (KeyError, ValueError):
        return TERMINATE_TIMEOUT
