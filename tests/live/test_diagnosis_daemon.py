"""A running koboshi says who did it, and never restarts a server for what others do."""

from __future__ import annotations

import getpass
import json
import re
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cluster_glue.diagnosis.evidence import Absent
from cluster_glue.diagnosis.tracefs import Instance
from resource_agents.processes import children, look
from tests.diagnosed import apache, explained, nginx, why
from tests.koboshi_daemon import KoboshiDaemon, daemon
from tests.ports import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.live

#: Quick probes, so that a test of many seconds takes a few.
QUICK = "probe_interval = 0.3\nprobe_timeout = 0.6\nconnect_timeout = 0.6\nretry_interval = 0.3\n"


def traced() -> bool:
    """Whether this machine lets us trace signals."""
    try:
        instance = Instance()
    except Absent:
        return False
    left = instance.path
    instance.close()
    assert not left.exists()
    return True


@contextmanager
def shell_that_sends(number: int, pid: int) -> Iterator[int]:
    """A shell of somebody's that sent a signal and lives on; its pid."""
    line = f"kill -{number} {pid}; read wait"
    with subprocess.Popen(["bash", "-c", line], stdin=subprocess.PIPE, start_new_session=True) as shell:
        yield shell.pid
        assert shell.stdin is not None
        shell.stdin.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT])
def test_why_names_the_shell_that_sent_the_signal(tmp_path: Path, number: int) -> None:
    with daemon(tmp_path, nginx(tmp_path / "web", free_port())) as koboshi:
        main = koboshi.main("web")
        with shell_that_sends(number, main.pid) as shell:
            koboshi.until_new_main("web", main)
            incident = explained(koboshi)
        first = why(koboshi).splitlines()[0]
        name = signal.Signals(number).name
        if traced():
            who = f"sent by pid {shell} (bash -c kill -{int(number)} {main.pid}; read wait, user {getpass.getuser()})"
            assert f"(pid {main.pid}) was ended by {name}, {who}" in first
            assert incident.cause == "killed"
        else:
            assert incident.cause in ("killed", "crashed", "exited") and "sent by" not in first
        assert "koboshi restarted it once; it recovered; it was out for" in first


def test_the_evidence_is_kept_and_becomes_a_bundle(tmp_path: Path) -> None:
    with daemon(tmp_path, nginx(tmp_path / "web", free_port())) as koboshi:
        main = koboshi.main("web")
        with shell_that_sends(signal.SIGKILL, main.pid):
            koboshi.until_new_main("web", main)
            explained(koboshi)
        told = json.loads(why(koboshi, "--json"))
        index = json.loads((Path(told["evidence"]) / "index.json").read_text())
        assert index["cause"] == told["cause"]
        assert sum(item["took"] for item in index["items"].values()) < 2.5
        bundle = tmp_path / "bundle.tar"
        assert "removed" in why(koboshi, "--bundle", str(bundle))
        with tarfile.open(bundle) as tar:
            assert {"web-1/why.txt", "web-1/evidence/index.json"} <= set(tar.getnames())


def test_a_daemon_that_ends_leaves_no_trace_in_the_kernel(tmp_path: Path) -> None:
    with daemon(tmp_path, nginx(tmp_path / "web", free_port())) as koboshi:
        assert koboshi.identity is not None
        pid = koboshi.identity.pid
        koboshi.main("web")
        koboshi.end()
    if traced():
        instance = Instance()
        try:
            assert not (instance.path.parent / f"koboshi-{pid}").exists()
        finally:
            instance.close()


class BackEnd:
    """A back end that takes connections and answers each after ``delay`` seconds; None: never."""

    def __init__(self, delay: float | None) -> None:
        self.port = free_port()
        self._delay = delay
        self._end = threading.Event()
        self._server = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._server.settimeout(0.2)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join(10)
        self._server.close()

    def _serve(self) -> None:
        while not self._end.is_set():
            with suppress(TimeoutError):
                sock, _ = self._server.accept()
                threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            sock.recv(65536)
            self._end.wait(self._delay)
            if self._delay is not None:
                sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>")


@contextmanager
def clients(port: int, path: str, count: int) -> Iterator[None]:
    """So many clients that ask for it, one request after the other, until the block ends."""
    end = threading.Event()

    def ask() -> None:
        while not end.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
                sock.settimeout(0.2)
                sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                while not end.is_set():
                    with suppress(TimeoutError):
                        if not sock.recv(4096):
                            break

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join(10)


