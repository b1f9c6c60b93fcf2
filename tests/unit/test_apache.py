"""Apache's declarations and the reader of its configuration; no server is started."""

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
from resource_agents.apache import Apache
from resource_agents.layouts import Address, ConfigurationUnreadable, Layout
from resource_agents.processes import Process
from resource_agents.server import Command
from tests.servers import APACHE, MODULES

PLAIN = "Listen 127.0.0.1:8081\nPidFile /run/x.pid\nUser www-data\nErrorLog /var/log/x.log\n"


def write(folder: Path, text: str = PLAIN, **files: str) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    (folder / "httpd.conf").write_text(text)
    return str(folder / "httpd.conf")


def layout(folder: Path, text: str = PLAIN, options: str = "", envfiles: str = "", **values: str) -> Layout:
    given = {"configfile": write(folder, f"ServerRoot {folder}\n{text}"), "envfiles": envfiles, **values}
    return Apache({**given, "options": options, "httpd": APACHE}).layout


def addresses(folder: Path, text: str, options: str = "") -> list[str]:
    return [str(address) for address in layout(folder, text, options).addresses]


def fault_of(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationUnreadable) as caught:
        layout(folder, text)
    assert caught.value.fault.kind is Kind.CONFIGURATION
    return caught.value.fault.reason


PEER = {
    "configfile": "",
    "httpd": "/usr/sbin/httpd",
    "port": "",
    "statusurl": "",
    "client": "",
    "testurl": "",
    "testregex10": "",
    "testconffile": "",
    "testname": "",
    "options": "",
    "envfiles": "/etc/apache2/envvars",
    "use_ipv6": "false",
}


def test_every_parameter_of_the_heartbeat_agent_is_accepted_with_its_default() -> None:
    ours = {parameter.name: parameter.default for parameter in Apache.parameters}
    assert PEER.items() <= ours.items()
    assert "testregex" in ours


@pytest.mark.parametrize(
    "values",
    [{"port": "0"}, {"port": "70000"}, {"port": "eighty"}, {"testregex": "("}, {"options": "'"}, {"use_ipv6": "maybe"}],
)
def test_a_value_that_is_wrong_on_every_machine_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ParameterError):
        Apache(values)


def test_the_default_pattern_fits_both_forms_of_the_status_page() -> None:
    import re

    pattern = Apache({})._pattern
    assert re.search(pattern, "<body>\n</body></HTML>\n")
    assert re.search(pattern, "Total Accesses: 3\nScoreboard: __W..\n")
    assert not re.search(pattern, "no Scoreboard: here")


def test_all_listen_lines_count_with_ipv6_and_protocol(tmp_path: Path) -> None:
    text = "Listen 80\nlisten 127.0.0.1:81\nLISTEN [::1]:82 http\nListen [fe80::1%lo]:83\nListen *:84\nListen *:80\n"
    assert addresses(tmp_path, text) == ["*:80", "127.0.0.1:81", "[::1]:82", "[fe80::1]:83", "*:84"]


def test_lines_go_on_after_a_backslash_and_comments_too(tmp_path: Path) -> None:
    assert addresses(tmp_path, "# Listen 1 \\\nListen 2\nListen \\\n  127.0.0.1:3\n") == ["127.0.0.1:3"]


def test_includes_are_relative_to_serverroot_and_sorted(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "10.conf").write_text("Listen 10\n")
    (tmp_path / "d" / "9.conf").write_text('INCLUDE "sub.conf"\n')
    (tmp_path / "d" / ".hidden.conf").write_text("Listen 11\n")
    (tmp_path / "sub.conf").write_text("Listen 9\n")
    text = "includeoptional none/*.conf\nIncludeOptional absent.conf\nInclude d/*.conf\n"
    assert addresses(tmp_path, text) == ["*:10", "*:9"]
    assert str(tmp_path / "d") in layout(tmp_path, text).files


def test_a_missing_include_is_a_configuration_fault_with_file_and_line(tmp_path: Path) -> None:
    assert f"{tmp_path}/httpd.conf:3: " in fault_of(tmp_path, "Listen 80\nInclude absent.conf\n")
    assert "no file matches" in fault_of(tmp_path, "Include absent*.conf\n")


