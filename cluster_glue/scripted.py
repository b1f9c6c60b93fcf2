"""What the scripts of a package or group do: the same actions, by the same code, as an OCF executable's.

The resource is one of koboshi's own configuration. A start gives the recovery daemon its mandate, a stop takes it away
and does the work itself, a monitor tells the daemon's view or looks itself (:mod:`resource_agents.entry`): so the
daemon's absence or death changes no answer that the cluster gets.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from cluster_glue import places
from cluster_glue.client import AskError, ask
from cluster_glue.config_model import Config, ResourceConfig, Settings
from cluster_glue.connectors.clusterware import Clusterware, Subject, load
from ocf.conditions import Verdict
from ocf.environment import Call
from resource_agents import entry, mandates, memory
from resource_agents.daemon_client import wake

#: What koboshi says when it has given up.
BEYOND_REPAIR = frozenset({"exhausted", "hopeless", "misconfigured"})


class Unknown(LookupError):
    """There is no such resource in the configuration."""


def command() -> str:
    """The absolute path of the koboshi command: the one beside this interpreter, else the one on the path."""
    beside = Path(sys.executable).with_name("koboshi")
    return str(beside) if beside.exists() else shutil.which("koboshi") or "/usr/local/bin/koboshi"


def given(name: str) -> bool:
    """Whether a start gave the resource ``name`` to us on this node, and no stop took it away."""
    return mandates.current(places.runtime_dir(), name) is not None


def handed(name: str) -> Config | None:
    """A configuration of the resource ``name`` alone, as it was given to us on this node; None when it was not."""
    from cluster_glue.ocf_requests import WRONG, read

    path = mandates.current(places.runtime_dir(), name)
    if path is None:
        return None
    try:
        return Config(Settings(), {name: read(mandates.read(path)).config}, str(path))
    except WRONG:
        return None


def values_of(resource: ResourceConfig) -> dict[str, str]:
    """Everything that a mandate says of a resource: its agent's parameters, and the numbers that are not defaults.

    What is done at the end is always said, as a mandate's own default is another one.
    """
    told = {**resource.values, "on_exhausted": resource.policy.on_exhausted}
    for numbers in (resource.policy, resource.thresholds):
        for item in fields(numbers):
            value = getattr(numbers, item.name)
            if value != item.default:
                told[item.name] = str(value)
    return told


class Scripted:
    """One resource of ``config``, as its clusterware's scripts see it. Raises :class:`Unknown`."""

    def __init__(self, config: Config, name: str, connector: str = "") -> None:
        if name not in config.resources:
            known = ", ".join(sorted(config.resources)) or "none"
            raise Unknown(f"there is no resource {name!r} in {config.path}; there is: {known}")
        self.resource = config.resources[name]
        self.ware: Clusterware = load(connector or self.resource.glue.connector or config.settings.connector)
        self.subject = Subject(name, os.uname().nodename, self.resource.glue, config.settings)
        self.runtime = places.runtime_dir()
        self._env = {
            **{key: value for key, value in os.environ.items() if key.startswith("KOBOSHI_")},
            "KOBOSHI_RUNTIME_DIR": str(self.runtime),
            "KOBOSHI_COMMAND": os.environ.get("KOBOSHI_COMMAND") or command(),
        }

    @property
    def given(self) -> bool:
        """Whether a start gave the resource to us on this node, and no stop took it away."""
        return given(self.resource.name)

    def start(self, timeout: float) -> Verdict:
        """Start it and wait until it serves, within ``timeout`` seconds."""
        return self._perform("start", timeout)

    def stop(self, timeout: float, hurried: bool = False, keeping: bool = False) -> Verdict:
        """Stop it. Its load balancer hears of it first, unless somebody waits for the service on another node.

        ``keeping``: the restarts that were spent are spent for the next start here as well.
        """
        name = self.resource.name
        if hurried:
            mandates.withdraw(self.runtime, name)
        restarts = memory.spent(self.runtime, name) if keeping else ()
        verdict = self._perform("stop", timeout)
        memory.keep_spent(self.runtime, name, restarts)
        return verdict

    def monitor(self, timeout: float, interval: float) -> Verdict:
        """How it is, within ``timeout`` seconds; lets koboshi act for about three more ``interval``.

        What is beyond repair is no failure to the cluster where ``on_exhausted`` wants no more than a report.
        """
        verdict = self._perform("monitor", timeout, interval)
        if verdict.condition in BEYOND_REPAIR and self.resource.policy.on_exhausted == "report":
            return Verdict("degraded", f"beyond repair here, and only reported, as on_exhausted says: {verdict.reason}")
        return verdict

    def validate(self, timeout: float) -> Verdict:
        """Whether it could run on this machine: parameters, software, and the server's own configuration test."""
        return self._perform("validate-all", timeout, level=10)

    def wake(self, timeout: float) -> bool:
        """See that the daemon runs."""
        with suppress(AskError):
            return bool(ask(self.runtime / "control.sock", {"do": "ping"}, min(2.0, timeout))["ok"])
        return wake(self.runtime, self._env["KOBOSHI_COMMAND"], timeout)

    def maintenance(self) -> bool:
        """Whether the administrator's flag file is there."""
        flag = self.resource.glue.maintenance_flag
        return bool(flag) and os.path.exists(flag)

    def _perform(self, action: str, timeout: float, interval: float = 0.0, level: int = 0) -> Verdict:
        name = self.resource.name
        call = Call(action, name, values_of(self.resource), timeout, interval, level)
        return entry.perform(self.resource.agent, call, self._env)
