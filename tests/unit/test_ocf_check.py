"""The conformance kit's plain parts: agents and parameters, the executor's environment, reading the kernel, words."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cluster_glue.ocf_check import execd, peers, report
from cluster_glue.ocf_check.agent import (
    AgentNotFound,
    Subject,
    configuration_of,
    programs_of,
    read_declared,
    resolve,
)
from cluster_glue.ocf_check.command import OUR_DAEMON, ocf_check
from cluster_glue.ocf_check.registry import Outcome, case, every_case
from cluster_glue.ocf_check.service import Listener, read_listeners

DOCS = Path(__file__).parents[2] / "docs"

METADATA = """<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="web" version="1.0"><version>1.0</version>
<parameters><parameter name="configfile"><content type="string" default="{configfile}"/></parameter>
<parameter name="httpd"><content type="string" default="{program}"/></parameter></parameters>
<actions><action name="start" timeout="20s"/><action name="monitor" depth="10"/><action name="monitor"/></actions>
</resource-agent>"""


def install(root: Path) -> Path:
    agent = root / "resource.d" / "acme" / "web"
    agent.parent.mkdir(parents=True)
    agent.write_text("#!/bin/sh\n")
    agent.chmod(0o755)
    return agent


def subject(**more: object) -> Subject:
    return Subject("/x/acme/web", "acme", "web", **more)  # type: ignore[arg-type]


def test_an_agent_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    agent = install(tmp_path)
    assert resolve("ocf:acme:web", str(tmp_path)) == (str(agent), "acme", "web")
    assert resolve(str(agent)) == (str(agent), "acme", "web")


@pytest.mark.parametrize("name", ["ocf:acme:none", "ocf:acme", "ocf:../x:web", "/nowhere/web", "systemd:web"])
def test_an_agent_that_is_not_there_is_said_so(name: str, tmp_path: Path) -> None:
    install(tmp_path)
    with pytest.raises(AgentNotFound):
        resolve(name, str(tmp_path))


def test_a_file_that_cannot_be_executed_is_no_agent(tmp_path: Path) -> None:
    install(tmp_path).chmod(0o644)
    with pytest.raises(AgentNotFound, match="not executable"):
        resolve("ocf:acme:web", str(tmp_path))


def test_the_configuration_file_is_found_in_parameters_and_their_defaults(tmp_path: Path) -> None:
    default, given = tmp_path / "default.conf", tmp_path / "given.conf"
    default.touch()
    given.touch()
    declared = read_declared(METADATA.format(configfile=default, program=""))
    assert configuration_of(subject(), declared) == str(default)
    assert configuration_of(subject(parameters={"configfile": str(given)}), declared) == str(given)
    assert configuration_of(subject(parameters={"rc": str(given)}, configfile_parameter="rc"), declared) == str(given)
    assert configuration_of(subject(configfile="/told"), declared) == "/told"
    assert configuration_of(subject(parameters={"configfile": "/nowhere"}), declared) == ""


def test_programs_are_the_parameters_that_name_an_executable(tmp_path: Path) -> None:
    declared = read_declared(METADATA.format(configfile=tmp_path / "x", program=sys.executable))
    assert programs_of(subject(), declared) == {"httpd": sys.executable}


def test_metadata_tells_actions_and_levels() -> None:
    declared = read_declared(METADATA.format(configfile="", program=""))
    assert (declared.name, declared.levels) == ("web", (0, 10))
    assert declared.actions == {"start", "monitor"}


@pytest.mark.parametrize("xml", ["", "<resource-agent", "<agent/>"])
def test_metadata_that_is_none_is_refused(xml: str) -> None:
    with pytest.raises(ValueError, match="meta-data"):
        read_declared(xml)


def test_actions_get_the_environment_that_the_executor_gives() -> None:
    given = execd.environment(subject(parameters={"port": "80"}), timeout=20, interval=10, level=10)
    assert given["OCF_RESKEY_CRM_meta_timeout"] == "20000"
    assert given["OCF_RESKEY_CRM_meta_interval"] == "10000"
    assert given["OCF_CHECK_LEVEL"] == "10"
    assert given["OCF_RESKEY_port"] == "80"
    assert (given["OCF_RA_VERSION_MAJOR"], given["OCF_RA_VERSION_MINOR"]) == ("1", "1")
    assert given["OCF_RESOURCE_PROVIDER"] == "acme"
    assert "HOME" not in given


def test_a_probe_has_neither_interval_nor_level() -> None:
    given = execd.environment(subject(), timeout=20)
    assert not {"OCF_RESKEY_CRM_meta_interval", "OCF_CHECK_LEVEL", "__OCF_ACTION"} & set(given)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_action_leads_its_own_group_in_our_session_and_its_words_are_kept(tmp_path: Path) -> None:
    stat = "echo ocf-exit-reason:first >&2; echo ocf-exit-reason:last >&2; cat /proc/$$/stat; exit 5"
    ran = execd.run(script(tmp_path / "agent", stat), "monitor", {"PATH": "/usr/bin:/bin"}, 30)
    fields = ran.stdout.rpartition(")")[2].split()
    own = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    assert ran.rc == 5
    assert ran.reasons == ["first", "last"]
    assert int(fields[2]) == ran.pid
    assert fields[3] == own[3]


def test_an_action_that_overruns_is_killed_with_its_group(tmp_path: Path) -> None:
    ran = execd.run(script(tmp_path / "agent", "sleep 300 & wait"), "stop", {"PATH": "/usr/bin:/bin"}, 0.5)
    assert ran.rc is None
    assert "did not end" in str(ran)


def test_an_action_ends_though_a_daemon_holds_its_output(tmp_path: Path) -> None:
    ran = execd.run(script(tmp_path / "agent", "sleep 60 & exit 0"), "start", {"PATH": "/usr/bin:/bin"}, 30)
    os.killpg(ran.pid, signal.SIGKILL)
    assert ran.rc == 0


def test_listeners_are_read_from_the_kernels_tables() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:46A0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"
        "   1: 0100007F:46A0 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n"
    )
    table6 = table.replace("0100007F:46A0 00000000", "00000000000000000000000001000000:46A0 00000000")
    if sys.byteorder == "little":
        assert read_listeners(table) == [Listener("127.0.0.1", 18080, 4711)]
        assert str(read_listeners(table6)[0]) == "[::1]:18080"


def test_two_cases_never_share_a_name() -> None:
    taken = every_case()["kill-main"]
    with pytest.raises(ValueError, match="kill-main"):
        case("again")(taken.play)


@pytest.mark.parametrize("name", sorted(every_case()))
def test_every_case_is_explained_in_the_documentation(name: str) -> None:
    assert f"``{name}``" in (DOCS / "ocf_check.rst").read_text()


def test_the_documentation_explains_no_case_that_is_not_there() -> None:
    told = re.findall(r"^``([a-z0-9-]+)``$", (DOCS / "ocf_check.rst").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(every_case())


def test_the_table_of_peers_has_a_row_for_every_case() -> None:
    rows = re.findall(r"^   \* - ([a-z0-9-]+)$", (DOCS / "ocf_check_peers.rst").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted([*every_case(), "case"])


OUTCOMES = [
    Outcome("kill-main", "it recovers", "failed", "nothing *there*", 1.25),
    Outcome("orphans", "none are left", "ok", "none", 2.0),
    Outcome("zombies", "a zombie is dead", "skipped", "no process", 0.1),
]


def test_the_table_tells_what_was_promised_where_it_failed() -> None:
    lines = report.table(OUTCOMES, 200).splitlines()
    assert "failed" in lines[1]
    assert "promised: it recovers" in lines[1]
    assert lines[-1] == "1 ok, 1 failed, 1 skipped"


def test_the_table_keeps_to_its_width() -> None:
    long = [Outcome("kill-main", "it recovers", "failed", "word " * 60, 1.0)]
    assert max(map(len, report.table(long, 80).splitlines())) <= 80


def test_json_tells_the_same_as_the_table() -> None:
    told = json.loads(report.as_json("ocf:acme:web", OUTCOMES))
    assert told["counts"] == {"ok": 1, "failed": 1, "skipped": 1}
    assert [one["verdict"] for one in told["cases"]] == ["failed", "ok", "skipped"]


def test_the_page_of_peers_escapes_what_was_seen() -> None:
    text = peers.page({"a": OUTCOMES, "b": OUTCOMES}, "web 1")
    assert r"nothing \*there\*" in text
    assert text.count("1 ok, 1 failed, 1 skipped") == 2


def test_our_own_daemon_is_known_as_a_helper_and_a_server_is_not() -> None:
    assert re.search(OUR_DAEMON, "/usr/bin/python3 /usr/bin/koboshi run")
    assert re.search(OUR_DAEMON, "/usr/bin/python3 -m cluster_glue.recovery.engine")
    assert not re.search(OUR_DAEMON, "/usr/sbin/apache2 -f /etc/koboshi/httpd.conf")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which AGENT"),
        (["ocf:acme:none"], "there is no agent"),
        (["/bin/true", "-o", "nothing"], "NAME=VALUE"),
        (["/bin/true", "--only", "no-such"], "no case 'no-such'"),
        (["/bin/true", "--helper", "("], "--helper"),
        (["/bin/true", "--timeout", "0"], "--timeout"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(words: list[str], said: str) -> None:
    result = CliRunner().invoke(ocf_check, words)
    assert result.exit_code == 2
    assert said in result.output


def test_the_list_of_cases_needs_no_agent() -> None:
    result = CliRunner().invoke(ocf_check, ["--list"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == len(every_case())