def until_told(koboshi: KoboshiDaemon, message: str, cause: str) -> str:
    """The line with this message and this cause."""

    def told() -> str:
        return next((line for line in koboshi.lines(message, "web") if f", {cause}" in line), "")

    try:
        return eventually(told, what=f"{message} with {cause}")
    except AssertionError as late:
        raise AssertionError(f"{late}; koboshi said:\n{koboshi.said}") from None


def stays_up(koboshi: KoboshiDaemon, seconds: float) -> None:
    """Nothing is restarted for so long (a promise about what does not happen has to be watched for a while)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert koboshi.status("web")["phase"] == "up", koboshi.said
        time.sleep(0.1)
    assert not koboshi.incidents("web")


def proxy(back_end: int) -> str:
    return f"ProxyPass /app http://127.0.0.1:{back_end}/ retry=0 timeout=120\n"


def test_a_back_end_that_goes_down_never_restarts_the_front_end(tmp_path: Path) -> None:
    back_end = BackEnd(0.0)
    config = apache(tmp_path / "web", free_port(), proxy(back_end.port), url="/app/") + QUICK
    with daemon(tmp_path, config) as koboshi:
        koboshi.main("web")
        back_end.close()
        line = until_told(koboshi, "degraded", "backend-down")
        assert "AH00957" in line or "AH01114" in line
        stays_up(koboshi, 5)


def test_workers_that_wait_for_a_slow_back_end_are_not_restarted(tmp_path: Path) -> None:
    back_end, port = BackEnd(None), free_port()
    config = apache(tmp_path / "web", port, proxy(back_end.port)) + QUICK
    with daemon(tmp_path, config) as koboshi:
        koboshi.main("web")
        with clients(port, "/app/", 6):
            until_told(koboshi, "degraded", "backend-slow")
            stays_up(koboshi, 4)
        back_end.close()


def test_overload_with_progress_is_reported_and_not_restarted_until_it_lasts(tmp_path: Path) -> None:
    back_end, port = BackEnd(0.8), free_port()
    config = apache(tmp_path / "web", port, proxy(back_end.port)) + QUICK + "overload_timeout = 8\n"
    with daemon(tmp_path, config) as koboshi:
        main = koboshi.main("web")
        with clients(port, "/app/", 30):
            until_told(koboshi, "degraded", "overload")
            stays_up(koboshi, 4)
            until_told(koboshi, "fell", "overload")
            koboshi.until_new_main("web", main)
        back_end.close()


def test_stopped_workers_are_named_with_who_stopped_them(tmp_path: Path) -> None:
    with daemon(tmp_path, nginx(tmp_path / "web", free_port()) + QUICK) as koboshi:
        main = koboshi.main("web")
        (worker,) = children(main.pid)
        with shell_that_sends(signal.SIGSTOP, worker) as shell:
            koboshi.until_new_main("web", main)
            incident = explained(koboshi)
        assert incident.cause == "stopped"
        if traced():
            assert re.search(
                rf"its process {worker} was stopped by SIGSTOP, sent by pid {shell} \(bash", incident.reason
            )
        assert look(worker) is None or look(worker).dead  # type: ignore[union-attr]


def test_a_front_end_that_is_started_before_its_back_end_is_up_and_never_restarted(tmp_path: Path) -> None:
    root = f"proxy_pass http://127.0.0.1:{free_port()};"
    with daemon(tmp_path, nginx(tmp_path / "web", free_port(), root=root) + QUICK) as koboshi:
        koboshi.main("web")
        until_told(koboshi, "degraded", "backend-down")
        stays_up(koboshi, 3)
        main = koboshi.main("web")
        koboshi.kill()
        (koboshi.runtime / "resources/web.json").unlink()
        koboshi.start()  # which finds it running, and the back end still down
        assert koboshi.main("web").identity == main.identity


def test_a_server_that_runs_and_is_not_well_is_no_stranger_on_its_own_port(tmp_path: Path) -> None:
    config = nginx(tmp_path / "web", free_port(), root="return 500;") + QUICK + "start_timeout = 1\nrestart_limit = 0\n"
    with daemon(tmp_path, config) as koboshi:
        koboshi.until("web", "failed")
        incident = explained(koboshi)
        assert incident.cause == "unknown", incident.reason
        assert "it runs, but did not answer well in time" in incident.reason
