"""What a cluster's mandate says, as the daemon's own kind of configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster_glue.config_model import NAME, ResourceConfig
from cluster_glue.recovery.policy import PolicyError
from ocf.declarations import ParameterError, truth
from ocf.durations import ValueWrong
from resource_agents import numbers
from resource_agents.server import load

#: What a mandate that cannot be carried out raises.
WRONG = (ParameterError, PolicyError, ValueWrong, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Mandated:
    """One resource as the cluster handed it over. ``repair_time`` is seconds; ``openly``: say 190 while repairing."""

    config: ResourceConfig
    repair_time: float
    openly: bool


def read(request: Mapping[str, Any], lease: float = numbers.FIRST_LEASE) -> Mandated:
    """What ``request`` asks for. Raises one of :data:`WRONG`."""
    name, agent = str(request["instance"]), str(request["agent"])
    if not NAME.fullmatch(name):
        raise ParameterError(f"{name!r} cannot be the name of a resource")
    kind = load(agent)
    given = {str(key): str(value) for key, value in request["values"].items()}
    known = {parameter.name for parameter in kind.parameters}
    values = {key: value for key, value in given.items() if key in known}
    kind(values, name)  # raises ParameterError
    thresholds = numbers.thresholds_of(given)
    policy = numbers.policy_of(given, float(request["timeout"]), lease)
    config = ResourceConfig(name, agent, values, policy, autostart=False, thresholds=thresholds)
    return Mandated(config, numbers.repair_time_of(given), truth(given.get("report_degraded", "")))
