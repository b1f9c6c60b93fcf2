"""Syslog over a real datagram socket, with a daemon that is away, restarted, or slow."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_glue.messages import SEVERITIES
from cluster_glue.recovery.model import Tell
from cluster_glue.syslog import LONGEST, Syslog, quote
from ocf.faults import Fault, Kind

FAULT = Fault("killed", Kind.RESOURCE, "killed", 'kill -9 "by" root\n<0>kernel: fake=1')


def listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    daemon.bind(str(path))
    daemon.settimeout(10)
    return daemon


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # a socket's address holds 107 bytes; this one is short wherever tests run
    return Path("log")


@pytest.fixture
def daemon(path: Path) -> Iterator[socket.socket]:
    with listen(path) as daemon:
        yield daemon


def test_a_transition_is_one_datagram_as_local_daemons_read_it(daemon: socket.socket, path: Path) -> None:
    Syslog(str(path)).tell("web1", Tell("fell", "the main process is gone", 3, FAULT))
    text = daemon.recv(65536).decode()
    assert text == (
        f"<27>koboshi[{os.getpid()}]: KOB110 resource=web1 event=fell incident=web1-3 cause=killed kind=resource"
        ' proof="kill -9 \\"by\\" root <0>kernel: fake=1" the main process is gone'
    )


def test_text_from_outside_makes_no_second_line_and_no_second_message(daemon: socket.socket, path: Path) -> None:
    Syslog(str(path)).tell("web1", Tell("suspect", "body\n<0>kernel: panic\x00\x1b[2J"))
    text = daemon.recv(65536)
    assert b"\n" not in text
    assert b"\0" not in text
    assert b"\x1b" not in text
    daemon.setblocking(False)
    with pytest.raises(BlockingIOError):
        daemon.recv(1)


def test_a_message_is_never_longer_than_daemons_take(daemon: socket.socket, path: Path) -> None:
    fault = Fault("x" * 5000, Kind.HOST, "", "\N{SNOWMAN}" * 5000)
    Syslog(str(path)).tell("web1", Tell("fell", "\N{SNOWMAN}" * 5000, 1, fault))
    text = daemon.recv(65536)
    assert len(text) <= LONGEST
    assert text.decode()


def test_less_urgent_messages_are_left_out_where_that_is_asked_for(daemon: socket.socket, path: Path) -> None:
    syslog = Syslog(str(path), SEVERITIES["error"])
    syslog.tell("web1", Tell("up", "it answers"))
    syslog.tell("web1", Tell("fell", "dead", 1))
    assert b"KOB110" in daemon.recv(65536)


def test_a_restarted_daemon_gets_the_very_next_message(path: Path) -> None:
    syslog = Syslog(str(path))
    with listen(path) as first:
        syslog.tell("web1", Tell("up", "first"))
        assert b"first" in first.recv(65536)
    with listen(path) as second:
        syslog.tell("web1", Tell("up", "second"))
        assert b"second" in second.recv(65536)
    assert syslog.lost == 0


def test_losses_are_counted_and_told_once_the_daemon_is_back(path: Path) -> None:
    syslog = Syslog(str(path))
    for _ in range(3):
        syslog.tell("web1", Tell("up", "nobody hears this"))
    assert syslog.lost == 3
    with listen(path) as daemon:
        syslog.tell("web1", Tell("up", "heard"))
        syslog.tell("web1", Tell("up", "heard again"))
        assert b" lost=3 heard" in daemon.recv(65536)
        assert b"lost=" not in daemon.recv(65536)


def test_a_daemon_that_does_not_read_costs_messages_and_not_time(daemon: socket.socket, path: Path) -> None:
    syslog = Syslog(str(path))
    for _ in range(5000):
        syslog.tell("web1", Tell("up", "x" * 400))
    assert syslog.lost > 0
    while syslog.lost:
        before = syslog.lost
        daemon.recv(65536)
        syslog.tell("web1", Tell("up", "again"))
        if syslog.lost == before:
            break
    received = []
    daemon.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            received.append(daemon.recv(65536))
    assert re.search(rb" lost=\d+ again$", received[-1])


@pytest.mark.parametrize("path", ["", "/nowhere/log", "x" * 300, "/dev/null"])
def test_no_syslog_at_all_is_no_error(path: str) -> None:
    syslog = Syslog(path)
    syslog.tell("web1", Tell("up", "it answers"))
    assert syslog.lost == (1 if path else 0)
    syslog.close()


@pytest.mark.parametrize(
    ("value", "quoted"), [("web1", "web1"), ("", '""'), ("a b", '"a b"'), ('a"\\', '"a\\"\\\\"'), ("a=b", '"a=b"')]
)
def test_a_field_can_be_told_from_what_follows(value: str, quoted: str) -> None:
    assert quote(value) == quoted
