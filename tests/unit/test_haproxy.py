"""HAProxy: what its configuration says, and which of its lines name a cause (recorded from HAProxy 2.6.12)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocf.faults import Kind
from resource_agents.haproxy import Haproxy
from resource_agents.layouts import Address, ConfigurationUnreadable, Exchange
from resource_agents.parsing import haproxy_config
from resource_agents.processes import Process

_BIND = "[ALERT]    (9817) : Binding [h.cfg:9] for frontend f: cannot bind socket"

RECORDED = (
    ("port-taken", f"{_BIND} (Address already in use) for [127.0.0.1:18911]"),
    ("service-address-missing", f"{_BIND} (Cannot assign requested address) for [192.0.2.77:18911]"),
    ("no-privilege-for-port", f"{_BIND} (Permission denied) for [127.0.0.1:81]"),
    (
        "socket-path",
        "[ALERT]    (10081) : Binding [h9.cfg:2] for frontend GLOBAL: cannot bind UNIX socket (No such file or "
        "directory) [/nosuch/s.sock]",
    ),
    ("config-error", "[ALERT]    (9982) : config : parsing [h3.cfg:4] : unknown proxy mode 'htpp'."),
    ("config-error", "[ALERT]    (9994) : config : Proxy 'f': unable to find required default_backend: 'nosuch'."),
    (
        "certificate-or-key",
        "[ALERT]    (9989) : config : parsing [h4.cfg:9] : 'bind 127.0.0.1:18911' in section 'frontend' : unable to "
        "stat SSL certificate from file '/nosuch.pem' : No such file or directory.",
    ),
    (
        "user-or-group",
        "[ALERT]    (9998) : config : parsing [h6.cfg:2] : cannot find user id for 'nosuch' (0:Success)",
    ),
    (
        "config-missing",
        "[ALERT]    (1) : config : Cannot open configuration file/directory /nosuch.cfg : No such file or directory",
    ),
    (
        "name-resolution",
        "[ALERT]    (10090) : config : [h11.cfg:12] : 'server b/x' : could not resolve address 'nosuch.invalid'.",
    ),
    ("fd-limit", "[ALERT]    (10008) : [haproxy.main()] Cannot raise FD limit to 20000028, limit is 100."),
    ("chroot-missing", "[ALERT]    (10074) : [haproxy.main()] Cannot chroot(/nosuch)."),
    ("pid-file", "[ALERT]    (10094) : [haproxy.main()] Cannot create pidfile /nosuch/p"),
    ("worker-died", "[ALERT]    (29094) : Current worker (29097) exited with code 139 (Segmentation fault)"),
    ("backend-down", "[ALERT]    (10099) : backend 'b' has no server available!"),
)


def read(tmp_path: Path, text: str, **environment: str) -> haproxy_config.Haproxy:
    path = tmp_path / "haproxy.cfg"
    path.write_text(text)
    return haproxy_config.read([str(path)], environment)


def test_bind_lines_in_all_their_forms_are_addresses(tmp_path: Path) -> None:
    text = """
frontend a
    bind *:80
    bind 10.0.0.1:8001-8003,[::1]:90 ssl crt /x.pem
    bind :::443 v4v6
    bind ipv4@"${IP}":81
    bind :82 name ssl
    bind /run/a.sock
    bind unix@/run/b.sock
    bind abns@x,fd@3
    bind quic4@:443 ssl
    bind ${NOWHERE}
listen b 127.0.0.1:83
peers p
    bind localhost:1024
backend c
    server x 127.0.0.1:99
"""
    assert read(tmp_path, text, IP="10.0.0.2").addresses == (
        Address("", 80),
        Address("10.0.0.1", 8001, True),
        Address("10.0.0.1", 8002, True),
        Address("10.0.0.1", 8003, True),
        Address("::1", 90, True),
        Address("", 443),
        Address("10.0.0.2", 81),
        Address("", 82, True),
        Address("127.0.0.1", 83),
        Address("127.0.0.1", 1024),
    )


def test_global_settings_are_found(tmp_path: Path) -> None:
    said = read(
        tmp_path,
        "global\n pidfile /run/h.pid\n user haproxy\n stats socket /run/h.sock mode 600\n master-worker\n"
        " setenv P 81\nfrontend f\n bind :${P}\n",
    )
    assert (said.pidfile, said.user, said.stats, said.master) == ("/run/h.pid", "haproxy", "/run/h.sock", True)
    assert said.addresses == (Address("", 81),)


def test_the_first_http_frontend_with_a_monitor_uri_is_asked(tmp_path: Path) -> None:
    text = """
defaults web
    mode http
    monitor-uri /alive
defaults plain
    mode tcp
frontend t from plain
    bind :1
    monitor-uri /not-http
frontend n from web
    no monitor-uri
    bind :2
frontend h from web
    bind 127.0.0.1:3
