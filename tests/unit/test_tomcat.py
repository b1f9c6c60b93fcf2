"""Tomcat: what server.xml says, which JVM is ours, and which of its lines name a cause (recorded from Tomcat 10.1)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocf.declarations import ParameterError
from ocf.faults import Kind
from resource_agents.layouts import Address, ConfigurationUnreadable, Exchange
from resource_agents.parsing import tomcat_config
from resource_agents.processes import Process
from resource_agents.tomcat import CPING, CPONG, Tomcat

#: Lines of Tomcat 10.1.60 on OpenJDK 17, frames cut.
RECORDED = {
    "port-taken": """\
22-Nov-2026 12:48:31.301 SEVERE [main] org.apache.catalina.util.LifecycleBase.handleSubClassException Failed to \
initialize component [Connector["http-nio-127.0.0.1-18080"]]
	org.apache.catalina.LifecycleException: Protocol handler initialization failed
		at org.apache.catalina.connector.Connector.initInternal(Connector.java:1285)
	Caused by: java.net.BindException: Address already in use
		at java.base/sun.nio.ch.Net.bind0(Native Method)
		... 13 more""",
    "service-address-missing": """\
22-Nov-2026 12:49:22.536 SEVERE [main] org.apache.catalina.util.LifecycleBase.handleSubClassException Failed to \
initialize component [Connector["http-nio-192.0.2.77-18080"]]
	org.apache.catalina.LifecycleException: Protocol handler initialization failed
	Caused by: java.net.BindException: Cannot assign requested address""",
    "connector-not-listening": """\
22-Nov-2026 12:49:10.389 SEVERE [main] org.apache.catalina.util.LifecycleBase.handleSubClassException Failed to \
initialize component [Connector["http-nio-127.0.0.1--1"]]
	org.apache.catalina.LifecycleException: Protocol handler initialization failed
	Caused by: java.lang.IllegalArgumentException: port out of range:-1""",
    "ajp-secret-missing": """\
22-Nov-2026 12:49:35.587 SEVERE [main] org.apache.catalina.util.LifecycleBase.handleSubClassException Failed to start \
component [Connector["ajp-nio-127.0.0.1-18009"]]
	org.apache.catalina.LifecycleException: Protocol handler start failed
	Caused by: java.lang.IllegalArgumentException: The AJP Connector is configured with secretRequired="true" but the \
secret attribute is either null or "". This combination is not valid.""",
    "certificate-or-key": """\
22-Nov-2026 12:49:59.232 SEVERE [main] org.apache.catalina.util.LifecycleBase.handleSubClassException Failed to \
initialize component [Connector["https-jsse-nio-18080"]]
	org.apache.catalina.LifecycleException: Protocol handler initialization failed
	Caused by: java.lang.IllegalArgumentException: Error creating SSLContext
	Caused by: java.io.FileNotFoundException: /tmp/tc/conf/none.jks (No such file or directory)""",
    "shutdown-port-taken": """\
22-Nov-2026 12:48:32.301 INFO [main] org.apache.catalina.startup.Catalina.start Server startup in [988] milliseconds
22-Nov-2026 12:48:32.303 SEVERE [main] org.apache.catalina.core.StandardServer.await Failed to create server shutdown \
socket on address [localhost] and port [18005] (base port [18005] and offset [0])
	java.net.BindException: Address already in use""",
    "config-error": """\
22-Nov-2026 12:49:46.040 WARNING [main] org.apache.catalina.startup.Catalina.parseServerXml Unable to load server \
configuration from [/tmp/tc/conf/server.xml]
	java.io.FileNotFoundException: /tmp/tc/conf/server.xml (No such file or directory)""",
    "java-options": "Error: Could not create the Java Virtual Machine.",
    "heap-exhausted": """\
Exception in thread "http-nio-127.0.0.1-8080-Acceptor" java.lang.OutOfMemoryError: Java heap space""",
    "log-unwritable": "tomcat: 13: cannot create /var/log/none/catalina.out: Directory nonexistent",
}

STOCK = """\
<Server port="8005" shutdown="SHUTDOWN">
  <Service name="Catalina">
    <Connector port="8080" protocol="HTTP/1.1" redirectPort="8443"/>
    <Connector port="8443" protocol="org.apache.coyote.http11.Http11NioProtocol" SSLEnabled="true"/>
    <Connector protocol="AJP/1.3" address="::1" port="8009"/>
  </Service>
</Server>
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "conf/server.xml").write_text(STOCK)
    return tmp_path


def agent(base: Path, **values: str) -> Tomcat:
    return Tomcat({"catalina_home": "/opt/tomcat", "catalina_base": str(base), "java_home": "/opt/java", **values})


def ports(base: Path, **values: str) -> list[int]:
    return [address.port for address in agent(base, **values).read_layout().addresses]


