"""The sunone agent without a server: whom it takes for ours, and what it concludes."""

from __future__ import annotations

import os

import pytest

from ocf.faults import Kind
from resource_agents.processes import Process
from resource_agents.sunone import SunOne
from resource_agents.sunone_family import Family, Names, Standing, assess, gather, replaceable

HZ = os.sysconf("SC_CLK_TCK")
CONFIG = "/opt/web/https-test/config"


def process(pid: int, ppid: int, name: str, *, config: str = CONFIG, state: str = "S", age: float = 100) -> Process:
    """A process as the kernel would tell of it 1000 seconds after the boot."""
    argv = (name, "-d", config, "-r", "/opt/web", "-t", "/tmp/t", "-u", "root") if state != "Z" else ()
    exe = f"/opt/web/lib/{name}" if state != "Z" else ""
    return Process(pid, int((1000 - age) * HZ), ppid, 10, 10, state, exe, argv, 0)


def tree(worker: str = "S", primordial: str = "S", watchdog: str = "S", age: float = 100) -> list[Process]:
    return [
        process(10, 1, "webservd-wdog", state=watchdog),
        process(11, 10, "webservd", state=primordial),
        process(12, 11, "webservd", state=worker, age=age),
    ]


def family(processes: list[Process]) -> Family:
    return gather(processes, CONFIG, Names())


@pytest.mark.parametrize(
    ("config", "ours"),
    [(CONFIG, True), (f"{CONFIG}/", True), ("/opt/web/https-test2/config", False), (f"{CONFIG}2", False), ("", False)],
)
def test_the_instance_is_told_by_the_whole_path(config: str, ours: bool) -> None:
    server = SunOne({"instance_dir": "/opt/web/https-test"})
    assert server.is_main(process(10, 1, "webservd-wdog", config=config)) is ours


def test_a_bystander_that_names_the_configuration_is_not_ours() -> None:
    server = SunOne({"instance_dir": "/opt/web/https-test/"})
    assert not server.is_kin(process(10, 1, "vi"))
    assert not server.is_main(process(10, 1, "webservd")), "a server process is no watchdog"
    assert server.is_child(process(10, 1, "webservd")) and server.is_kin(process(10, 1, "webservd"))


def test_a_zombie_is_dead() -> None:
    server = SunOne({"instance_dir": "/opt/web/https-test"})
    assert not server.is_main(process(10, 1, "webservd-wdog", state="Z"))
    assert family(tree(watchdog="Z")).watchdog is None


def test_primordial_and_worker_are_told_apart_by_their_parents() -> None:
    found = family(tree())
    assert found.watchdog is not None and found.watchdog.pid == 10
    assert [p.pid for p in found.primordials] == [11]
    assert [p.pid for p in found.workers] == [12]
    assert found.orphans == ()


def test_whoever_has_no_watchdog_above_is_an_orphan() -> None:
    beside = [process(21, 1, "webservd"), process(22, 21, "webservd")]
    assert [p.pid for p in family(tree() + beside).orphans] == [21, 22]
    assert {p.pid for p in family(tree()[1:]).orphans} == {11, 12}


def test_release_6_names_are_known() -> None:
    found = family([process(10, 1, "uxwdog"), process(11, 10, "ns-httpd"), process(12, 11, "ns-httpd")])
    assert found.watchdog is not None and [p.pid for p in found.workers] == [12]


THIEF, HALF, UNMANAGED = Standing.PORT_THIEF, Standing.HALF_STARTED, Standing.UNMANAGED
LOOP, STALLED, FROZEN = Standing.CRASH_LOOP, Standing.STALLED, Standing.FROZEN_PARENT


@pytest.mark.parametrize(
    ("processes", "answered", "stands", "cause"),
    [
        (tree(), True, Standing.GOOD, ""),
        (tree(), None, Standing.GOOD, ""),
        (tree()[1:], True, UNMANAGED, "watchdog-gone"),
        (tree()[1:], False, UNMANAGED, "watchdog-gone"),
        (tree()[:2], False, LOOP, "worker-missing"),
        (tree()[:1], False, LOOP, "primordial-missing"),
        (tree(age=0.2), False, LOOP, "crash-loop"),
        (tree(), False, STALLED, "stalled"),
        (tree(worker="T"), False, STALLED, "worker-stopped"),
        (tree(worker="D"), False, STALLED, "worker-blocked"),
        (tree(watchdog="T"), True, FROZEN, "watchdog-stopped"),
        (tree(primordial="T"), True, FROZEN, "primordial-stopped"),
        ([], True, THIEF, "port-taken"),
        ([], False, Standing.DOWN, "unknown"),
    ],
)
def test_processes_and_answer_together_say_how_it_stands(
    processes: list[Process], answered: bool | None, stands: Standing, cause: str
) -> None:
    found, fault = assess(family(processes), answered, now=1000)
    assert (found, fault.cause if fault else "") == (stands, cause)


