"""What a configuration may say about the neighbours: clusterware, load balancer, reboot."""

from __future__ import annotations

import pytest

from cluster_glue.config import ConfigErrors, parse
from cluster_glue.config_resource import GLUE, NUMBERS
from cluster_glue.connectors.clusterware import names
from cluster_glue.daemon import own
from cluster_glue.recovery.policy import Policy
from cluster_glue.scripted import values_of
from resource_agents import server

WEB = '[resource.web]\nagent = "apache"\nenvfiles = ""\n'


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as refused:
        parse(text)
    return [str(error) for error in refused.value.errors]


@pytest.mark.parametrize(
    ("connector", "how", "able"),
    [
        ("standalone", "report", True),
        ("standalone", "reboot", True),
        ("standalone", "failover", False),
        ("pacemaker", "failover", True),
        ("pacemaker", "reboot", False),
        ("clusterpro", "reboot", True),
        ("serviceguard", "reboot", False),
        ("serviceguard", "failover", True),
    ],
)
def test_only_what_the_clusterware_can_do_may_be_asked_of_it(connector: str, how: str, able: bool) -> None:
    for text in (
        f'[koboshi]\nconnector = "{connector}"\n{WEB}on_exhausted = "{how}"\n',
        f'{WEB}connector = "{connector}"\non_exhausted = "{how}"\n',
    ):
        if able:
            assert parse(text).resources["web"].policy.on_exhausted == how
        else:
            (error,) = errors(text)
            assert "resource.web.on_exhausted: " in error
            assert f"cannot do '{how}'; valid: report" in error


def test_an_unknown_clusterware_is_told_with_the_nearest_one() -> None:
    (error,) = errors(f'{WEB}connector = "pacemakr"\n')
    assert "did you mean pacemaker?" in error


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('agent_check = "9000"', "is no address"),
        ('agent_check = "localhost:9000"', "is no address"),
        ('readiness = "127.0.0.1:99999"', "is no address"),
        ('readiness = "127.0.0.1:http"', "is no address"),
        ('maintenance_flag = "web.debug"', "is not absolute"),
        ('package = "a; reboot"', "is no name"),
        ("drain_wait = -1", "is too small"),
        ('drain_wait = "1h"', "longer than half of stop_timeout"),
        ("direct_failover = 1", "neither true nor false"),
    ],
)
def test_a_wrong_word_is_refused_with_what_is_wrong(line: str, word: str) -> None:
    (error,) = errors(f"{WEB}{line}\n")
    assert word in error


def test_two_resources_have_two_doors() -> None:
    door = 'agent_check = "127.0.0.1:9000"\n'
    (error,) = errors(f'{WEB}{door}[resource.api]\nagent = "nginx"\n{door}')
    assert "is what web has, too" in error


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("reboot_limit = -1", "too small"),
        ('reboot_window = "1s"', "too small"),
        ("reboot_limit = true", "no whole number"),
        ('push = "shove"', "none of them"),
        ('reboot_despite_healthy = "no"', "neither true nor false"),
    ],
)
def test_a_wrong_setting_is_refused(line: str, word: str) -> None:
    (error,) = errors(f"[koboshi]\n{line}\n")
    assert word in error


@pytest.mark.parametrize("name", server.names())
def test_no_agent_has_a_parameter_that_is_called_like_glue(name: str) -> None:
    parameters = {parameter.name for parameter in server.load(name).parameters}
    assert not parameters & set(GLUE)
    assert not set(NUMBERS) & set(GLUE)


@pytest.mark.parametrize("connector", names())
def test_what_a_cluster_starts_is_not_started_by_koboshi(connector: str) -> None:
    config = parse(f'{WEB}connector = "{connector}"\n')
    assert set(own(config)) == ({"web"} if connector == "standalone" else set())


def test_a_mandate_says_what_the_table_says() -> None:
    config = parse(f'{WEB}restart_limit = 5\nrestart_wait = "500ms"\nconnector = "clusterpro"\n')
    values = values_of(config.resources["web"])
    assert values == {"envfiles": "", "restart_limit": "5", "restart_wait": "0.5", "on_exhausted": "failover"}


@pytest.mark.parametrize("connector", ["standalone", "pacemaker", "clusterpro", "serviceguard"])
def test_who_says_nothing_goes_where_there_is_somewhere_to_go_and_a_report_stays_a_report(connector: str) -> None:
    silent = parse(f'{WEB}connector = "{connector}"\n').resources["web"]
    assert silent.policy.on_exhausted == ("report" if connector == "standalone" else "failover")
    said = parse(f'{WEB}connector = "{connector}"\non_exhausted = "report"\n').resources["web"]
    assert said.policy.on_exhausted == values_of(said)["on_exhausted"] == "report"
    assert Policy().restart_limit != 5