def test_a_file_that_includes_itself_is_a_fault(tmp_path: Path) -> None:
    assert "includes itself" in fault_of(tmp_path, "Include httpd.conf\nInclude httpd.conf\n")


@pytest.mark.parametrize(
    "text", ["<Location />\n", "<Location />\n</Directory>\n", "</If>\n", "<IfDefine X>\nListen 1\n"]
)
def test_sections_that_do_not_close_are_a_fault(tmp_path: Path, text: str) -> None:
    assert "httpd.conf:" in fault_of(tmp_path, text)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("IfDefine STATUS", True),
        ("IfDefine !STATUS", False),
        ("IfDefine GIVEN", True),
        ("IfDefine OTHER", False),
        ("IfModule status_module", True),
        ("IfModule mod_status.c", True),
        ("IfModule !mod_status.c", False),
        ("IfModule ssl_module", False),
        ("IfModule event.c", True),
        ("IfModule mod_mpm_event.c", False),
        ("IfModule core.c", True),
        ("IfModule so_module", True),
        ("IfVersion >= 2.4", True),
        ("IfVersion < 2.4", False),
        ("IfVersion ~ ^2\\.4", True),
        ("IfVersion = 2.4", False),
        ("IfFile httpd.conf", True),
        ("IfFile absent.conf", False),
        ("IfDefine ${NAMED}", True),
    ],
)
def test_conditions_are_decided_as_apache_decides_them(tmp_path: Path, condition: str, holds: bool) -> None:
    name = condition.split()[0]
    text = (
        f"LoadModule mpm_event_module {MODULES}/mod_mpm_event.so\nLoadModule status_module x.so\nDefine NAMED GIVEN\n"
        f"<{condition}>\n<{name} none_of_this>\n</{name}>\nListen 1\n</{name}>\nListen 2\n"
    )
    wanted = ["*:1", "*:2"] if holds else ["*:2"]
    assert addresses(tmp_path, text, "-D GIVEN") == wanted


def test_variables_come_from_define_and_from_the_envfiles(tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("SUFFIX=-a\nexport RUN=/run/apache$SUFFIX\n")
    text = 'Define PORT 8085\nListen ${PORT}\nPidFile "${RUN}/x.pid"\nErrorLog ${NOBODY}/x\nUnDefine PORT\n'
    text += "Listen 1${PORT}\n"
    with pytest.raises(ConfigurationUnreadable, match=r"no port"):
        layout(tmp_path, text, envfiles=str(tmp_path / "vars"))
    found = layout(tmp_path, text.replace("Listen 1${PORT}\n", ""), envfiles=str(tmp_path / "vars"))
    assert found.pidfile == "/run/apache-a/x.pid"
    assert [str(each) for each in found.addresses] == ["*:8085"]
    assert found.error_log == f"{tmp_path}/${{NOBODY}}/x"


def test_envfiles_are_evaluated_by_a_shell_in_a_clean_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    marks = tmp_path / "marks"
    (tmp_path / "envvars").write_text(f'echo once >> {marks}\nexport A="b c=d\n$SECRET_OF_OURS"\nNOT_EXPORTED=1\n')
    configfile = write(tmp_path)
    envs = [Apache({"configfile": configfile, "httpd": APACHE}).start_command().env for _ in range(3)]
    assert envs[0]["A"] == "b c=d\n"
    assert set(envs[0]) == {"A", "PATH", "LANG"}
    assert marks.read_text() == "once\n", "the shell ran again though the file was the same"
    (tmp_path / "envvars").write_text("export A=new\n")
    assert Apache({"configfile": configfile, "httpd": APACHE}).start_command().env["A"] == "new"
    assert "A" not in Apache({"configfile": configfile, "envfiles": ""}).start_command().env


def test_a_broken_envfile_is_a_fault_and_does_not_stop_the_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("if then fi (\n")
    server = Apache({"configfile": write(tmp_path), "envfiles": f"{tmp_path}/absent {broken}"})
    with pytest.raises(ConfigurationUnreadable, match="broken"):
        server.read_layout()
    assert server.start_command().argv[-1] == str(tmp_path / "httpd.conf")


def test_files_are_found_below_serverroot_and_logs_that_are_no_files_are_left_out(tmp_path: Path) -> None:
    found = layout(tmp_path, "Listen 80\nPidFile run/x.pid\nErrorLog logs/e.log\nUser #0\n")
    assert (found.pidfile, found.error_log, found.user) == (f"{tmp_path}/run/x.pid", f"{tmp_path}/logs/e.log", "root")
    for log in ('"|/usr/bin/rotatelogs -f x 86400"', "syslog:local1", "syslog"):
        assert not layout(tmp_path, f"ErrorLog {log}\n").error_log.startswith(("|", "syslog:"))


def test_a_virtual_hosts_own_log_is_not_the_servers(tmp_path: Path) -> None:
    text = "ErrorLog main.log\n<VirtualHost *:80>\nErrorLog site.log\n</VirtualHost>\n"
    assert layout(tmp_path, text).error_log == f"{tmp_path}/main.log"


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("", False),
        ("Mutex sysvsem default\n", True),
        ("Mutex fcntl:/run default\n", False),
        ("AcceptMutex sysvsem\n", True),
    ],
)
def test_semaphores_are_expected_only_with_sysvsem(tmp_path: Path, text: str, may: bool) -> None:
    assert layout(tmp_path, f"Listen 80\n{text}").semaphores is may


