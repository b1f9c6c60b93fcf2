"""One ``[resource.NAME]`` table: agent, policy and parameters, each value checked by itself, then all together."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import Field, fields
from typing import Any, Final, Protocol, TypeVar

from cluster_glue import values
from cluster_glue.config_model import NAME, ResourceConfig
from cluster_glue.glue_model import Glue
from cluster_glue.recovery.policy import Policy, PolicyError
from cluster_glue.recovery.thresholds import ThresholdError, Thresholds
from ocf.declarations import Parameter, ParameterError, check
from resource_agents import server

T = TypeVar("T")

GLUE: Final = {item.name: item for item in fields(Glue)}
OWN: Final = ("agent", "autostart", *GLUE)
POLICY: Final = {item.name: item for item in fields(Policy)}
THRESHOLDS: Final = {item.name: item for item in fields(Thresholds)}

#: Every name of a number that a resource of any agent may have.
NUMBERS: Final = {**POLICY, **THRESHOLDS}


class Say(Protocol):
    """Where errors go: the problem, the remedy, and the path of what it is about."""

    def __call__(self, problem: str, remedy: str, *path: str) -> None: ...


class ResourceCheck:
    """One look at one resource's table."""

    def __init__(self, name: str, table: dict[str, Any], say: Say) -> None:
        self._name, self._table, self._tell = name, table, say
        self._errors = 0

    def resource(self) -> ResourceConfig | None:
        """The resource; None when anything is wrong, which has been said then."""
        agent = self._agent()
        parameters = {parameter.name: parameter for parameter in agent.parameters} if agent else {}
        policy = self._numbers(POLICY, Policy)
        thresholds = self._numbers(THRESHOLDS, Thresholds)
        autostart = self._one("autostart", values.truth, True)
        glue = self._glue()
        given = self._parameters(agent, parameters)
        if agent is not None and not self._errors:
            self._construct(agent, given)
        if agent is None or policy is None or thresholds is None or self._errors:
            return None
        unique = {
            name: given.get(name, parameter.default) for name, parameter in parameters.items() if parameter.unique
        }
        agent_name = self._table["agent"]
        return ResourceConfig(self._name, agent_name, given, policy, bool(autostart), unique, thresholds, glue)

    def _agent(self) -> type[server.Server] | None:
        if "agent" not in self._table:
            self._say("it has no agent", f'write agent = "..."; {nearest("", server.names())}')
            return None
        name = self._one("agent", values.text, "")
        if not name:
            return None
        try:
            return server.load(name)
        except LookupError:
            self._say(f"there is no agent {values.shown(name)}", nearest(name, server.names()), "agent")
            return None

    def _numbers(self, known: dict[str, Field[Any]], make: Callable[..., T]) -> T | None:
        """The numbers of one kind that the table gives, checked one by one and then together."""
        given: dict[str, Any] = {}
        before = self._errors
        for name, item in known.items():
            if name in self._table:
                given[name] = self._one(name, _reader(item), item.default)
                self._check_bounds(name, item, given[name])
        if self._errors > before:
            return None
        try:
            return make(**given)
        except (PolicyError, ThresholdError) as error:
            named = [name for name in given if str(error).startswith(f"{name} = ")]
            self._say(str(error), "", *named[:1])
            return None

    def _glue(self) -> Glue:
        given: dict[str, Any] = {}
        for name, item in GLUE.items():
            if name in self._table:
                given[name] = self._one(name, values.reader(item.default, item.metadata["unit"]), item.default)
        for name in ("agent_check", "readiness"):
            if given.get(name):
                try:
                    values.address(given[name])
                except values.ValueWrong as error:
                    self._say(str(error), "", name)
        if given.get("drain_wait", 0.0) < 0:
            self._say(f"{given['drain_wait']:g} is too small", "at least 0 s", "drain_wait")
        if (given.get("maintenance_flag") or "/")[0] != "/":
            self._say(f"{values.shown(given['maintenance_flag'])} is not absolute", "", "maintenance_flag")
        for name in ("package", "generic_resource"):
            if given.get(name) and not NAME.fullmatch(given[name]):
                self._say(f"{values.shown(given[name])} is no name", "letters, digits, dots, _ and -", name)
        return Glue(**given)

    def _check_bounds(self, name: str, item: Field[Any], value: Any) -> None:
        low, choices = item.metadata.get("low"), item.metadata.get("choices")
        if low is not None and value < low:
            self._say(f"{value:g} is too small", f"at least {low:g} {item.metadata['unit']}", name)
        if item.metadata["unit"] == "times" and value > values.LARGEST_FACTOR:
            self._say(f"{value:g} is too large", f"at most {values.LARGEST_FACTOR}", name)
        if choices and value not in choices:
            self._say(f"{values.shown(value)} is none of them", nearest(value, choices), name)

    def _parameters(self, agent: type[server.Server] | None, known: dict[str, Parameter]) -> dict[str, str]:
        given: dict[str, str] = {}
        for name in self._table:
            if name in OWN or name in NUMBERS:
                continue
            if name in known:
                given[name] = str(self._one(name, values.ocf_text, ""))
                self._check_parameter(known[name], given[name])
            elif agent is not None:
                valid = nearest(name, [*OWN, *NUMBERS, *known])
                self._say(f"there is no such parameter of {agent.name}, nor of a resource", valid, name)
            elif difflib.get_close_matches(name, [*OWN, *NUMBERS], 1, 0.8):
                self._say("there is no such parameter of a resource", nearest(name, [*OWN, *NUMBERS]), name)
        for name, parameter in known.items():
            if name not in given:
                self._check_parameter(parameter, parameter.default)
        return given

    def _check_parameter(self, parameter: Parameter, value: str) -> None:
        try:
            check(parameter, value)
        except ParameterError as error:
            self._say(
                str(error).removeprefix(f"{parameter.name} = ").removeprefix(f"{parameter.name} "), "", parameter.name
            )

    def _construct(self, agent: type[server.Server], given: dict[str, str]) -> None:
        """The agent's own look at its values, which may see what no single value shows."""
        try:
            agent(given, self._name)
        except ParameterError as error:
            named = [name for name in given if str(error).startswith(name)]
            self._say(str(error), "", *named[:1])

    def _one(self, name: str, read: Any, default: Any) -> Any:
        if name not in self._table:
            return default
        try:
            return read(self._table[name])
        except values.ValueWrong as error:
            self._say(str(error), "", name)
            return default

    def _say(self, problem: str, remedy: str, *path: str) -> None:
        self._errors += 1
        self._tell(problem, remedy, "resource", self._name, *path)


def nearest(name: str, valid: Iterable[str]) -> str:
    """``did you mean ...?`` where a valid name is close, else the valid names."""
    known = sorted(valid)
    close = difflib.get_close_matches(name, known, 1, 0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"valid: {', '.join(known)}" if known else "there is none"


def _reader(item: Field[Any]) -> Any:
    if item.metadata["unit"] == "s":
        return values.duration
    if item.metadata.get("choices"):
        return values.text
    return values.whole if isinstance(item.default, int) else values.number