def jvm(base: str, *words: str, exe: str = "/opt/java/bin/java", last: str = "start") -> Process:
    argv = (exe, *words, f"-Dcatalina.base={base}", "org.apache.catalina.startup.Bootstrap", last)
    return Process(pid=999999999, start=1, ppid=999999998, pgid=1, sid=1, state="S", exe=exe, argv=argv, uid=0)


# ---- server.xml ------------------------------------------------------------------------------------------------------


def test_the_stock_file_opens_http_https_ajp_and_the_shutdown_port(base: Path) -> None:
    layout = agent(base).read_layout()
    assert layout.addresses == (
        Address("", 8080),
        Address("", 8443, tls=True),
        Address("::1", 8009),
        Address("127.0.0.1", 8005),
    )
    assert layout.request is not None
    assert layout.request.url == "http://localhost:8080/"
    assert layout.exchanges == (Exchange(Address("::1", 8009), CPING, CPONG),)
    assert layout.error_log == f"{base}/logs/catalina.out"


def test_a_statusurl_that_was_given_is_asked_and_nothing_else(base: Path) -> None:
    request = agent(base, statusurl="127.0.0.1:9090/ok", testregex="alive").read_layout().request
    assert request is not None
    assert (request.url, request.pattern, request.expect) == ("http://127.0.0.1:9090/ok", "alive", ((200, 399),))


def test_an_instance_with_ajp_alone_is_asked_by_cping(base: Path) -> None:
    (base / "conf/server.xml").write_text('<Server port="-1"><Connector port="8009" protocol="AJP/1.3"/></Server>')
    layout = agent(base).read_layout()
    assert layout.request is None
    assert layout.addresses == (Address("127.0.0.1", 8009),)
    assert layout.exchanges == (Exchange(Address("127.0.0.1", 8009), CPING, CPONG),)


def test_a_property_of_the_file_wins_over_one_of_the_command_line(base: Path) -> None:
    (base / "conf/server.xml").write_text('<Server port="-1"><Connector port="${http.port}"/></Server>')
    assert ports(base) == []
    (base / "bin/setenv.sh").write_text('CATALINA_OPTS="-Xmx1g -Dhttp.port=7001 -Dx=y"\n')
    assert ports(base) == [7001]
    assert ports(base, catalina_opts="-Dhttp.port=7002 -Xmx1m") == [7001]
    (base / "conf/catalina.properties").write_text("# ports\nhttp.port = 7003\n")
    assert ports(base, java_opts="-Dhttp.port=7002") == [7003]


def test_a_property_may_have_a_default_and_ports_an_offset(base: Path) -> None:
    (base / "conf/server.xml").write_text('<Server port="8005" portOffset="10"><Connector port="${p:-80}80"/></Server>')
    assert ports(base) == [8090, 8015]


def test_a_file_entity_below_conf_is_read_and_any_other_refused(base: Path) -> None:
    (base / "conf/more.xml").write_text('<Connector port="9001"/><Connector port="9002"/>')
    text = '<!DOCTYPE Server [<!ENTITY more SYSTEM "{}">]>\n<Server port="-1">&more;</Server>'
    (base / "conf/server.xml").write_text(text.format("more.xml"))
    assert ports(base) == [9001, 9002]
    assert str(base / "conf/more.xml") in agent(base).read_layout().files
    for outside in ("../secret.xml", "/etc/passwd", "http://127.0.0.1:1/x.xml", "file://host/x.xml"):
        (base / "conf/server.xml").write_text(text.format(outside))
        with pytest.raises(ConfigurationUnreadable, match=r"server\.xml"):
            agent(base).read_layout()


def test_an_entity_bomb_is_refused_unexploded(base: Path) -> None:
    bomb = '<!DOCTYPE S [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><Server port="&b;"/>'
    (base / "conf/server.xml").write_text(bomb)
    with pytest.raises(ConfigurationUnreadable, match="entity 'b'"):
        agent(base).read_layout()


def test_a_broken_file_is_told_with_its_line(base: Path) -> None:
    (base / "conf/server.xml").write_text("<Server>\n<Connector port=>\n</Server>")
    with pytest.raises(ConfigurationUnreadable) as raised:
        agent(base).read_layout()
    assert raised.value.fault.kind is Kind.CONFIGURATION
    assert raised.value.fault.proof == f"{base}/conf/server.xml:2"


def test_a_missing_file_is_told_apart_from_a_broken_one(base: Path) -> None:
    (base / "conf/server.xml").unlink()
    with pytest.raises(ConfigurationUnreadable) as raised:
        agent(base).read_layout()
    assert raised.value.fault.cause == "config-missing"


