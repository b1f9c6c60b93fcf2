"""What koboshi reads of a real nginx, beside what that nginx really does."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from ocf.faults import Kind
from ocf.programs import run
from resource_agents.checking import check
from resource_agents.http import Verdict, ask
from resource_agents.listeners import listening, sockets_of
from resource_agents.patience import Patience
from resource_agents.processes import look
from tests.ports import free_port
from tests.servers import NGINX, Instance, command_instance, end, family, nginx_instance, running, subreaper
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(not os.path.exists(NGINX), reason="no nginx here")]


def test_the_layout_is_what_a_running_nginx_does(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    more = f"server {{ listen 127.0.0.2:{first}; listen {second}; }}"
    instance = nginx_instance(tmp_path, extra=more)
    layout = instance.server().layout
    with running(instance) as main:
        sockets = sockets_of(main.pid)
        real = {f"{each.host}:{each.port}" for each in listening() if each.inode in sockets}
        assert real == {f"{each.host}:{each.port}" for each in layout.addresses}
        assert Path(layout.pidfile).read_text().strip() == str(main.pid)
        assert Path(layout.error_log).exists()
        assert layout.request is not None
        assert layout.request.url.endswith("/nginx_status")
        (status,) = instance.server().checks_at(10)
        for request in (layout.request, status):
            assert ask(request, connect_timeout=5, timeout=10).verdict is Verdict.GOOD


def test_the_master_is_known_and_orphaned_workers_are_this_instances_alone(tmp_path: Path) -> None:
    subreaper()
    instance, sibling = nginx_instance(tmp_path), nginx_instance(tmp_path, name="nginx2")
    server = instance.server()
    with running(instance) as started, running(sibling) as other:
        main = eventually(lambda: (p := look(started.pid)) and "master" in p.argv[0] and p, what="the master's title")
        assert server.is_main(main)
        assert not server.is_main(look(other.pid) or other)
        workers = [p for p in family(instance) if p.ppid == main.pid]
        assert workers
        assert not any(server.is_main(worker) for worker in workers)
        os.kill(main.pid, signal.SIGKILL)
        eventually(lambda: (now := look(workers[0].pid)) and now.ppid != main.pid, what="orphans")
        orphans = [now for worker in workers if (now := look(worker.pid))]
        assert all(server.is_child(orphan) for orphan in orphans)
        assert not any(sibling.server().is_child(orphan) for orphan in orphans)
        assert not any(server.is_main(orphan) for orphan in orphans)


@pytest.mark.parametrize("top", ["daemon on;", "daemon off;", "daemon off; master_process off;", ""])
def test_it_is_started_as_its_configuration_allows(tmp_path: Path, top: str) -> None:
    subreaper()
    instance = nginx_instance(tmp_path, top=top)
    assert instance.server().forks is (top == "daemon on;")
    with running(instance) as main:
        assert instance.server().is_main(look(main.pid) or main)


def test_an_nginx_that_was_started_by_other_hands_is_known(tmp_path: Path) -> None:
    subreaper()
    instance = nginx_instance(tmp_path)
    subprocess.run([NGINX, "-c", str(instance.configfile)], check=True, env={"PATH": "/usr/bin:/bin"}, stderr=-3)
    try:
        pid = int(eventually(lambda: instance.pidfile.exists() and instance.pidfile.read_text(), what="the pid file"))
        main = eventually(lambda: (p := look(pid)) and p.argv[0].startswith("nginx: ") and p, what="the title")
        assert instance.server().is_main(main)
    finally:
        end(instance)


MISTAKES = [
    "nonsense;",
    "include absent.conf;",
    "}",
    "a {",
    'pid "x"y;',
    "user nobodyx;",
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_by_nginx_and_named_with_file_and_line(tmp_path: Path, mistake: str) -> None:
    instance = nginx_instance(tmp_path, extra=mistake)
    fault = check(instance.server(), Patience(20))
    assert fault is not None
    assert fault.kind is Kind.CONFIGURATION
    assert f"{instance.configfile}:" in fault.reason


TOKENS = [
    'set $a "b;}}"; listen {};',
    "listen\n{}\n; # listen 1; {{",
    "listen '{}';",
    'listen "{}";',
    "set $a ${{b}}c; listen {};",
    "set $a 'it''s'; listen {};",
    "set $a b\\;c; listen {};",
    "listen 127.0.0.1\\:{};",
    'set $a "x"y; listen {};',
    "}}; listen {};",
    "listen {}",
]


@pytest.mark.parametrize("statement", TOKENS)
def test_what_nginx_accepts_is_read_alike_and_what_it_refuses_is_refused(tmp_path: Path, statement: str) -> None:
    port = free_port()
    instance = nginx_instance(tmp_path, server=statement.format(port).replace("${b}", "${host}"))
    command = instance.server().check_command()
    finished = run(command.argv, 20, command.env) if command else None
    assert finished is not None
    try:
        ours = any(address.port == port for address in instance.server().layout.addresses)
    except Exception:
        ours = False
    assert ours is finished.ok, finished.output


def starts_with(instance: Instance) -> list[str]:
    """What nginx says when it is started and does not stay."""
    command = instance.server().start_command()
    return run(command.argv, 30, command.env).output.splitlines()


def test_a_taken_port_and_a_missing_address_are_told_apart(tmp_path: Path) -> None:
    holder = command_instance(tmp_path)
    with running(holder):
        twin = nginx_instance(tmp_path, server=f"listen 127.0.0.1:{holder.port};")
        fault = twin.server().explain(starts_with(twin), "start failed")
        assert fault is not None
        assert fault.cause == "port-taken"
    absent = nginx_instance(tmp_path, name="absent", server="listen 192.0.2.77:8080;")
    fault = absent.server().explain(starts_with(absent), "start failed")
    assert fault is not None
    assert (fault.cause, fault.kind) == ("service-address-missing", Kind.HOST)


@pytest.mark.parametrize("forks", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_python_server_is_known_with_its_workers_and_orphans(tmp_path: Path, forks: bool, workers: int) -> None:
    subreaper()
    instance = command_instance(tmp_path, workers=workers, forks=forks)
    server = instance.server()
    with running(instance) as main:
        assert server.is_main(main)
        others = [p for p in family(instance) if p.pid != main.pid]
        assert len(others) == workers
        assert not any(server.is_main(each) for each in others)
        os.kill(main.pid, signal.SIGKILL)
        for each in others:
            orphan = eventually(lambda pid=each.pid: (p := look(pid)) and p.ppid != main.pid and p, what="an orphan")  # type: ignore[misc]
            assert server.is_child(orphan)
            assert not server.is_main(orphan)
