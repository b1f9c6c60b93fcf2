"""What a configuration is, and what can be wrong with one. Values only; :mod:`cluster_glue.config` reads the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cluster_glue.glue_model import Glue
from cluster_glue.messages import sanitise
from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.thresholds import Thresholds

#: What a resource may be called: it becomes part of file names, command lines and incident ids.
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _setting(default: Any, doc: str, choices: tuple[str, ...] = (), unit: str = "", low: float | None = None) -> Any:
    return field(default=default, metadata={"doc": doc, "choices": choices, "unit": unit, "low": low})


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``[koboshi]`` table."""

    syslog: str = _setting("/dev/log", "the local syslog's socket; empty turns syslog off")
    log_level: str = _setting(
        "info", "the least urgent messages that go to syslog", ("crit", "error", "warning", "notice", "info", "debug")
    )
    connector: str = _setting("standalone", "the clusterware that is asked and told; standalone is a machine alone")
    push: str = _setting(
        "attribute",
        "how Pacemaker hears of a hand-over before its next monitor: a node attribute, crm_resource --fail, or none",
        ("attribute", "fail", "none"),
    )
    reboot_limit: int = _setting(1, "reboots of this machine inside the window, if one is allowed at all", low=0)
    reboot_window: float = _setting(86400.0, "sliding window in which reboots are counted", unit="s", low=60)
    reboot_patience: float = _setting(120.0, "time for an orderly reboot before it is forced", unit="s", low=1)
    reboot_despite_healthy: bool = _setting(False, "reboot even while another resource of this machine serves")


@dataclass(frozen=True, slots=True)
class ResourceConfig:
    """One ``[resource.NAME]`` table. ``values`` are the agent's parameters as OCF text, given ones only.

    ``unique`` are the effective values of the parameters that no other resource of this agent may share.
    """

    name: str
    agent: str
    values: Mapping[str, str]
    policy: Policy
    autostart: bool = True
    unique: Mapping[str, str] = field(default_factory=dict, compare=False)
    thresholds: Thresholds = field(default_factory=Thresholds)
    glue: Glue = field(default_factory=Glue)


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without an error in it."""

    settings: Settings
    resources: Mapping[str, ResourceConfig]
    path: str = ""


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One error: where (``line`` from 1, None when it is the file's), what it is about, and what to do."""

    line: int | None
    name: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        words = f"{self.name}: {self.problem}" if self.name else self.problem
        return sanitise(f"{words}; {self.remedy}" if self.remedy else words, 600)


class ConfigErrors(Exception):
    """All that is wrong with a file. ``str`` gives one line for each error, in the order of the file."""

    def __init__(self, path: str, errors: Iterable[ConfigError]) -> None:
        self.path = path
        self.errors = tuple(sorted(errors, key=lambda error: error.line or 0))
        super().__init__(path)

    def __str__(self) -> str:
        return "\n".join(
            f"{self.path}:{error.line}: {error}" if error.line else f"{self.path}: {error}" for error in self.errors
        )