TLS = "LoadModule ssl_module x.so\nListen 80\nListen 127.0.0.1:443\nListen [::1]:8443 https\n"


def tls_ports(folder: Path, text: str) -> set[int]:
    return {address.port for address in layout(folder, text).addresses if address.tls}


def test_an_address_speaks_tls_when_the_host_for_it_does(tmp_path: Path) -> None:
    assert tls_ports(tmp_path, TLS) == set()
    host = "<VirtualHost {}>\nSSLEngine on\n</VirtualHost>\n"
    assert tls_ports(tmp_path, TLS + host.format("*:443")) == {443}
    assert tls_ports(tmp_path, TLS + host.format("_default_:443")) == {443}
    assert tls_ports(tmp_path, TLS + host.format("[::1]:8443")) == {8443}
    assert tls_ports(tmp_path, TLS + host.format("127.0.0.2:443")) == set()
    assert tls_ports(tmp_path, TLS + "SSLCertificateFile c.pem\n") == {443, 8443}
    assert tls_ports(tmp_path, TLS + "SSLEngine on\n") == {80, 443, 8443}


def test_macros_are_expanded(tmp_path: Path) -> None:
    text = "<Macro Site $name $port>\nListen $port\n<VirtualHost *:$port>\nServerName $name\n</VirtualHost>\n</Macro>\n"
    assert addresses(tmp_path, f"{text}Use Site a.example 81\nUSE site b.example 82\n") == ["*:81", "*:82"]


STATUS = "LoadModule status_module x.so\n<Location {}>\nSetHandler server-status\n</Location>\n"


def url(folder: Path, text: str, **values: str) -> str:
    request = layout(folder, text, **values).request
    return "" if request is None else f"{request.method} {request.url}"


def test_the_status_page_of_the_configuration_is_asked(tmp_path: Path) -> None:
    assert url(tmp_path, "Listen 81\n" + STATUS.format('"/whats-up"')) == "GET http://localhost:81/whats-up?auto"


def test_a_status_handler_without_its_module_is_no_page(tmp_path: Path) -> None:
    assert url(tmp_path, "Listen 81\n" + STATUS.format("/s").split("\n", 1)[1]) == "HEAD http://localhost:81/"


def test_a_status_page_of_a_virtual_host_is_asked_there_by_its_name(tmp_path: Path) -> None:
    page = STATUS.format("/s").split("\n", 1)
    host = f"<VirtualHost 127.0.0.1:82>\nServerName https://www.example.org:82\n{page[1]}</VirtualHost>\n"
    text = f"{page[0]}\nListen 81\nListen 127.0.0.1:82\n{host}"
    request = layout(tmp_path, text).request
    assert request is not None
    assert (request.url, request.host) == ("http://127.0.0.1:82/s?auto", "www.example.org")
    assert str(layout(tmp_path, text).addresses[0]) == "127.0.0.1:82", "the address that is asked comes first"


