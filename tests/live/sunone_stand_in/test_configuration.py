"""Broken configuration, taken ports.

The stand-in of Sun ONE behaves as the real server was seen to behave, and the agent draws the right conclusion.
See tests/stand_ins/README.rst.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time

import pytest

from ocf.faults import Kind
from ocf.programs import run
from resource_agents.layouts import ConfigurationUnreadable
from resource_agents.sunone_family import YOUNG, Standing
from tests.stand_ins.sunone.handling import cause, end, standing
from tests.stand_ins.sunone.running import Instance
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="the product is started by root")]


BROKEN = {
    "malformed": ("server.xml", "</virtual-server>", "", 1, "CONF1103: ", "config-error"),
    "unknown element": ("server.xml", "<virtual-server>", "<frob/><virtual-server>", 1, "CONF1117: ", "config-error"),
    "bad port": ("server.xml", "<ip>127.0.0.1</ip>\n    <port>", "<port>9999", 1, "CONF1103: ", "config-error"),
    "no such virtual server": ("server.xml", "-name>test</def", "-name>nosuch</def", 1, "CONF1110: ", "config-error"),
    "no such user": ("server.xml", "<user>root", "<user>nosuchuser", 1, "CORE3296: Cannot find user", "no-such-user"),
    "obj.conf syntax": ("obj.conf", 'NameTrans fn="', 'NameTrans "', 1, "CONF2258: Error parsing file", "config-error"),
    "log directory missing": (
        "server.xml",
        "../logs/",
        "../nolog/",
        0,
        "logging initialization failed",
        "log-unwritable",
    ),
    "foreign address": ("server.xml", "<ip>127.0.0.1", "<ip>192.0.2.7", 0, "(Cannot assign", "service-address-missing"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_configuration_does_not_start_and_its_first_line_is_the_cause(server: Instance, fault: str) -> None:
    name, old, new, test_status, message, named = BROKEN[fault]
    server.edit(name, old, new)
    assert server.script("startserv", "--configtest").status == test_status
    started = server.script("startserv")
    assert started.status == 1
    assert message in started.output
    found = server.server.explain(started.output.splitlines(), "start failed")
    assert found is not None and found.cause == named
    assert message in found.proof
    assert server.family().watchdog is None and not server.family().orphans


@pytest.mark.parametrize(("text", "message"), [(None, "CONF1115: Error opening"), ("", "CONF1116: ")])
def test_a_missing_or_empty_server_xml(server: Instance, text: str | None, message: str) -> None:
    path = server.directory / "config/server.xml"
    path.unlink()
    if text is not None:
        path.write_text(text)
    started = server.script("startserv")
    assert started.status == 1 and message in started.output
    assert "temporary directory  is not writable by user root" in started.output, "two blanks, and not the cause"
    with pytest.raises(ConfigurationUnreadable) as unreadable:
        server.server.read_layout()
    assert unreadable.value.fault.kind is Kind.CONFIGURATION
    stopped = server.script("stopserv")
    assert (stopped.status, "CONF1115" in stopped.output) == ((1, True) if text is None else (0, False))


def test_errors_of_server_xml_are_not_in_the_error_log(server: Instance) -> None:
    server.edit("server.xml", "</virtual-server>", "")
    server.script("startserv")
    assert "CONF1103" in server.syslog() and "CONF1103" not in server.errors()


def test_an_unknown_function_starts_and_answers_500(server: Instance) -> None:
    server.edit("obj.conf", "find-index", "no-such-saf")
    assert server.script("startserv", "--configtest").status == 0
    server.start()
    assert server.answer() == 500
    fault = server.server.explain(server.errors().splitlines(), "wrong answer")
    assert fault is not None and (fault.cause, fault.kind) == ("config-error", Kind.CONFIGURATION)
    assert "HTTP2122: cannot find function named no-such-saf" in fault.proof


def test_an_unknown_directive_is_only_a_warning(server: Instance) -> None:
    (server.directory / "config/magnus.conf").write_text("Frobnicate on\n")
    started = server.script("startserv")
    assert started.status == 0 and "warning: CORE2176: Frobnicate directive ignored" in started.output


def test_a_port_thief_answers_and_nothing_of_ours_is_said_to_run(server: Instance) -> None:
    thief = subprocess.Popen(
        ["/usr/bin/python3", "-m", "http.server", "-b", "127.0.0.1", str(server.port)], stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: server.connects(), what="the thief")
        started = server.script("startserv")
        assert started.status == 1 and "HTTP3127" in started.output
        fault = server.server.explain(started.output.splitlines(), "start failed")
        assert fault is not None and (fault.cause, fault.kind) == ("port-taken", Kind.HOST)
        assert not server.temp.exists(), "nothing is left behind"
        assert server.answer() is not None
        assert standing(server, answered=True) is Standing.PORT_THIEF
        assert cause(server, answered=True) == "port-taken"
    finally:
        thief.kill()
        thief.wait()


def test_one_taken_port_of_two_stops_the_whole_server(server: Instance) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        more = f"""<http-listener><name>two</name><ip>127.0.0.1</ip><port>{taken.getsockname()[1]}</port>
        <default-virtual-server-name>test</default-virtual-server-name></http-listener><virtual-server>"""
        server.edit("server.xml", "<virtual-server>", more)
        started = server.script("startserv")
    assert started.status == 1
    assert "HTTP3072: http-listener-1" in started.output and "HTTP3127: two" in started.output
    assert not server.connects()


def test_a_broken_file_under_a_running_server_disturbs_nobody(running: Instance) -> None:
    before = running.pids()
    running.edit("server.xml", "</virtual-server>", "")
    started = running.script("startserv")
    assert started.status == 1 and "CONF1103" in started.output, "1 does not mean down"
    reload = running.script("reconfig")
    assert reload.status == 1
    assert "CORE3279: New configuration not installed" in running.errors()
    check = running.server.check_command()
    assert check is not None and not run(check.argv, 30, check.env).ok, "so the agent would not even try"
    assert (running.answer(), running.pids()) == (200, before)
    assert running.script("stopserv").status == 0


def test_stopserv_says_0_and_looks_elsewhere_when_server_xml_is_empty(running: Instance) -> None:
    (running.directory / "config/server.xml").write_text("")
    stopped = running.script("stopserv")
    assert (stopped.status, stopped.output.strip()) == (0, "server not running")
    assert running.answer() == 200
    assert running.server.is_main(running.watchdog), "the agent needs no configuration to find it"


def test_a_changed_temp_path_hides_the_server_from_its_scripts(running: Instance) -> None:
    running.edit("server.xml", str(running.temp), f"{running.temp}-moved")
    stopped = running.script("stopserv")
    assert (stopped.status, stopped.output.strip()) == (0, "server not running")
    started = running.script("startserv")
    assert started.status == 1 and "Address already in use" in started.output
    assert running.answer() == 200
    words = running.server.moved_temp_path(running.watchdog)
    assert "-moved" in words and "believe that it does not run" in words


def test_stopserv_fails_when_server_xml_is_missing_and_the_server_goes_on(running: Instance) -> None:
    (running.directory / "config/server.xml").unlink()
    stopped = running.script("stopserv")
    assert stopped.status == 1 and "CONF1115" in stopped.output
    assert running.answer() == 200


@pytest.mark.parametrize("how", ["restart", "primordial"])
def test_a_restart_on_a_broken_file_costs_the_server(running: Instance, how: str) -> None:
    running.edit("server.xml", "</virtual-server>", "")
    if how == "restart":
        assert running.script("restart").status == 0, "though it returns 0"
    else:
        end(running.primordial)
    eventually(lambda: running.family().watchdog is None and not running.connects(), what="the end of the server")
    assert not running.pid_file
    assert "config: CONF1103" in running.syslog() and "server initialization failed" in running.syslog()
    fault = running.server.explain(running.syslog().splitlines(), "gone")
    assert fault is not None and fault.cause == "config-error"


def test_a_worker_that_dies_on_a_broken_file_loops_and_the_file_is_the_cause(running: Instance) -> None:
    watchdog, primordial, _ = running.pids()
    running.edit("server.xml", "</virtual-server>", "")
    end(running.worker)
    eventually(lambda: running.errors().count("CORE3050") > 5, what="a loop")
    assert running.connects() and running.answer(timeout=0.5) is None
    family = running.family()
    assert family.watchdog is not None
    assert (family.watchdog.pid, family.primordials[0].pid) == (watchdog, primordial)
    later = time.clock_gettime(time.CLOCK_BOOTTIME)
    hz = os.sysconf("SC_CLK_TCK")
    old = [process for process in family.workers if later - process.start / hz > YOUNG]
    assert not old
    assert cause(running, answered=False) in ("worker-missing", "crash-loop", "stalled")
    fault = running.server.explain(running.errors().splitlines(), "no answer")
    assert fault is not None and (fault.cause, fault.kind) == ("config-error", Kind.CONFIGURATION)
    assert running.script("stopserv").status == 0
