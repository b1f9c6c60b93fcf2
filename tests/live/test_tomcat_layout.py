"""Tomcat for real: server.xml says what it does, its own words name the cause, and threads are dumped in time."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from resource_agents import tomcat_dump
from resource_agents.booting import health
from resource_agents.layouts import ConfigurationUnreadable
from resource_agents.listeners import listening, on
from resource_agents.processes import Process, alive, children, handles, look
from tests.tomcat_server import DAEMON_JAR, HOME, TomcatServer
from tests.waiting import LONG, eventually

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not HOME.exists(), reason="the package tomcat10 is not installed"),
]


@pytest.fixture
def tomcat(tmp_path: Path) -> Iterator[TomcatServer]:
    server = TomcatServer(tmp_path)
    yield server
    server.close()


def get(tomcat: TomcatServer, path: str, within: float) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{tomcat.http}{path}", timeout=within) as answer:
        answer.read()


def cause(tomcat: TomcatServer) -> str:
    fault = tomcat.make().explain(tomcat.lines(), "it failed")
    return fault.cause if fault else ""


def test_the_pid_is_the_jvms_and_every_connector_answers(tomcat: TomcatServer) -> None:
    tomcat.values["catalina_pid"] = str(tomcat.folder / "catalina.pid")
    Path(tomcat.values["catalina_pid"]).write_text(f"{os.getpid()}\n")
    main = tomcat.up()
    agent = tomcat.make()
    assert os.path.realpath(main.exe) == os.path.realpath(agent.binary)
    assert agent.is_main(main)
    assert [address.port for address in agent.layout.addresses] == [tomcat.http, tomcat.ajp, tomcat.shutdown]
    eventually(lambda: len(on(agent.layout.addresses, listening())) == 3, what="three listeners")
    assert tomcat.holders() == {main.pid}
    assert Path(tomcat.values["catalina_pid"]).read_text() == f"{main.pid}\n"
    answer = health(agent, 2.0, 10.0)
    assert answer is not None
    assert answer.verdict.name == "GOOD"
    tomcat.stop()
    assert tomcat.exit_status() == 143
    assert tomcat.holders() == set()


def test_it_runs_as_its_user_who_also_owns_its_log() -> None:
    user = pwd.getpwnam("tomcat")
    with tempfile.TemporaryDirectory(prefix="koboshi-test-") as folder:
        os.chmod(folder, 0o755)
        tomcat = TomcatServer(Path(folder), tomcat_user="tomcat")
        tomcat.give_to(user.pw_uid, user.pw_gid)
        try:
            main = tomcat.up()
            running = look(main.pid)
            assert running is not None
            assert running.uid == user.pw_uid
            assert os.stat(tomcat.make().layout.error_log).st_uid == user.pw_uid
        finally:
            tomcat.close()


def test_a_connector_that_cannot_bind_is_named_although_the_jvm_lives(tomcat: TomcatServer) -> None:
    with socket.create_server(("127.0.0.1", tomcat.ajp)):
        main = tomcat.spawn()
        eventually(lambda: any("Server startup in" in line for line in tomcat.lines()), what="the end of the start")
        assert alive(main)
        assert cause(tomcat) == "port-taken"
        fault = tomcat.make().explain(tomcat.lines(), "it failed")
        assert fault is not None
        assert str(tomcat.ajp) in fault.proof


def test_a_taken_shutdown_port_ends_the_jvm_with_status_0_and_is_named(tomcat: TomcatServer) -> None:
    with socket.create_server(("127.0.0.1", tomcat.shutdown)):
        tomcat.spawn()
        assert tomcat.exit_status() == 0
    assert cause(tomcat) == "shutdown-port-taken"


def test_threads_are_dumped_into_the_log_before_the_kill(tomcat: TomcatServer) -> None:
    main = tomcat.up()
    before = Path(tomcat.make().layout.error_log).stat().st_size
    tomcat.make().before_kill(main, LONG)
    with open(tomcat.make().layout.error_log, "rb") as file:
        file.seek(before)
        assert b"Full thread dump" in file.read()
    assert alive(main.identity)


def test_a_stopped_jvm_answers_nothing_and_is_not_waited_for(tomcat: TomcatServer) -> None:
    main = tomcat.up()
    os.kill(main.pid, signal.SIGSTOP)
    stopped = eventually(lambda: (p := look(main.pid)) and p.state == "T" and p, what="a stopped JVM")
    assert isinstance(stopped, Process)
    assert not tomcat_dump.ask(stopped, tomcat.make().layout.error_log, LONG)
    answer = health(tomcat.make(), 1.0, 1.0)
    assert answer is not None
    assert answer.verdict.name != "GOOD"


def test_a_jvm_that_left_its_signals_to_the_system_is_not_killed_by_a_dump(tmp_path: Path) -> None:
    tomcat = TomcatServer(tmp_path, java_opts="-Xrs")
    try:
        main = tomcat.up()
        assert not handles(main.pid, signal.SIGQUIT)
        tomcat.make().before_kill(main, LONG)
        assert alive(main.identity)
    finally:
        tomcat.close()


def test_a_full_heap_is_named(tomcat: TomcatServer) -> None:
    tomcat.up()
    with suppress(OSError):
        get(tomcat, "/oom.jsp", within=30)
    eventually(lambda: cause(tomcat) == "heap-exhausted", what="the heap's own words")


def test_a_broken_server_xml_is_named_by_both(tomcat: TomcatServer) -> None:
    tomcat.edit("server.xml", "<Service", "<Servic")
    with pytest.raises(ConfigurationUnreadable, match=r"server\.xml:\d+"):
        tomcat.make().read_layout()
    tomcat.spawn()
    assert tomcat.exit_status() == 1
    assert cause(tomcat) == "config-error"


def test_a_stop_needs_no_configuration_and_no_java_home(tomcat: TomcatServer) -> None:
    tomcat.up()
    (tomcat.base / "conf/server.xml").write_text("<Server")
    tomcat.values["java_home"] = "/nowhere"
    tomcat.stop()
    assert tomcat.exit_status() == 143


def test_an_ajp_connector_without_its_secret_is_named(tomcat: TomcatServer) -> None:
    tomcat.edit("ajp.xml", ' secretRequired="false"', "")
    tomcat.spawn()
    eventually(lambda: cause(tomcat) == "ajp-secret-missing", what="the AJP connector's own words")


def test_two_instances_of_one_home_are_strangers(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one-more").mkdir()
    one, more = TomcatServer(tmp_path / "one"), TomcatServer(tmp_path / "one-more")
    try:
        main = more.up()
        assert not one.make().is_main(main)
        assert not one.make().is_kin(main)
    finally:
        more.close()


def test_jsvc_is_the_main_process_and_the_jvm_below_it_gives_the_dump(tmp_path: Path) -> None:
    if not (DAEMON_JAR.exists() and os.access("/usr/bin/jsvc", os.X_OK)):
        pytest.skip("jsvc is not installed")
    tomcat = TomcatServer(tmp_path, java_opts="-Dhttp.extra=1")
    tomcat.values["tomcat_start_script"] = str(tomcat.home / "bin/daemon.sh")
    (tomcat.base / "logs/catalina-daemon.pid").write_text(f"{os.getpid()}\n")
    try:
        main = tomcat.up()
        (jvm,) = children(main.pid)
        assert tomcat.make().is_main(main)
        assert not tomcat.make().is_main(look(jvm))  # type: ignore[arg-type]
        assert "-Dhttp.extra=1" in main.argv
        tomcat.make().before_kill(main, LONG)
        assert any("Full thread dump" in line for line in tomcat.lines())
        os.kill(main.pid, signal.SIGKILL)
        os.waitpid(main.pid, 0)
        orphan = look(jvm)
        assert orphan is not None
        assert not tomcat.make().is_main(orphan)
        tomcat.stop()
        assert tomcat.holders() == set()
    finally:
        tomcat.close()


def test_debians_own_start_script_works(tmp_path: Path) -> None:
    script = Path("/usr/libexec/tomcat10/tomcat-start.sh")
    if not script.exists():
        pytest.skip("no packaged start script")
    tomcat = TomcatServer(tmp_path, tomcat_start_script=str(script))
    try:
        main = tomcat.up()
        assert tomcat.make().is_main(main)
    finally:
        tomcat.close()


def test_a_script_that_only_starts_is_followed_to_its_jvm(tmp_path: Path) -> None:
    tomcat = TomcatServer(tmp_path)
    script = tomcat.folder / "startup"
    script.write_text(f'#!/bin/sh\nexec "{tomcat.home}/bin/catalina.sh" "$@"\n')
    script.chmod(0o755)
    tomcat.values["tomcat_start_script"] = str(script)
    try:
        main = tomcat.up()
        assert tomcat.make().forks
        assert tomcat.make().is_main(main)
        assert tomcat.holders() == {main.pid}
    finally:
        tomcat.close()


def test_a_rotated_log_is_where_the_layout_says(tmp_path: Path) -> None:
    tomcat = TomcatServer(tmp_path, catalina_rotate_log="yes")
    if tomcat.make().missing():
        pytest.skip(tomcat.make().missing())
    try:
        main = tomcat.up()
        assert tomcat.make().is_main(main)
        log = Path(tomcat.make().layout.error_log)
        eventually(lambda: log.exists() and "Server startup" in log.read_text(), what="the rotated log")
        assert not (tomcat.base / "logs/catalina.out").exists()
        assert list((tomcat.base / "logs").glob("catalina.out.*")) == []
        tomcat.stop()
    finally:
        tomcat.close()
