"""The sunone agent without a server: what it reads, and what its parameters say."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from ocf.declarations import ParameterError
from ocf.faults import Kind
from resource_agents.layouts import Address, ConfigurationUnreadable
from resource_agents.parsing import sunone_config
from resource_agents.server import load, names
from resource_agents.sunone import SunOne
from tests.stand_ins.sunone.install import SERVER_XML, SIX_XML


def seven(directory: Path, **more: str) -> SunOne:
    """An instance of release 7.0 that was never installed."""
    words = {"temp": f"{directory}/tmp", "user": "webservd", "port": "8080", "ssl": "", "more": ""} | more
    for name in ("config", "bin"):
        (directory / name).mkdir(parents=True)
    (directory / "bin/startserv").write_text('#!/bin/sh\nSERVER_INSTALL_ROOT="/opt/web7"\n')
    (directory / "config/server.xml").write_text(SERVER_XML.format(**words))
    return SunOne({"instance_dir": str(directory)})


def six(directory: Path, magnus: str) -> SunOne:
    (directory / "config").mkdir(parents=True)
    (directory / "start").write_text("#!/bin/sh\n")
    (directory / "config/server.xml").write_text(SIX_XML.format(port=8081))
    (directory / "config/magnus.conf").write_text(magnus)
    return SunOne({"instance_dir": str(directory)})


def test_release_7_is_read_from_server_xml(tmp_path: Path) -> None:
    layout = seven(tmp_path / "https-test").layout
    assert layout.addresses == (Address("127.0.0.1", 8080),)
    assert layout.pidfile == f"{tmp_path}/https-test/tmp/pid"
    assert (layout.user, layout.error_log) == ("webservd", f"{tmp_path}/https-test/logs/errors")
    assert layout.request is not None and layout.request.url == "http://127.0.0.1:8080/"
    assert f"{tmp_path}/https-test/config/server.xml" in layout.files


def test_a_listener_on_every_address_is_asked_on_the_loopback(tmp_path: Path) -> None:
    server = seven(tmp_path)
    path = tmp_path / "config/server.xml"
    path.write_text(path.read_text().replace("<ip>127.0.0.1</ip>", "<ip>*</ip>"))
    assert server.layout.addresses == (Address("", 8080),)
    assert server.layout.request is not None and server.layout.request.url == "http://127.0.0.1:8080/"


def test_a_secure_listener_is_asked_with_tls(tmp_path: Path) -> None:
    layout = seven(tmp_path, ssl="<ssl><enabled>true</enabled></ssl>").layout
    assert layout.addresses[0].tls
    assert layout.request is not None and layout.request.url.startswith("https://")


def test_a_disabled_listener_is_none(tmp_path: Path) -> None:
    layout = seven(tmp_path, ssl="<enabled>false</enabled>").layout
    assert (layout.addresses, layout.request) == ((), None)


def test_variables_are_put_in(tmp_path: Path) -> None:
    more = "<variable><name>port</name><value>8443</value></variable>"
    assert seven(tmp_path, port="${port}", more=more).layout.addresses[0].port == 8443


def test_release_6_is_read_from_both_files(tmp_path: Path) -> None:
    server = six(tmp_path, "PidLog /var/run/web.pid\nUser nobody\nTempDir /var/tmp/web\nTerminateTimeout 5\n# x\n")
    layout = server.layout
    assert layout.addresses == (Address("127.0.0.1", 8081),)
    assert (layout.pidfile, layout.user) == ("/var/run/web.pid", "nobody")
    assert layout.error_log == f"{tmp_path}/logs/errors"
    assert server.temp_path == "/var/tmp/web"
    assert sunone_config.read(tmp_path).terminate_timeout == 5
    assert server.start_command().argv == (f"{tmp_path}/start",)
    assert server.check_command() is None


@pytest.mark.parametrize("text", ["", "<server>", "<server><http-listener><port>99999</port></http-listener></server>"])
def test_what_cannot_be_read_is_a_configuration_fault_that_names_the_file(tmp_path: Path, text: str) -> None:
    server = seven(tmp_path)
    (tmp_path / "config/server.xml").write_text(text)
    with pytest.raises(ConfigurationUnreadable) as unreadable:
        server.read_layout()
    assert unreadable.value.fault.kind is Kind.CONFIGURATION
    assert f"{tmp_path}/config/server.xml" in unreadable.value.fault.reason


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    server = seven(tmp_path)
    (tmp_path / "config/server.xml").write_text("<server>\n  <user>\n</server>\n")
    with pytest.raises(ConfigurationUnreadable) as unreadable:
        server.read_layout()
    assert "server.xml line 3" in unreadable.value.fault.reason


def test_the_leftovers_are_known_even_while_the_configuration_is_broken(tmp_path: Path) -> None:
    server = seven(tmp_path)
    path = tmp_path / "config/server.xml"
    path.write_text(path.read_text().replace("</server>", ""))
    assert server.leftovers() == tuple(
        f"{tmp_path}/tmp/{n}" for n in ("pid", "webservd-wdog.socket", "webservd.socket")
    )


def test_without_a_temp_path_the_systems_own_is_used(tmp_path: Path) -> None:
    server = seven(tmp_path / "https-test")
    path = tmp_path / "https-test/config/server.xml"
    path.write_text("<server/>")
    assert server.temp_path == "/tmp/https-test"
    assert server.layout.pidfile == "/tmp/https-test/pid"


def test_the_agent_is_found_and_its_helpers_are_none() -> None:
    assert load("sunone") is SunOne
    assert "sunone" in names() and not {"sunone_family", "sunone_signatures"} & set(names())


def test_the_instance_directory_is_required() -> None:
    with pytest.raises(ParameterError, match="instance_dir is required"):
        SunOne({})


def test_everything_that_is_guessed_can_be_said(tmp_path: Path) -> None:
    seven(tmp_path)
    given = {
        "start_cmd": "/usr/bin/svcadm enable 'my web'",
        "stop_cmd": "/bin/stopit",
        "reload_cmd": "/bin/reloadit now",
        "configtest_cmd": "/bin/testit",
        "pidfile": "/run/p",
        "temp_path": "/run/t",
        "binary": "/bin/dog",
        "statusurl": "/alive",
        "testregex": "OK",
        "user": "web",
        "grace": "9",
    }
    server = SunOne({"instance_dir": str(tmp_path), **given})
    assert server.start_command().argv == ("/usr/bin/svcadm", "enable", "my web")
    assert server.start_command().user == "web"
    commands = (server.stop_command(), server.reload_command(), server.check_command())
    assert [c.argv for c in commands if c] == [("/bin/stopit",), ("/bin/reloadit", "now"), ("/bin/testit",)]
    assert (server.binary, server.layout.pidfile, server.grace) == ("/bin/dog", "/run/p", 9)
    assert server.leftovers()[0] == "/run/t/pid"
    request = server.layout.request
    assert request is not None and (request.url, request.pattern) == ("http://127.0.0.1:8080/alive", "OK")


def test_by_itself_it_stops_by_signals_and_reloads_with_reconfig(tmp_path: Path) -> None:
    server = seven(tmp_path)
    assert server.stop_command() is None
    reload, check = server.reload_command(), server.check_command()
    assert reload is not None and reload.argv == (f"{tmp_path}/bin/reconfig",)
    assert check is not None and check.argv == (f"{tmp_path}/bin/startserv", "--configtest")


def test_a_gentle_stop_waits_as_long_as_busy_sessions_may_take(tmp_path: Path) -> None:
    server = seven(tmp_path)
    assert [(rung.signal, rung.limit) for rung in server.ladder] == [(signal.SIGTERM, 35)]
    (tmp_path / "config/magnus.conf").write_text("TerminateTimeout 5\n")
    assert server.ladder[0].limit == 10


def test_the_product_is_found_through_the_start_script(tmp_path: Path) -> None:
    assert seven(tmp_path).binary == "/opt/web7/lib/webservd-wdog"
