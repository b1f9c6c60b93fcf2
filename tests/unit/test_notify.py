"""sd_notify over real sockets."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster_glue.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = f"@koboshi-test-{os.getpid()}-{time.monotonic_ns()}" if request.param == "abstract" else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.settimeout(10)
        yield listener, name


@pytest.mark.parametrize(
    ("send", "pattern"),
    [
        (lambda notifier: notifier.ready("watching 2"), r"READY=1\nSTATUS=watching 2"),
        (lambda notifier: notifier.reloading(), r"RELOADING=1\nMONOTONIC_USEC=\d+"),
        (lambda notifier: notifier.stopping(), "STOPPING=1"),
        (lambda notifier: notifier.status("two\nlines"), "STATUS=two lines"),
        (lambda notifier: notifier.watchdog(), "WATCHDOG=1"),
    ],
)
def test_the_manager_hears_what_it_understands(
    manager: tuple[socket.socket, str], send: Callable[[Notifier], bool], pattern: str
) -> None:
    assert send(Notifier({"NOTIFY_SOCKET": manager[1]}))
    assert re.fullmatch(pattern, manager[0].recv(4096).decode())


def test_the_time_of_a_reload_is_the_monotonic_clock(manager: tuple[socket.socket, str]) -> None:
    before = time.monotonic_ns() // 1000
    Notifier({"NOTIFY_SOCKET": manager[1]}).reloading()
    stamp = int(manager[0].recv(4096).decode().partition("USEC=")[2])
    assert before <= stamp <= time.monotonic_ns() // 1000


@pytest.mark.parametrize("name", ["", "/nowhere/notify", "relative", "/" + "x" * 300])
def test_without_a_manager_nothing_happens(name: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert not notifier.ready()
    assert not notifier.watchdog()


def test_a_manager_that_does_not_read_never_blocks_the_watchdog(manager: tuple[socket.socket, str]) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager[1]})
    assert not all(notifier.watchdog() for _ in range(5000))


@pytest.mark.parametrize(
    ("env", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 10.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_it_names_us(env: dict[str, str], seconds: float | None) -> None:
    assert Notifier(env).watchdog_interval == seconds
