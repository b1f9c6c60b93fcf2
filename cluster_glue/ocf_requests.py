"""What a cluster's mandate says, as the daemon's own kind of configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from cluster_glue.config_model import NAME, ResourceConfig
from cluster_glue.recovery.policy import Policy, PolicyError
from cluster_glue.recovery.thresholds import Thresholds
from cluster_glue.values import ValueWrong, duration
from ocf.declarations import ParameterError, truth
from resource_agents.server import load

#: Seconds of the first lease, until a recurring monitor has told its interval.
FIRST_LEASE = 120.0

#: Seconds in which a local repair must succeed, unless the parameter ``repair_time`` says otherwise.
REPAIR_TIME = "120"

#: What a mandate that cannot be carried out raises.
WRONG = (ParameterError, PolicyError, ValueWrong, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Mandated:
    """One resource as the cluster handed it over. ``repair_time`` is seconds; ``openly``: say 190 while repairing."""

    config: ResourceConfig
    repair_time: float
    openly: bool


def read(request: Mapping[str, Any], lease: float = FIRST_LEASE) -> Mandated:
    """What ``request`` asks for. Raises one of :data:`WRONG`."""
    name, agent = str(request["instance"]), str(request["agent"])
    if not NAME.fullmatch(name):
        raise ParameterError(f"{name!r} cannot be the name of a resource")
    kind = load(agent)
    given = {str(key): str(value) for key, value in request["values"].items()}
    known = {parameter.name for parameter in kind.parameters}
    values = {key: value for key, value in given.items() if key in known}
    kind(values, name)  # raises ParameterError
    thresholds = Thresholds(**_numbers(Thresholds, request["values"]))
    config = ResourceConfig(name, agent, values, _policy(request, lease), autostart=False, thresholds=thresholds)
    repair_time = duration(given.get("repair_time") or REPAIR_TIME)
    return Mandated(config, repair_time, truth(given.get("report_degraded", "")))


def _policy(request: Mapping[str, Any], lease: float) -> Policy:
    """The recovery policy among a request's values."""
    numbers = _numbers(Policy, request["values"])
    if "start_timeout" not in numbers:
        numbers["start_timeout"] = max(1.0, float(request["timeout"]) * 0.75)
    return Policy(**{"lease": lease, "on_exhausted": "failover", **numbers})


def _numbers(kind: type[Policy | Thresholds], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of ``kind`` that are given."""
    return {
        each.name: _policy_value(each, str(given[each.name])) for each in fields(kind) if given.get(each.name, "") != ""
    }


def _policy_value(field: Field[Any], text: str) -> Any:
    """One number of the policy from its OCF text. Raises :class:`ValueWrong`."""
    if field.metadata.get("unit") == "s":
        return duration(text)
    if field.type == "str":
        return text
    try:
        return int(text) if field.type == "int" else float(text)
    except ValueError:
        raise ValueWrong(f"{field.name} = {text!r} is no number") from None