@given(st.binary(max_size=200))
def test_no_server_xml_whatsoever_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "server.xml"
    path.write_bytes(noise)
    try:
        tomcat_config.read(str(path), {})
    except ConfigurationUnreadable as unreadable:
        assert str(path) in unreadable.fault.reason


# ---- which process ---------------------------------------------------------------------------------------------------


def test_only_the_jvm_of_this_very_base_is_the_main_process(base: Path) -> None:
    ours = agent(base)
    assert ours.is_main(jvm(str(base)))
    assert ours.is_main(jvm(str(base), exe="/opt/java/bin/java (deleted)"))
    assert not ours.is_main(jvm(f"{base}-2"))
    assert not ours.is_main(jvm(str(base.parent)))
    assert not ours.is_main(jvm(str(base), exe="/bin/grep"))


def test_a_link_to_the_base_is_the_base(base: Path) -> None:
    link = base.parent / f"{base.name}-link"
    link.symlink_to(base)
    assert agent(link).is_main(jvm(str(base)))


def test_the_jvm_of_a_stop_command_is_kin_but_not_the_server(base: Path) -> None:
    for last in ("stop", "configtest"):
        assert not agent(base).is_main(jvm(str(base), last=last))
        assert agent(base).is_kin(jvm(str(base), last=last))


def test_a_name_that_is_not_ours_is_somebody_elses(base: Path) -> None:
    assert agent(base, tomcat_name="shop").is_main(jvm(str(base), "-Dname=shop"))
    assert not agent(base, tomcat_name="shop").is_main(jvm(str(base), "-Dname=blog"))


# ---- commands --------------------------------------------------------------------------------------------------------


def test_the_start_runs_in_the_foreground_with_the_peers_environment(base: Path) -> None:
    tomcat = agent(base, tomcat_start_script="/opt/tomcat/bin/catalina.sh", tomcat_start_opts="-security")
    command = tomcat.start_command()
    assert command.argv[-3:] == ("/opt/tomcat/bin/catalina.sh", "run", "-security")
    assert command.env["CATALINA_OPTS"] == "-Dname=tomcat"
    assert command.env["CATALINA_BASE"] == command.cwd == str(base)
    assert command.user == ""
    assert not tomcat.forks
    assert agent(base, tomcat_user="www").start_command().user == "www"


def test_scripts_that_fork_are_called_with_start(base: Path) -> None:
    tomcat = agent(base, tomcat_start_script="/usr/sbin/tomcat")
    assert tomcat.start_command().argv[-2:] == ("/usr/sbin/tomcat", "start")
    assert tomcat.forks


def test_jsvc_gets_the_java_options_that_its_script_forgets(base: Path) -> None:
    tomcat = agent(base, tomcat_start_script="/opt/tomcat/bin/daemon.sh", java_opts="-Xmx1g")
    assert tomcat.start_command().env["CATALINA_OPTS"] == "-Xmx1g -Dname=tomcat"
    assert tomcat.binary.endswith("/jsvc")


def test_a_unit_is_started_and_stopped_by_systemd(base: Path) -> None:
    tomcat = agent(base, force_systemd="1", tomcat_name="shop")
    assert tomcat.start_command().argv == ("systemctl", "start", "tomcat@shop")
    stop = tomcat.stop_command()
    assert stop is not None
    assert stop.argv == ("systemctl", "stop", "tomcat@shop")
    assert agent(base).stop_command() is None


def test_max_stop_time_bounds_the_gentle_stop(base: Path) -> None:
    assert agent(base).ladder == Tomcat.gentle
    (rung,) = agent(base, max_stop_time="7").ladder
    assert (rung.signal, rung.limit) == (signal.SIGTERM, 7.0)
    (whole,) = agent(base, max_stop_time="0").ladder
    assert (whole.share, whole.limit) == (1.0, float("inf"))
    with pytest.raises(ParameterError):
        agent(base, max_stop_time="-1")


def test_what_is_missing_is_said_in_order(base: Path) -> None:
    assert Tomcat({}).missing() == "catalina_home is not set"
    assert Tomcat({"catalina_home": str(base)}).missing() == "java_home is not set"
    assert "is not a directory" in Tomcat({"catalina_home": "/nowhere", "java_home": "/"}).missing()
    assert "/bin/java" in Tomcat({"catalina_home": str(base), "java_home": str(base)}).missing()


# ---- log lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", RECORDED)
def test_a_recorded_line_names_its_cause(base: Path, cause: str) -> None:
    fault = agent(base).explain(RECORDED[cause].splitlines(), "it failed")
    assert fault is not None
    assert fault.cause == cause


def test_a_good_start_names_nothing(base: Path) -> None:
    line = "22-Nov-2026 12:48:25.330 INFO [main] org.apache.catalina.startup.Catalina.start Server startup in [1381] ms"
    assert agent(base).explain([line], "it failed") is None
