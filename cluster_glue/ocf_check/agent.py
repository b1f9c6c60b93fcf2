"""The agent under test: where it is, what it is given, and what its meta-data declares."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Where Pacemaker looks when nothing else is said.
OCF_ROOT = "/usr/lib/ocf"

#: Parameters that usually name the configuration file, the most usual first.
CONFIGURATION_NAMES = ("configfile", "config", "config_file", "conffile", "conf")


class AgentNotFound(ValueError):
    """There is no such agent; the message says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An agent with its parameters, and how it is to be played with. Everything is plain, for the way through JSON.

    ``timeout`` is seconds per action. ``helpers`` are regular expressions: a process whose command line matches one is
    the agent's own helper (a recovery daemon), not the service, and may outlive a stop.
    """

    path: str
    provider: str
    type: str
    root: str = OCF_ROOT
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 20.0
    configfile_parameter: str = ""
    configfile: str = ""
    pidfile: str = ""
    helpers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"ocf:{self.provider}:{self.type}"


@dataclass(frozen=True, slots=True)
class Declared:
    """What the meta-data says: defaults of parameters, names of actions, levels (``depth``) of monitor."""

    name: str
    defaults: Mapping[str, str]
    actions: frozenset[str]
    levels: tuple[int, ...]


def resolve(agent: str, root: str = OCF_ROOT) -> tuple[str, str, str]:
    """Path, provider and type of a path or an ``ocf:provider:type``. Raises :class:`AgentNotFound`."""
    if match := re.fullmatch(r"ocf:([^:/]+):([^:/]+)", agent):
        path = Path(root) / "resource.d" / match[1] / match[2]
    elif ":" in agent and "/" not in agent:
        raise AgentNotFound(f"{agent} is neither a path nor of the form ocf:provider:type")
    else:
        path = Path(agent).absolute()
    if not path.is_file():
        raise AgentNotFound(f"there is no agent {path}")
    if not os.access(path, os.X_OK):
        raise AgentNotFound(f"{path} is not executable")
    return str(path), path.parent.name, path.name


def read_declared(xml: str) -> Declared:
    """Read meta-data. Raises ``ValueError`` when it is not what OCF asks for."""
    try:
        root = ET.fromstring(xml)
    except ET.ParseError as error:
        raise ValueError(f"the meta-data is not XML: {error}") from None
    if root.tag != "resource-agent":
        raise ValueError(f"the meta-data's root is {root.tag}, not resource-agent")
    defaults = {}
    for parameter in root.iter("parameter"):
        content = parameter.find("content")
        defaults[parameter.get("name", "")] = "" if content is None else content.get("default", "")
    actions = list(root.iter("action"))
    depths = [action.get("depth") or "0" for action in actions if action.get("name") == "monitor"]
    return Declared(
        name=root.get("name", ""),
        defaults=defaults,
        actions=frozenset(action.get("name", "") for action in actions),
        levels=tuple(sorted({int(depth) for depth in depths if depth.isdigit()} | {0})),
    )


def configuration_of(subject: Subject, declared: Declared) -> str:
    """The configuration file: as told, or as a parameter (given or by default) names it; empty when none is there."""
    if subject.configfile:
        return subject.configfile
    names = (subject.configfile_parameter,) if subject.configfile_parameter else CONFIGURATION_NAMES
    for name in names:
        value = subject.parameters.get(name, declared.defaults.get(name, ""))
        if value.startswith("/") and os.path.isfile(value):
            return value
    return ""


def programs_of(subject: Subject, declared: Declared) -> dict[str, str]:
    """Parameters, given or by default, that name an executable file."""
    values = {**declared.defaults, **subject.parameters}
    return {
        name: value
        for name, value in values.items()
        if value.startswith("/") and os.path.isfile(value) and os.access(value, os.X_OK)
    }
