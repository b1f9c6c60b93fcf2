"""What koboshi reads of a real Apache, beside what that Apache really does."""

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
from tests.servers import APACHE, MODULES, Instance, apache_instance, end, family, running, subreaper
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(not os.path.exists(APACHE), reason="no Apache here")]


def has_ipv6() -> bool:
    return Path("/proc/net/if_inet6").exists() and "lo" in Path("/proc/net/if_inet6").read_text()


@pytest.mark.parametrize("mpm", ["prefork", "worker", "event"])
def test_the_layout_is_what_a_running_apache_does(tmp_path: Path, mpm: str) -> None:
    second = f"[::1]:{free_port('::1')}" if has_ipv6() else f"127.0.0.2:{free_port()}"
    instance = apache_instance(tmp_path, mpm, listen=[second])
    layout = instance.server().layout
    with running(instance) as main:
        sockets = sockets_of(main.pid)
        real = {f"{each.host}:{each.port}" for each in listening() if each.inode in sockets}
        assert real == {f"{each.host}:{each.port}" for each in layout.addresses}
        assert Path(layout.pidfile).read_text().strip() == str(main.pid)
        assert "resuming normal operations" in Path(layout.error_log).read_text()
        assert layout.request is not None
        assert ask(layout.request, connect_timeout=5, timeout=10).verdict is Verdict.GOOD


@pytest.mark.parametrize("mpm", ["prefork", "worker", "event"])
def test_the_parent_is_known_and_neither_children_nor_orphans_are(tmp_path: Path, mpm: str) -> None:
    subreaper()
    instance = apache_instance(tmp_path, mpm)
    server = instance.server()
    with running(instance) as main:
        children = eventually(lambda: [p for p in family(instance) if p.ppid == main.pid], what="children")
        assert server.is_main(main)
        assert not any(server.is_main(child) for child in children)
        os.kill(main.pid, signal.SIGKILL)
        eventually(lambda: (now := look(children[0].pid)) and now.ppid != main.pid, what="orphans")
        orphans = [now for child in children if (now := look(child.pid)) and not now.dead]
        assert orphans
        assert not any(server.is_main(orphan) for orphan in orphans)
        assert all(server.is_child(orphan) for orphan in orphans)


def test_an_apache_that_went_to_the_background_by_other_hands_is_known(tmp_path: Path) -> None:
    subreaper()
    instance = apache_instance(tmp_path)
    sibling = apache_instance(tmp_path, name="apache-other")
    subprocess.run([APACHE, "-f", str(instance.configfile), "-k", "start"], check=True, env={"PATH": "/usr/bin"})
    try:
        pid = int(eventually(lambda: instance.pidfile.exists() and instance.pidfile.read_text(), what="the pid file"))
        main = look(pid)
        assert main is not None
        assert instance.server().is_main(main)
        assert not sibling.server().is_main(main)
        run([APACHE, "-f", str(instance.configfile), "-k", "graceful"], 10)
        now = look(pid)
        assert now is not None
        assert instance.server().is_main(now)
    finally:
        end(instance)


def test_a_tls_address_is_asked_over_tls(tmp_path: Path) -> None:
    instance = apache_instance(tmp_path, tls=True)
    layout = instance.server().layout
    assert [address.tls for address in layout.addresses] == [True]
    with running(instance):
        assert layout.request is not None
        assert layout.request.url.startswith("https://")
        assert ask(layout.request, connect_timeout=5, timeout=10).verdict is Verdict.GOOD


