"""nginx's declarations and the reader of its configuration; no server is started."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocf.declarations import ParameterError
from ocf.faults import Kind
from resource_agents.layouts import ConfigurationUnreadable, Layout
from resource_agents.nginx import Nginx
from resource_agents.processes import Process
from tests.servers import NGINX

PEER = {
    "configfile": "",
    "port": "",
    "status10url": "",
    "status10regex": "Reading: [0-9]+ Writing: [0-9]+ Waiting: [0-9]+",
    "testclient": "",
    "client": "",
    "test20url": "",
    "test20regex": "",
    "test20conffile": "",
    "test20name": "",
    "external_monitor30_cmd": "",
    "options": "",
}


def write(folder: Path, text: str) -> str:
    (folder / "nginx.conf").write_text(text)
    return str(folder / "nginx.conf")


def server_of(folder: Path, text: str, **values: str) -> Nginx:
    return Nginx({"configfile": write(folder, text), "httpd": NGINX, "options": f"-p {folder}", **values})


def layout(folder: Path, text: str, **values: str) -> Layout:
    return server_of(folder, text, **values).layout


def http(folder: Path, servers: str, **values: str) -> Layout:
    return layout(folder, f"events {{}}\nhttp {{ {servers} }}\n", **values)


def addresses(folder: Path, text: str) -> list[str]:
    return [f"{address}{'/tls' if address.tls else ''}" for address in layout(folder, text).addresses]


def asked(found: Layout) -> str:
    request = found.request
    return "" if request is None else f"{request.method} {request.url} {request.host}".strip()


def fault_of(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationUnreadable) as caught:
        layout(folder, text)
    assert caught.value.fault.kind is Kind.CONFIGURATION
    return caught.value.fault.reason


def test_every_parameter_of_the_heartbeat_agent_is_accepted_and_httpd_is_nginx() -> None:
    ours = {parameter.name: parameter.default for parameter in Nginx.parameters}
    assert PEER.items() <= ours.items()
    assert os.path.basename(Nginx({}).binary) == "nginx"
    assert Nginx({}).configfile == "/etc/nginx/nginx.conf"


@pytest.mark.parametrize("values", [{"port": "0"}, {"status10regex": "("}, {"test20regex": "["}, {"options": '"'}])
def test_a_value_that_is_wrong_on_every_machine_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ParameterError):
        Nginx(values)


def test_all_forms_of_listen_count(tmp_path: Path) -> None:
    listens = "80 *:81 127.0.0.1 127.0.0.1:82 [::]:83 [::1]:84 [::1] localhost:85 127.0.0.2:90-92 unix:/run/x.sock"
    text = "".join(f"listen {each};" for each in listens.split())
    text += "listen 443 ssl http2; listen 443 quic reuseport; listen 0.0.0.0:444 ssl;"
    found = addresses(tmp_path, f"http {{ server {{ {text} }} }} stream {{ server {{ listen 53 udp; listen 54; }} }}")
    assert " ".join(found) == (
        "*:80 *:81 127.0.0.1:80 127.0.0.1:82 *:83 [::1]:84 [::1]:80 127.0.0.1:85 127.0.0.2:90 127.0.0.2:91 "
        "127.0.0.2:92 *:443/tls *:444/tls *:54"
    )


def test_a_server_without_listen_has_nginx_own_default(tmp_path: Path) -> None:
    assert addresses(tmp_path, "http { server { } }") == ["*:80" if os.geteuid() == 0 else "*:8000"]


def test_quotes_escapes_comments_and_variables_are_read_as_nginx_reads_them(tmp_path: Path) -> None:
    text = """# comment; { "
    error_log "logs/a \\"b\\" #c.log" warn; pid 'run/n;{x}.pid';
    user www-data www-data;
    http { map $a $b { default 0; include /nonexistent; "~^x{2}" 1; }
      log_format x '{"a":"$b"}' "c#d"; set $v ${a}b;
      server { listen 8081; location ~ "^/a{1,3}$" { return 200 "x;}"; } if ($a = "b") { return 403; } }
      types { text/html html; } }"""
    found = layout(tmp_path, text)
    assert found.error_log == f'{tmp_path}/logs/a "b" #c.log'
    assert found.pidfile == f"{tmp_path}/run/n;{{x}}.pid"
    assert found.user == "www-data"
    assert [str(each) for each in found.addresses] == ["*:8081"]


def test_lua_code_is_read_over(tmp_path: Path) -> None:
    code = 'content_by_lua_block { local a = "}" -- }\n local b = {[[}]]} --[[ } ]] if x then y({}) end }'
    assert addresses(tmp_path, f"http {{ server {{ listen 81; location / {{ {code} }} }} }}") == ["*:81"]


def test_includes_count_from_the_main_file_and_folders_are_watched(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "b.conf").write_text("server { listen 82; include common; }")
    (tmp_path / "d" / "a.conf").write_text("server { listen 81; }")
    (tmp_path / "common").write_text("listen 83;")
    found = http(tmp_path, "include d/*.conf; include none/*.conf;")
    assert [str(each) for each in found.addresses] == ["*:81", "*:82", "*:83"]
    assert {str(tmp_path / "d"), str(tmp_path / "common"), str(tmp_path / "nginx.conf")} <= set(found.files)


def test_certificates_are_among_the_files_that_may_mend_a_configuration(tmp_path: Path) -> None:
    found = http(tmp_path, "server { listen 1 ssl; ssl_certificate c.pem; ssl_certificate_key data:$x; }")
    assert str(tmp_path / "c.pem") in found.files


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("events {\n", ":2: unexpected end of file"),
        ("events {}\n}\n", ':2: unexpected "}"'),
        ("a b\n}", ':2: unexpected "}"'),
        ("events {};", ':1: unexpected ";"'),
        ("\n\ninclude absent;", ":3: "),
        ("include nginx.conf;", "includes itself"),
        ('pid "x', ":1: "),
        ('pid "x"y;', ":1: "),
        ("http { server { listen 0; } }", ":1: "),
        ("http { server { listen [::1; } }", ":1: "),
        ("a {" * 200, "nested too deeply"),
    ],
)
def test_what_nginx_would_refuse_is_a_fault_with_file_and_line(tmp_path: Path, text: str, place: str) -> None:
    reason = fault_of(tmp_path, text)
    assert place in reason
    assert str(tmp_path / "nginx.conf") in reason


def test_logs_that_are_no_files_are_left_out(tmp_path: Path) -> None:
    assert layout(tmp_path, "error_log stderr;").error_log == ""
    assert layout(tmp_path, "error_log syslog:server=unix:/dev/log;").error_log == ""


def test_the_status_page_is_asked_by_the_name_of_its_server(tmp_path: Path) -> None:
    status = "location /a { location = /a/status { stub_status on; } } location ~ x { stub_status; }"
    found = http(tmp_path, f"server {{ listen 81; }} server {{ listen 82; server_name _ www.x.org; {status} }}")
    assert asked(found) == "GET http://localhost:82/a/status www.x.org"
    assert str(found.addresses[0]) == "*:82", "the address that is asked comes first"


def test_a_server_that_drops_what_it_does_not_know_is_not_asked(tmp_path: Path) -> None:
    catch = "server { listen 81 default_server; server_name _; return 444; }"
    assert asked(http(tmp_path, catch)) == ""
    found = http(tmp_path, f"{catch} server {{ listen 81; server_name ~^x .shop.example; }}")
    assert asked(found) == "HEAD http://localhost:81/ shop.example"
    assert asked(http(tmp_path, "server { listen 81; location / { return 444; } }")) == ""


def test_an_address_that_refuses_strangers_is_not_asked(tmp_path: Path) -> None:
    assert asked(http(tmp_path, "server { listen 81 proxy_protocol; listen 82; }")) == "HEAD http://localhost:82/"
    reject = "server { listen 443 ssl default_server; ssl_reject_handshake on; }"
    assert asked(http(tmp_path, reject)) == ""
    named = "server { listen 443 ssl; server_name a.example; }"
    assert asked(http(tmp_path, f"{reject} {named}")) == "HEAD https://localhost:443/ a.example"


def test_a_plain_address_is_asked_before_a_tls_one(tmp_path: Path) -> None:
    assert asked(http(tmp_path, "server { listen 443 ssl; listen 81; }")) == "HEAD http://localhost:81/"
    assert asked(http(tmp_path, "server { listen 443 ssl; listen 81; }", port="443")) == "HEAD https://localhost:443/"


def test_urls_that_are_given_are_asked_with_their_patterns(tmp_path: Path) -> None:
    text = "events {} http { server { listen 127.0.0.1:81; location /s { stub_status; } } }"
    request = layout(tmp_path, text, test20url="/app", test20regex="ok").request
    assert request is not None
    assert (request.url, request.pattern, request.expect) == ("http://127.0.0.1:81/app", "(?im)ok", ((200, 399),))
    server = server_of(tmp_path, text, test20url="/app", test20regex="ok", external_monitor30_cmd="exit 0")
    assert server.checks_at(0) == ()
    (status,) = server.checks_at(10)
    assert (status.url, status.pattern[5:]) == ("http://127.0.0.1:81/s", PEER["status10regex"])
    assert [each.url for each in server.checks_at(20)] == ["http://127.0.0.1:81/s", "http://127.0.0.1:81/app"]
    command = server.command_at(30)
    assert command is not None
    assert command.argv == ("/bin/sh", "-c", "exit 0")
    assert server.command_at(20) is None


@pytest.mark.parametrize(
    ("text", "options", "words", "forks"),
    [
        ("", "", ("-g", "daemon off;"), False),
        ("daemon off;", "", (), False),
        ("daemon on;", "", (), True),
        ("", "-g 'user x;' -e /log", ("-e/log", "-g", "daemon off; user x;"), False),
        ("", "-g 'daemon on;'", ("-g", "daemon on;"), True),
    ],
)
def test_it_is_run_in_the_foreground_unless_the_configuration_has_its_say(
    tmp_path: Path, text: str, options: str, words: tuple[str, ...], forks: bool
) -> None:
    server = Nginx({"configfile": write(tmp_path, text), "httpd": NGINX, "options": options})
    assert server.start_command().argv == (NGINX, "-c", f"{tmp_path}/nginx.conf", *words)
    assert server.forks is forks
    assert "-t" in server.check_command().argv


def test_a_broken_configuration_does_not_keep_it_from_being_started(tmp_path: Path) -> None:
    server = server_of(tmp_path, "events {")
    assert server.start_command().argv[-2:] == ("-g", "daemon off;")
    assert not server.forks


def process(title: str, exe: str = "", uid: int | None = None, words: tuple[str, ...] = ()) -> Process:
    real = exe or os.path.realpath(NGINX)
    return Process(4_000_001, 1, 1, 9, 9, "S", real, words or (title,), os.geteuid() if uid is None else uid)


@pytest.mark.parametrize(
    ("title", "main"),
    [
        ("nginx: master process nginx -c {} -g daemon off;", True),
        ("nginx: master process nginx -g daemon off; -c {}", True),
        ("nginx: master process /x y/nginx -c{}", True),
        ("nginx: master process nginx -c {}2", False),
        ("nginx: master process nginx -c {} b", False),
        ("nginx: master process nginx", False),
        ("nginx: worker process", False),
        ("nginx: cache manager process", False),
    ],
)
def test_the_master_is_known_by_its_title_and_exact_configuration(tmp_path: Path, title: str, main: bool) -> None:
    configfile = write(tmp_path, "")
    assert Nginx({"configfile": configfile, "httpd": NGINX}).is_main(process(title.format(configfile))) is main


def test_a_starting_one_counts_but_a_test_or_a_signal_does_not(tmp_path: Path) -> None:
    configfile = write(tmp_path, "")
    server = Nginx({"configfile": configfile, "httpd": NGINX})
    words = (NGINX, "-c", configfile)
    assert server.is_main(process("", words=(*words, "-g", "daemon off;")))
    assert not server.is_main(process("", words=(*words, "-t")))
    assert not server.is_main(process("", words=(*words, "-s", "quit")))
    assert not server.is_main(process("", words=words, exe="/usr/bin/sleep"))
    assert not server.is_main(process("", words=words, uid=os.geteuid() + 4711))


def test_a_missing_file_is_told_from_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationUnreadable) as caught:
        Nginx({"configfile": str(tmp_path / "absent.conf")}).read_layout()
    assert caught.value.fault.cause == "config-missing"


def test_binary_huge_and_special_files_are_refused_at_once(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(2 << 30)
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()
    assert "too many for a configuration file" in fault_of(tmp_path, "include huge;")
    assert "no regular file" in fault_of(tmp_path, "include pipe;")
    assert "NUL" in fault_of(tmp_path, "user \0;")
    assert time.monotonic() - began < 5


PIECES = """listen 80 [::1]:81 include nginx.conf *.conf http server location { } ; " ' \\ # $ ${ stub_status return 444
ssl content_by_lua_block types daemon on server_name 1-2 99999 pid"""
TEXTS = st.lists(st.sampled_from(PIECES.split()) | st.text(max_size=5), max_size=40).map(" ".join)


@settings(max_examples=200, deadline=2000)
@given(TEXTS)
def test_no_text_makes_the_reader_fail_in_another_way(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nginx.conf"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            Nginx({"configfile": str(path), "httpd": NGINX}).read_layout()
        except ConfigurationUnreadable as error:
            assert error.fault.kind is Kind.CONFIGURATION
            assert str(path) in error.files