def test_a_tree_without_worker_and_pid_file_waits_for_a_password() -> None:
    assert assess(family(tree()[:2]), False, pid_written=False)[0] is HALF


def test_a_worker_blocked_on_a_device_is_the_hosts_fault() -> None:
    fault = assess(family(tree(worker="D")), False, now=1000)[1]
    assert fault is not None and fault.kind is Kind.HOST


def test_the_cheaper_cure_spares_workers_that_can_serve() -> None:
    healthy = process(13, 11, "webservd")
    assert [p.pid for p in replaceable(family([*tree(worker="T"), healthy]))] == [12]
    assert [p.pid for p in replaceable(family(tree()))] == [12]


@pytest.mark.parametrize("processes", [tree(watchdog="T"), tree(primordial="T"), tree()[1:], tree(worker="D")])
def test_there_is_no_cheaper_cure_where_nobody_would_replace_the_worker(processes: list[Process]) -> None:
    assert replaceable(family(processes)) == ()


CONF1103 = "config: CONF1103: File /i/config/server.xml line 3: Error from XML parser: mismatched tag"
MISLEADING = "failure: temporary directory  is not writable by user root"


@pytest.mark.parametrize("lines", [[CONF1103, MISLEADING], [MISLEADING, CONF1103]])
def test_the_misleading_line_never_wins(lines: list[str]) -> None:
    fault = SunOne({"instance_dir": "/i"}).explain(lines, "start failed")
    assert fault is not None and (fault.cause, fault.proof) == ("config-error", CONF1103)


def test_the_misleading_line_alone_names_nothing() -> None:
    assert SunOne({"instance_dir": "/i"}).explain([MISLEADING], "start failed") is None


def test_a_broken_file_wins_over_the_crashes_it_keeps_open() -> None:
    stamp = "[22/Nov/2026:11:48:51]"
    lines = [f"{stamp} info (  301): CORE3050: Spawning replacement for worker process 300", f"{stamp} {CONF1103}"]
    fault = SunOne({"instance_dir": "/i"}).explain(lines * 3, "no answer")
    assert fault is not None and fault.cause == "config-error"


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("HTTP3127: ls: http://10.0.0.1:80: Error creating socket (Address already in use)", "port-taken"),
        ("HTTP3127: ls: http://10.0.0.1:80: Error creating socket (Address not available)", "service-address-missing"),
        ("startup failure: could not bind to 10.0.0.1:80 (Permission denied)", "no-privilege-for-port"),
        ("failure: HTTP3094: 1 listen sockets could not be created", "listen-failed"),
        ("catastrophe (  30): CORE3260: Server crash detected (signal SIGSEGV)", "crash"),
        ("webservd-wdog[1]: server terminated (signal 9): watchdog is restarting it", "crash"),
        ("webservd-wdog[1]: server terminated (signal 9): watchdog exiting", "watchdog-gave-up"),
        ("failure (   30): CORE3144: Watchdog admin channel has been closed", "watchdog-gone"),
        ("failure: CORE1227: NSS PKCS #11 initialization failed (SEC_ERROR_BAD_PASSWORD)", "key-password"),
        ("failure: CORE1234: certificate expired", "certificate-expired"),
        ("failure: CORE3279: New configuration not installed", "reload-refused"),
        ("failure (30): logging initialization failed: can't open error log", "log-unwritable"),
        ("failure: temporary directory /t is not writable by user web", "temp-dir-unwritable"),
        ("ld.so: wrong ELF class: ELFCLASS32", "plugin-bitness"),
    ],
)
def test_known_lines_are_named(line: str, cause: str) -> None:
    fault = SunOne({"instance_dir": "/i"}).explain([line], "start failed")
    assert fault is not None and fault.cause == cause


def test_a_good_start_names_nothing() -> None:
    lines = ["info: CORE3016: daemon is running as super-user", "info: CORE3274: successful server startup"]
    assert SunOne({"instance_dir": "/i"}).explain(lines, "start failed") is None