def test_an_address_that_wants_a_client_certificate_or_a_proxy_header_is_not_asked(tmp_path: Path) -> None:
    locked = "<VirtualHost *:443>\nSSLEngine on\nSSLVerifyClient require\n</VirtualHost>\n"
    assert url(tmp_path, f"Listen 443\n{locked}") == ""
    assert url(tmp_path, f"Listen 443\nListen 81\n{locked}") == "HEAD http://localhost:81/"
    assert url(tmp_path, "Listen 81\nRemoteIPProxyProtocol On\n") == ""


def test_urls_that_are_given_are_asked_with_their_patterns(tmp_path: Path) -> None:
    text = "Listen 127.0.0.1:81\n"
    given = layout(tmp_path, text, statusurl="http://localhost:81/x?auto", testregex="^ok").request
    assert given is not None
    assert (given.url, given.pattern, given.expect) == ("http://localhost:81/x?auto", "(?im)^ok", ((200, 399),))
    assert url(tmp_path, text, testurl="/app") == "GET http://127.0.0.1:81/app"
    assert url(tmp_path, text, port="82") == "HEAD http://127.0.0.1:82/"
    assert url(tmp_path, "Listen 81\n", use_ipv6="true") == "HEAD http://[::1]:81/"


def test_level_10_asks_testurl_or_the_file_of_web_tests(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.write_text(
        "# web tests\ntest one\n url /one\n match one\nend\n"
        "test two\n url http://h/two\n user u\n password p\n match [[:digit:]]+\n client_opts -k -H 'Host: b'\nend\n"
    )
    base = {"configfile": write(tmp_path, f"ServerRoot {tmp_path}\nListen 127.0.0.1:81\n"), "envfiles": ""}
    (first,) = Apache({**base, "testconffile": str(tests)}).checks_at(10)
    (second,) = Apache({**base, "testconffile": str(tests), "testname": "two"}).checks_at(10)
    assert (first.url, first.pattern) == ("http://127.0.0.1:81/one", "(?im)one")
    assert (second.url, second.user, second.password, second.host) == ("http://h/two", "u", "p", "b")
    assert second.pattern == "(?im)[0-9]+"
    (third,) = Apache({**base, "testurl": "app", "testregex10": "x"}).checks_at(20)
    assert (third.url, third.pattern) == ("http://127.0.0.1:81/app", "(?im)x")
    assert Apache({**base, "testurl": "/app"}).checks_at(0) == ()
    with pytest.raises(ConfigurationUnreadable, match="no test 'three'"):
        Apache({**base, "testconffile": str(tests), "testname": "three"}).checks_at(10)


def test_it_is_started_in_the_foreground_with_its_options_and_tested_alike(tmp_path: Path) -> None:
    configfile = write(tmp_path)
    server = Apache({"configfile": configfile, "httpd": APACHE, "options": "-DX -c 'Listen 9'", "envfiles": ""})
    started = server.start_command()
    assert started.argv == (APACHE, "-DSTATUS", "-DFOREGROUND", "-DX", "-c", "Listen 9", "-f", configfile)
    checked = server.check_command()
    assert checked == Command((APACHE, "-DSTATUS", "-t", "-DX", "-c", "Listen 9", "-f", configfile), started.env)
    assert not server.forks
    assert Address("", 9) in server.layout.addresses


def test_an_instance_in_debians_way_gets_its_folder_as_serverroot() -> None:
    server = Apache({"configfile": "/etc/apache2-two/apache2.conf", "httpd": APACHE})
    assert server.start_command().argv[3:5] == ("-d", "/etc/apache2-two")
    assert server.start_command().env["APACHE_CONFDIR"] == "/etc/apache2-two"


def process(argv: str, pid: int = 4_000_001, exe: str = "", uid: int | None = None, leads: bool = True) -> Process:
    group = pid if leads else pid - 1
    real = exe or os.path.realpath(APACHE)
    return Process(pid, 1, 1, group, group, "S", real, tuple(argv.split()), os.geteuid() if uid is None else uid)


@pytest.mark.parametrize(
    ("argv", "main"),
    [
        ("-DSTATUS -DFOREGROUND -f {}", True),
        ("-k start -f {}", True),
        ("-kstart -f{}", True),
        ("-f {}2 -k start", False),
        ("-f {} -f /other.conf", False),
        ("-f {} -t", False),
        ("-f {} -k stop", False),
        ("-f {} -k graceful", False),
        ("-f {} -S", False),
        ("-k start", False),
        ("-D -f -f {}", True),
    ],
)
def test_the_parent_is_known_by_its_configuration_argument(tmp_path: Path, argv: str, main: bool) -> None:
    configfile = write(tmp_path)
    server = Apache({"configfile": configfile, "httpd": APACHE, "envfiles": ""})
    assert server.is_main(process(f"{APACHE} {argv.format(configfile)}")) is main


def test_neither_orphans_nor_foreign_programs_nor_other_users_are_the_parent(tmp_path: Path) -> None:
    configfile = write(tmp_path)
    server = Apache({"configfile": configfile, "httpd": APACHE, "envfiles": ""})
    argv = f"{APACHE} -DFOREGROUND -f {configfile}"
    assert server.is_main(process(argv, exe=f"{os.path.realpath(APACHE)} (deleted)"))
    orphan = process(argv, leads=False)
    assert not server.is_main(orphan)
    assert server.is_child(orphan)
    assert not server.is_main(process(argv, exe="/usr/bin/sleep"))
    assert not server.is_main(process(argv, uid=os.geteuid() + 4711))


def test_a_parent_that_serves_k_graceful_is_believed_when_the_pid_file_names_it(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    configfile = write(tmp_path, f"Listen 81\nPidFile {pidfile}\n")
    server = Apache({"configfile": configfile, "httpd": APACHE, "envfiles": ""})
    argv = f"{APACHE} -k graceful -f {configfile}"
    assert not server.is_main(process(argv))
    pidfile.write_text("4000001\n")
    assert server.is_main(process(argv))


def test_a_missing_file_is_told_from_a_broken_one(tmp_path: Path) -> None:
    server = Apache({"configfile": str(tmp_path / "absent.conf"), "envfiles": ""})
    with pytest.raises(ConfigurationUnreadable) as caught:
        server.read_layout()
    assert caught.value.fault.cause == "config-missing"


def test_binary_huge_and_special_files_are_refused_at_once(tmp_path: Path) -> None:
    assert "httpd.conf:3: a NUL byte" in fault_of(tmp_path, "Listen 80\nPid\0File x\n")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(2 << 30)
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()
    assert "too many for a configuration file" in fault_of(tmp_path, "Include huge\n")
    assert "no regular file" in fault_of(tmp_path, "Include pipe\n")
    assert time.monotonic() - began < 5
    assert layout(tmp_path, "Include /dev/null\nListen 80\n").addresses


def test_names_in_strange_encodings_survive(tmp_path: Path) -> None:
    (tmp_path / "httpd.conf").write_bytes(b"\xef\xbb\xbfListen 80\nErrorLog /var/log/\xe9t\xe9\n")
    found = Apache({"configfile": str(tmp_path / "httpd.conf"), "envfiles": ""}).layout
    assert os.fsencode(found.error_log) == b"/var/log/\xe9t\xe9"


def test_what_a_small_file_multiplies_is_bounded(tmp_path: Path) -> None:
    macros = "".join(f"<Macro m{i}>\n{f'Use m{i + 1}{chr(10)}' * 9}</Macro>\n" for i in range(20))
    assert "too large" in fault_of(tmp_path, f"{macros}Use m0\n")


PIECES = """Listen Include IncludeOptional Define Use ServerRoot ErrorLog User 80 [::1]:80 ${X} X # \\ " ' * < > ! =
99999999999 <IfDefine </IfDefine> <IfModule </IfModule> <IfVersion <VirtualHost </VirtualHost> <Macro </Macro>
<Location> httpd.conf"""
WORDS = st.sampled_from(PIECES.split())
LINES = st.lists(st.lists(WORDS, max_size=4).map(" ".join) | st.text(max_size=20), max_size=15)


@settings(max_examples=150, deadline=2000)
@given(LINES)
def test_no_text_makes_the_reader_fail_in_another_way(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "httpd.conf"
        path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
        server = Apache({"configfile": str(path), "envfiles": "", "options": f"-d {folder}", "httpd": APACHE})
        try:
            server.read_layout()
        except ConfigurationUnreadable as error:
            assert error.fault.kind is Kind.CONFIGURATION
            assert str(path) in error.files