CONDITIONS = [
    "IfDefine STATUS",
    "IfDefine NOBODY",
    "IfDefine ${NAMED}",
    "IfModule status_module",
    "IfModule mod_status.c",
    "IfModule !mod_status.c",
    "IfModule event.c",
    "IfModule mod_mpm_event.c",
    "IfModule mpm_event_module",
    "IfModule core.c",
    "IfModule mod_so.c",
    "IfModule so_module",
    "IfModule http_core.c",
    "IfModule mod_unixd.c",
    "IfModule ssl_module",
    "IfVersion >= 2.4",
    "IfVersion 2.4",
    "IfVersion > 3",
    "IfVersion ~ ^2.4",
    "IfVersion !~ ^2.4",
    "IfFile httpd.conf",
    "IfFile absent",
    "IfFile !absent",
]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_hold_where_apache_says_they_hold(tmp_path: Path, condition: str) -> None:
    name = condition.split()[0]
    version = "" if "IfVersion" not in condition else "<IfModule mod_version.c>\n"
    block = f"Define NAMED STATUS\n{version}<{condition}>\nListen 127.0.0.9:9\n</{name}>\n{version and '</IfModule>'}\n"
    instance = apache_instance(tmp_path, extra=block)
    ours = any(address.host == "127.0.0.9" for address in instance.server().layout.addresses)
    instance.configfile.write_text(instance.configfile.read_text().replace("Listen 127.0.0.9:9", "Nonsense"))
    command = instance.server().check_command()
    assert command is not None
    theirs = "Nonsense" in run(command.argv, 20, command.env).output
    assert ours is theirs


@pytest.mark.parametrize(
    "mistake",
    [
        "Nonsense",
        "<Location /x>",
        "</Location>",
        "Include absent.conf",
        "Include absent*.conf",
        "Include absent/*.conf",
    ],
)
def test_a_mistake_is_found_by_apache_and_named_with_file_and_line(tmp_path: Path, mistake: str) -> None:
    instance = apache_instance(tmp_path, extra=mistake)
    line = len(instance.configfile.read_text().rstrip().splitlines())
    fault = check(instance.server(), Patience(20))
    assert fault is not None
    assert (fault.cause, fault.kind) == ("config-error", Kind.CONFIGURATION)
    assert f"{instance.configfile}:{line}" in fault.reason


def starts_with(instance: Instance, *prefix: str) -> list[str]:
    """What Apache says when it is started and does not stay."""
    command = instance.server().start_command()
    return run([*prefix, *command.argv], 20, command.env).output.splitlines()


def test_a_taken_port_and_a_missing_address_are_told_apart(tmp_path: Path) -> None:
    instance = apache_instance(tmp_path)
    with running(instance):
        twin = apache_instance(tmp_path, name="twin", listen=[f"127.0.0.1:{instance.port}"])
        fault = twin.server().explain(starts_with(twin), "start failed")
        assert fault is not None
        assert fault.cause == "port-taken"
    absent = apache_instance(tmp_path, name="absent", listen=["192.0.2.77:8080"])
    fault = absent.server().explain(starts_with(absent), "start failed")
    assert fault is not None
    assert (fault.cause, fault.kind) == ("service-address-missing", Kind.HOST)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs an IPC namespace of its own")
def test_exhausted_semaphores_are_named_and_expected(tmp_path: Path) -> None:
    instance = apache_instance(tmp_path, "prefork", listen=[f"127.0.0.1:{free_port()}"], extra="Mutex sysvsem default")
    assert instance.server().layout.semaphores
    none_left = "echo '250 32000 32 0' >/proc/sys/kernel/sem; exec \"$@\""
    lines = starts_with(instance, "unshare", "-i", "sh", "-c", none_left, "sh")
    lines += instance.error_log.read_text().splitlines() if instance.error_log.exists() else []
    fault = instance.server().explain(lines, "start failed")
    assert fault is not None, lines
    assert fault.cause == "semaphore-exhaustion"


def test_debians_own_configuration_is_read(tmp_path: Path) -> None:
    if not Path("/etc/apache2/apache2.conf").exists():
        pytest.skip("this is not Debian's layout")
    from resource_agents.apache import Apache

    layout = Apache({"configfile": "/etc/apache2/apache2.conf"}).layout
    assert layout.pidfile == "/var/run/apache2/apache2.pid"
    assert layout.error_log == "/var/log/apache2/error.log"
    assert layout.user == "www-data"
    assert MODULES.exists()
