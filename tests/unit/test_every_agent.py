"""What holds for every agent there is, and for each that comes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ocf.declarations import Parameter, ParameterError, check
from ocf.faults import Kind
from resource_agents.layouts import ConfigurationUnreadable, Layout
from resource_agents.server import Command, Rung, Server, load, names

AGENTS = names()

#: Parameters without which an agent has nothing to work with, and something to give for them.
NEEDED = {"command": {"binfile": "/bin/sleep", "start": "/bin/sleep 1"}}


def build(name: str) -> Server:
    """The agent with its defaults, and no more than what it demands."""
    agent = load(name)
    demanded = {parameter.name for parameter in agent.parameters if parameter.required}
    given = {key: value for key, value in NEEDED.get(name, {}).items() if key in demanded}
    given |= dict.fromkeys(demanded - set(given), "/nowhere")
    return agent(given)


def test_the_agents_of_the_house_are_found() -> None:
    assert {"tomcat", "lighttpd", "haproxy"} <= set(AGENTS)


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_is_called_as_its_file_is(name: str) -> None:
    agent = load(name)
    assert agent.name == name
    assert issubclass(agent, Server)
    assert agent.title.strip()
    assert agent.title == agent.title.strip().rstrip(".")
    assert (agent.__doc__ or "").strip()


@pytest.mark.parametrize("name", AGENTS)
def test_parameters_have_unique_names_and_a_line_of_text(name: str) -> None:
    parameters = load(name).parameters
    assert all(isinstance(parameter, Parameter) for parameter in parameters)
    called = [parameter.name for parameter in parameters]
    assert len(set(called)) == len(called)
    for parameter in parameters:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", parameter.name), parameter.name
        assert parameter.short.strip(), parameter.name
        assert "\n" not in parameter.short, parameter.name


@pytest.mark.parametrize("name", AGENTS)
def test_defaults_pass_their_own_check(name: str) -> None:
    for parameter in load(name).parameters:
        if parameter.required:
            with pytest.raises(ParameterError):
                check(parameter, parameter.default)
        else:
            assert check(parameter, parameter.default) == parameter.default, parameter.name


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_can_be_made_of_its_defaults(name: str) -> None:
    server = build(name)
    assert isinstance(server.binary, str)
    assert isinstance(server.missing(), str)
    assert all(isinstance(program, str) for program in server.programs)
    start = server.start_command()
    assert isinstance(start, Command)
    assert start.argv
    assert start.cwd


@pytest.mark.parametrize("name", AGENTS)
def test_a_configuration_that_is_not_there_is_a_named_fault_or_an_empty_layout(name: str, tmp_path: Path) -> None:
    agent = load(name)
    nowhere = str(tmp_path / "nowhere")
    files = {
        parameter.name: nowhere
        for parameter in agent.parameters
        if parameter.type == "string" and re.search(r"config|file$|home|root|base|dir", parameter.name)
    }
    try:
        assert isinstance(agent({**NEEDED.get(name, {}), **files}).layout, Layout)
    except ParameterError:
        pass
    except ConfigurationUnreadable as unreadable:
        assert unreadable.fault.kind in (Kind.CONFIGURATION, Kind.HOST)
        assert nowhere in unreadable.fault.reason


@pytest.mark.parametrize("name", AGENTS)
def test_an_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(ParameterError):
        load(name)({"no_such_parameter": "1"})


@pytest.mark.parametrize("name", AGENTS)
def test_signatures_compile_and_name_a_cause(name: str) -> None:
    for signature in load(name).signatures:
        assert re.compile(signature.pattern)
        assert not re.search(signature.pattern, ""), f"{signature.pattern!r} matches nothing at all"
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", signature.cause), signature.cause
        assert isinstance(signature.kind, Kind)
        assert signature.kind is not Kind.OURS


@pytest.mark.parametrize("name", AGENTS)
def test_a_gentle_stop_leaves_time_for_the_rest(name: str) -> None:
    for ladder in (load(name).gentle, build(name).ladder):
        assert all(isinstance(rung, Rung) and 1 <= rung.signal <= 64 and 0 < rung.share <= 1 for rung in ladder)
        assert sum(rung.share for rung in ladder) <= 1
    number = load(name).reload_signal
    assert number is None or 1 <= number <= 64
