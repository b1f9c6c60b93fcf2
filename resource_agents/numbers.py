"""The numbers of recovery among a cluster's parameters: daemon and executables refuse the same, in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any

from ocf.declarations import ParameterError
from ocf.durations import ValueWrong, duration
from ocf.metadata import Operation
from resource_agents.policy import Policy, PolicyError
from resource_agents.thresholds import ThresholdError, Thresholds

#: Seconds of the first lease, until a recurring monitor has told its interval.
FIRST_LEASE = 120.0

#: Seconds in which a local repair must succeed, unless the parameter ``repair_time`` says otherwise.
REPAIR_TIME = "120"


def policy_of(values: Mapping[str, Any], start_timeout: float, lease: float = FIRST_LEASE) -> Policy:
    """The policy that a cluster's parameters ask for; ``start_timeout`` is the time of its start operation (seconds).

    Raises :class:`PolicyError` or :class:`ValueWrong`.
    """
    numbers = given(Policy, values)
    if "start_timeout" not in numbers:
        numbers["start_timeout"] = max(1.0, start_timeout * 0.75)
    return Policy(**{"lease": lease, "on_exhausted": "failover", **numbers})


def thresholds_of(values: Mapping[str, Any]) -> Thresholds:
    """The sockets' thresholds that a cluster's parameters ask for.

    Raises :class:`ThresholdError` or :class:`ValueWrong`.
    """
    return Thresholds(**given(Thresholds, values))


def repair_time_of(values: Mapping[str, Any]) -> float:
    """Seconds for which a local repair is left alone. Raises :class:`ValueWrong`."""
    return _seconds("repair_time", str(values.get("repair_time") or REPAIR_TIME))


def given(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of the dataclass ``kind`` that are among ``values``. Raises :class:`ValueWrong`."""
    said = (each for each in fields(kind) if values.get(each.name, "") != "")
    return {each.name: _number(each, str(values[each.name])) for each in said}


def refuse(values: Mapping[str, str], start_timeout: float) -> None:
    """What the daemon would refuse of the recovery parameters is refused here. Raises :class:`ParameterError`."""
    try:
        policy_of(values, start_timeout)
        thresholds_of(values)
        repair_time_of(values)
    except (PolicyError, ThresholdError, ValueWrong) as error:
        raise ParameterError(str(error)) from None


def declared_start(operations: tuple[Operation, ...]) -> float:
    """Seconds that an agent itself says a start should have."""
    return next((float(each.timeout) for each in operations if each.name == "start"), 0.0)


def _number(field: Field[Any], text: str) -> Any:
    if field.metadata.get("unit") == "s":
        return _seconds(field.name, text)
    if field.type == "str":
        return text
    try:
        return int(text) if field.type == "int" else float(text)
    except ValueError:
        raise ValueWrong(f"{field.name} = {text!r} is no number") from None


def _seconds(name: str, text: str) -> float:
    try:
        return duration(text)
    except ValueWrong as error:
        raise ValueWrong(f"{name}: {error}") from None