"""
    assert read(tmp_path, text).monitor == (Address("127.0.0.1", 3), "/alive")


def test_what_depends_on_the_build_cannot_be_demanded(tmp_path: Path) -> None:
    text = "frontend f\n .if feature(QUIC)\n  bind :1\n .else\n  bind :2\n .endif\n bind :3\n"
    assert read(tmp_path, text).addresses == (Address("", 3),)


def test_folders_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, text in (("b.cfg", "frontend b\n bind :2"), ("a.cfg", "frontend a\n bind :1"), ("c.txt", "bad")):
        (tmp_path / name).write_text(text)
    said = haproxy_config.read([str(tmp_path)], {})
    assert [address.port for address in said.addresses] == [1, 2]
    assert [Path(path).name for path in said.files] == ["a.cfg", "b.cfg"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (r"""a "b"  c\#d 'e f' "x${A}"y z"q r"# comment""", ["a", "b", "c#d", "e f", "x1y", "zq r"]),
        (r'"b\"c" d\ e ${A} ${B-x} ""', ['b"c', "d e", "1", "x", ""]),
        ("bind *:80 # it's", ["bind", "*:80"]),
        ("'${A}'", ["${A}"]),
        ('a "b', None),
        ("a 'b", None),
    ],
)
def test_words_are_split_as_haproxy_splits_them(line: str, found: list[str] | None) -> None:
    assert haproxy_config.words(line, {"A": "1"}) == found


@pytest.mark.parametrize(
    ("text", "line"),
    [("bind :80\n", 1), ("global\n\n user 'x\n", 3), ("frontend f\n bind :x\n", 2), ("frontend f\n bind :65536\n", 2)],
)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ConfigurationUnreadable) as raised:
        read(tmp_path, text)
    assert raised.value.fault.kind is Kind.CONFIGURATION
    assert raised.value.fault.proof == f"{tmp_path}/haproxy.cfg:{line}"


@given(
    st.lists(st.sampled_from(["global", "frontend", "bind", "stats", "socket", "f", '""', "'", ":1-", ",", "no", "\n"]))
)
def test_no_text_whatsoever_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, noise: list[str]) -> None:
    folder = tmp_path_factory.mktemp("noise")
    try:
        read(folder, " ".join(noise))
    except ConfigurationUnreadable as unreadable:
        assert str(folder) in unreadable.fault.reason


def test_it_is_asked_what_it_answers_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "h.cfg"
    agent = {"configfile": str(path)}
    path.write_text("defaults\n mode http\nfrontend f\n bind 127.0.0.1:81\n")
    assert Haproxy(agent).layout.request is None
    assert Haproxy(agent).layout.exchanges == (Exchange(Address("127.0.0.1", 81)),)
    path.write_text("global\n stats socket /run/h.sock\n" + path.read_text())
    assert Haproxy(agent).layout.exchanges == (Exchange("/run/h.sock", b"show info\n", b"Name: HAProxy"),)
    path.write_text(path.read_text() + " monitor-uri /up\n")
    request = Haproxy(agent).layout.request
    assert request is not None
    assert request.url == "http://127.0.0.1:81/up"
    given_url = Haproxy({**agent, "statusurl": "http://y/"}).layout.request
    assert given_url is not None
    assert given_url.url == "http://y/"


def test_several_files_reach_every_command(tmp_path: Path) -> None:
    agent = Haproxy({"configfile": "/a.cfg '/b c.d'", "binary": "/bin/haproxy", "options": "-S /run/m.sock"})
    assert agent.start_command().argv == (
        *("/bin/haproxy", "-W", "-db", "-f", "/a.cfg", "-f", "/b c.d", "-S", "/run/m.sock"),
    )
    assert agent.check_command().argv == ("/bin/haproxy", "-c", "-f", "/a.cfg", "-f", "/b c.d")


def test_a_haproxy_without_a_master_is_never_sent_usr2() -> None:
    assert Haproxy({}).reloads_with == signal.SIGUSR2
    assert Haproxy({"master_worker": "no"}).reloads_with is None


def test_another_configuration_is_another_haproxy(tmp_path: Path) -> None:
    agent = Haproxy({"configfile": "/a.cfg /b.cfg", "binary": "/bin/true"})

    def process(*words: str) -> Process:
        argv = ("haproxy", *words)
        exe = str(Path("/bin/true").resolve())
        return Process(
            pid=999999999, start=1, ppid=999999998, pgid=1, sid=999999999, state="S", exe=exe, argv=argv, uid=0
        )

    assert agent.is_main(process("-W", "-db", "-f", "/a.cfg", "-f", "/b.cfg"))
    assert agent.is_main(process("-sf", "12", "-x", "sockpair@3", "-W", "-f", "/a.cfg", "/b.cfg"))
    assert agent.is_main(process("-W", "-f", "/a.cfg", "--", "/b.cfg"))
    assert not agent.is_main(process("-W", "-db", "-f", "/a.cfg"))
    assert not agent.is_main(process("-W", "-db", "-f", "/b.cfg", "-f", "/a.cfg"))


@pytest.mark.parametrize(("cause", "line"), RECORDED)
def test_a_recorded_line_names_its_cause(cause: str, line: str) -> None:
    fault = Haproxy({}).explain([line], "it failed")
    assert fault is not None
    assert fault.cause == cause


def test_an_ordinary_start_and_reload_name_nothing() -> None:
    lines = [
        "[NOTICE]   (9492) : New worker (9495) forked",
        "[NOTICE]   (9492) : Loading success.",
        "[WARNING]  (9495) : Proxy f stopped (cumulated conns: FE: 1, BE: 0).",
        "[WARNING]  (9492) : Former worker (9495) exited with code 0 (Exit)",
    ]
    assert Haproxy({}).explain(lines, "it failed") is None
