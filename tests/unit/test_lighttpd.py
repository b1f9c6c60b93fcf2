"""lighttpd: what its configuration says, and which of its lines name a cause (recorded from lighttpd 1.4.69)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocf.faults import Kind
from resource_agents.layouts import Address, ConfigurationUnreadable
from resource_agents.lighttpd import Lighttpd
from resource_agents.parsing import lighttpd_config
from resource_agents.processes import Process

RECORDED = (
    ("port-taken", "(network.c.537) can't bind to socket: 127.0.0.1:18912: Address already in use"),
    (
        "service-address-missing",
        "(network.c.537) can't bind to socket: 192.0.2.77:18912: Cannot assign requested address",
    ),
    ("no-privilege-for-port", "(network.c.537) can't bind to socket: 127.0.0.1:81: Permission denied"),
    ("user-or-group", "(server.c.1574) can't find username nosuch"),
    (
        "module-missing",
        "(plugin.c.214) dlopen() failed for: /usr/lib/lighttpd/mod_nosuch.so /usr/lib/lighttpd/mod_nosuch.so: cannot "
        "open shared object file: No such file or directory",
    ),
    ("log-unwritable", "(configfile.c.1722) opening errorlog '/nosuch/log' failed: No such file or directory"),
    ("pid-file", "(server.c.1481) opening pid-file failed: /nosuch/l.pid: No such file or directory"),
    ("config-missing", "(configfile.c.2211) opening configfile /nosuch.conf failed: No such file or directory"),
    ("config-error", "(configfile.c.2164) source: bad.conf line: 4 pos: 13 parser failed somehow near here: ="),
    ("config-error", "(configfile.c.2259) include file not found: nosuch.conf"),
    ("config-error", "(configfile.c.2593) server.document-root is not set"),
    ("fd-limit", "(server.c.2022) [note] sockets disabled, out-of-fds"),
)


def read(tmp_path: Path, text: str, **environment: str) -> lighttpd_config.Lighttpd:
    path = tmp_path / "lighttpd.conf"
    path.write_text(text)
    return lighttpd_config.read(str(path), environment)


def test_port_80_of_every_address_is_what_nothing_said_means(tmp_path: Path) -> None:
    assert read(tmp_path, "# nothing\n").addresses == (Address("", 80),)
    assert read(tmp_path, 'ssl.engine = "enable"').addresses == (Address("", 443, tls=True),)


def test_sockets_of_blocks_are_addresses_too(tmp_path: Path) -> None:
    text = """
        server.bind = "127.0.0.1"
        server.port = 8080 # comment
        $SERVER["socket"] == "[::]:8080" { }
        $SERVER["socket"] == ":8443" { ssl.engine = "enable"
            $HTTP["host"] =~ "^a{2}$" { server.port = 1 } else $HTTP["host"] == "b" { x = 1 } else { y = 2 } }
        $SERVER["socket"] == "127.0.0.1:8080" { }
        $SERVER["socket"] == "/run/lighttpd.sock" { }
    """
    assert read(tmp_path, text).addresses == (
        Address("127.0.0.1", 8080),
        Address("", 8080),
        Address("", 8443, tls=True),
    )


def test_variables_sums_arrays_and_the_environment_are_understood(tmp_path: Path) -> None:
    text = """
        var.base = "/srv/" + env.SITE
        server.pid-file = var.base + "/pid"
        var.port = 8000 + 80
        server.port := var.port
        server.modules = ( "mod_access", )
        server.modules += ( "mod_status", "mod_x" => ( "a" => 1, "b" => ( "c" ) ) )
        status.status-url = "/status"
        server.errorlog = '/var/log/e"r'
        server.username = "www-data" server.max-worker = 3
    """
    said = read(tmp_path, text, SITE="shop")
    assert said.pidfile == "/srv/shop/pid"
    assert said.addresses == (Address("", 8080),)
    assert (said.status_path, said.error_log, said.user, said.workers) == ("/status", '/var/log/e"r', "www-data", 3)


def test_included_files_count_and_shell_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/a.conf").write_text("server.port = 81")
    (tmp_path / "conf.d/b.conf").write_text('server.bind = "127.0.0.1"')
    proof = tmp_path / "was-run"
    said = read(tmp_path, f'include "conf.d/*.conf"\ninclude_shell "touch {proof}"\ninclude "none/*.conf"')
    assert said.addresses == (Address("127.0.0.1", 81),)
    assert len(said.files) == 3
    assert not proof.exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("server.port =\n", 2),
        ('\n\nserver.bind = "open\n', 3),
        ('$SERVER["socket"] == ":81" {\n', 2),
        ("server.port 80", 1),
        ('\ninclude "nowhere.conf"\n', 2),
        ("a = ( 1 2 )", 1),
        ("}", 1),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ConfigurationUnreadable) as raised:
        read(tmp_path, text)
    assert raised.value.fault.kind is Kind.CONFIGURATION
    assert raised.value.fault.proof == f"{tmp_path}/lighttpd.conf:{line}"


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationUnreadable, match="nested too deeply"):
        read(tmp_path, 'include "lighttpd.conf"')


@given(st.text(alphabet='ab."=+(){}[]$#,\n 1=>:!~\\', max_size=60))
def test_no_text_whatsoever_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, noise: str) -> None:
    folder = tmp_path_factory.mktemp("noise")
    try:
        read(folder, noise)
    except ConfigurationUnreadable as unreadable:
        assert str(folder) in unreadable.fault.reason


def test_it_is_asked_for_its_status_page_else_for_any_answer(tmp_path: Path) -> None:
    path = tmp_path / "l.conf"
    path.write_text('server.bind = "127.0.0.1" server.port = 8080')
    agent = Lighttpd({"configfile": str(path)})
    request = agent.layout.request
    assert request is not None
    assert (request.url, request.expect) == ("http://127.0.0.1:8080/", ((100, 499),))
    path.write_text('server.modules = ("mod_status") status.status-url = "/s"')
    request = Lighttpd({"configfile": str(path), "port": "81"}).layout.request
    assert request is not None
    assert (request.url, request.expect) == ("http://localhost:81/s", ((200, 399),))
    request = Lighttpd({"configfile": str(path), "statusurl": "http://x/", "testregex": "ok"}).layout.request
    assert request is not None
    assert (request.url, request.pattern) == ("http://x/", "ok")


@pytest.mark.parametrize(("cause", "line"), RECORDED)
def test_a_recorded_line_names_its_cause(cause: str, line: str) -> None:
    fault = Lighttpd({}).explain([f"2026-11-22 12:47:33: {line}"], "it failed")
    assert fault is not None
    assert fault.cause == cause


def test_an_ordinary_start_and_stop_name_nothing() -> None:
    lines = [
        "2026-11-22 12:47:33: (server.c.1704) server started (lighttpd/1.4.69)",
        "2026-11-22 12:47:37: (server.c.2078) server stopped by UID = 0 PID = 9714",
        "2026-11-22 12:47:38: (configfile.c.1289) WARNING: unknown config-key: server.nonsense (ignored)",
    ]
    assert Lighttpd({}).explain(lines, "it failed") is None


@pytest.mark.parametrize("option", ["-t", "-tt", "-p"])
def test_a_lighttpd_that_only_reads_its_configuration_is_no_server(tmp_path: Path, option: str) -> None:
    configfile = tmp_path / "lighttpd.conf"
    configfile.write_text("server.port = 8080\n")
    server = Lighttpd({"configfile": str(configfile), "httpd": "/usr/sbin/lighttpd"})

    def process(*words: str) -> Process:
        argv = (server.binary, *words, "-f", str(configfile))
        return Process(pid=4, start=1, ppid=0, pgid=4, sid=4, state="S", exe=server.binary, argv=argv, uid=0)

    assert server.is_main(process("-D"))
    assert not server.is_main(process(option))
