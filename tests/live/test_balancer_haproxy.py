"""A real HAProxy before two real servers: what it does with our words."""

from __future__ import annotations

import http.client
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.koboshi_daemon import KoboshiDaemon, daemon, table
from tests.ports import free_port
from tests.servers import Instance, nginx_instance
from tests.waiting import LONG, eventually

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")

pytestmark = [pytest.mark.live, pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not here")]

#: No second try and no other server: a request that meets a stopped server shows.
CONFIGURATION = """\
global
    stats socket {folder}/stats.sock
defaults
    mode http
    retries 0
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    default_backend farm
backend farm
    balance roundrobin
    default-server check inter 200ms agent-check agent-addr 127.0.0.1 agent-inter 50ms
    server one 127.0.0.1:{one} agent-port {agent_one}
    server two 127.0.0.1:{two} agent-port {agent_two}
"""


class Farm:
    """HAProxy, two nginx, and the koboshi that keeps them."""

    def __init__(self, folder: Path, koboshi: KoboshiDaemon, port: int) -> None:
        self.folder, self.koboshi, self.port = folder, koboshi, port
        self.answers: Counter[str] = Counter()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask_on)

    def server(self, name: str) -> str:
        """What HAProxy thinks of a server, in its own word."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.folder / "stats.sock"))
            line.sendall(b"show stat\n")
            text = b"".join(iter(lambda: line.recv(65536), b"")).decode()
        head, *rows = [row.split(",") for row in text.splitlines() if row]
        return next(row[head.index("status")] for row in rows if row[:2] == ["farm", name])

    def until(self, name: str, word: str) -> None:
        eventually(lambda: self.server(name).startswith(word), what=f"{name} {word}", every=0.02)

    def ask(self) -> None:
        """One request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/")
            answer = connection.getresponse()
            self.answers[f"{answer.status} {answer.read().decode().strip()}"] += 1
            connection.close()
            return
        self.answers["broken"] += 1

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Requests, one after the other, all the time."""
        self._thread.start()
        try:
            yield
        finally:
            self._end.set()
            self._thread.join(LONG)

    def _ask_on(self) -> None:
        while not self._end.is_set():
            self.ask()


def member(folder: Path, name: str) -> Instance:
    """An nginx that tells its name."""
    return nginx_instance(folder, name=name, server=f"location = / {{ return 200 '{name}\\n'; }}")


@contextmanager
def farm(folder: Path, **more: object) -> Iterator[Farm]:
    one, two = member(folder, "one"), member(folder, "two")
    doors = free_port(), free_port()
    text = ""
    for instance, door in zip((one, two), doors, strict=True):
        policy = {"restart_limit": 2, "restart_window": 3600, "probe_interval": 0.3, **more}
        text += table(instance, instance.directory.name, agent_check=f"127.0.0.1:{door}", **policy)
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(
        CONFIGURATION.format(
            folder=folder, port=port, one=one.port, two=two.port, agent_one=doors[0], agent_two=doors[1]
        )
    )
    assert HAPROXY is not None
    with daemon(folder, text) as koboshi:
        for name in ("one", "two"):
            koboshi.until(name, "up")
        koboshi.launch([HAPROXY, "-db", "-f", str(config)], folder / "haproxy.out")
        made = Farm(folder, koboshi, port)
        eventually(lambda: (folder / "stats.sock").exists(), what="HAProxy")
        for name in ("one", "two"):
            made.until(name, "UP")
        yield made


def test_no_request_fails_during_a_planned_restart_of_one_of_two(tmp_path: Path) -> None:
    with farm(tmp_path, drain_wait=1) as made:
        before = made.koboshi.main("one")
        with made.asking():
            eventually(lambda: {"200 one", "200 two"} <= set(made.answers), what="answers of both")
            made.koboshi.do("restart", "one")
            made.until("one", "DRAIN")
            made.koboshi.until_new_main("one", before)
            made.until("one", "UP")
            seen = made.answers["200 one"]
            eventually(lambda: made.answers["200 one"] > seen, what="answers of the new one")
        assert set(made.answers) == {"200 one", "200 two"}, made.answers
        assert made.answers.total() > 100


def test_one_that_is_beyond_repair_is_down_and_comes_back_when_mended(tmp_path: Path) -> None:
    with farm(tmp_path) as made:
        made.koboshi.do("stop", "two")
        made.until("two", "DOWN")
        made.koboshi.do("start", "two")
        made.until("two", "UP")
        configfile = tmp_path / "one" / "nginx.conf"
        good = configfile.read_text()
        configfile.write_text("nonsense;\n" + good)
        made.koboshi.do("stop", "one")
        made.until("one", "DOWN")
        made.koboshi.do("start", "one")
        made.koboshi.until("one", "misconfigured")
        made.until("one", "DOWN")
        for _ in range(20):
            made.ask()
        assert set(made.answers) == {"200 two"}, made.answers
        configfile.write_text(good)
        made.koboshi.until("one", "up")
        made.until("one", "UP")


def test_without_koboshi_the_balancer_keeps_what_it_knows(tmp_path: Path) -> None:
    with farm(tmp_path) as made:
        made.koboshi.kill()
        for _ in range(50):
            made.ask()
        assert set(made.answers) == {"200 one", "200 two"}, made.answers
        assert made.server("one").startswith("UP")
        made.koboshi.start()
        made.until("two", "UP")
