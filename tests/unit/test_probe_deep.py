"""Checks that follow redirects: through a thread, with the loop's deadline."""

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from cluster_glue.recovery.sensors import deep, probe
from resource_agents.http import Answer, Verdict
from resource_agents.layouts import Request
from tests.ports import free_port
from tests.scripted import Script, hang, read_head, reset, say, scripted
from tests.waiting import eventually


def ask(url: str, timeout: float = 20.0, **request: object) -> Answer:
    request.setdefault("redirects", 3)
    return asyncio.run(probe.ask(Request(url, **request), connect_timeout=timeout, timeout=timeout))


def hops(number: int) -> Script:
    """``/N`` redirects to ``/N-1``; ``/0`` is the page, which shows the request."""

    def script(connection: socket.socket) -> None:
        head = read_head(connection)
        left = int(head.split()[1].strip(b"/") or number)
        if left:
            connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: /{left - 1}\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + head)

    return script


def test_redirects_are_followed_as_far_as_allowed() -> None:
    with scripted(hops(3)) as url:
        assert ask(url, pattern="GET /0", user="u", password="p", host="web.example").verdict is Verdict.GOOD
        too_far = ask(url, redirects=2)
        assert (too_far.verdict, too_far.status) == (Verdict.WRONG, 302)
        assert ask(url, pattern="absent").verdict is Verdict.WRONG


def test_a_redirect_loop_is_a_wrong_answer() -> None:
    with scripted(say(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")) as url:
        assert ask(url).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        (reset, Verdict.CUT),
        (say(), Verdict.CUT),
        (say(b"garbage\r\n\r\n"), Verdict.CUT),
        (say(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), Verdict.WRONG),
        (say(b"HTTP/1.1 302 Found\r\nLocation: ftp://x/\r\nContent-Length: 0\r\n\r\n"), Verdict.OURS),
    ],
)
def test_faults_are_seen_for_what_they_are(script: Script, verdict: Verdict) -> None:
    with scripted(script) as url:
        answer = ask(url)
        assert answer.verdict is verdict, answer


def test_an_empty_port_refuses() -> None:
    assert ask(f"http://127.0.0.1:{free_port()}/").verdict is Verdict.REFUSED


def test_a_name_without_address_proves_nothing() -> None:
    assert ask("http://name.invalid./").verdict is Verdict.OURS


def test_plain_http_is_no_tls() -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with scripted(plain) as url:
        assert ask(url.replace("http:", "https:")).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    "script",
    [
        hang,
        say(b"H", b"T", b"T", b"P", b"/", b"1", every=0.2, again=100),
        say(b"HTTP/1.1 200 OK\r\n\r\n", b"x", every=0.05, again=10000),
    ],
)
def test_the_deadline_holds_and_ends_the_thread(script: Script) -> None:
    with scripted(script) as url:
        answer = ask(url, timeout=0.5, pattern="y")
        assert answer.verdict in (Verdict.MUTE, Verdict.CUT), answer
        assert answer.took < 10
        names = lambda: [thread for thread in threading.enumerate() if thread.name == "deep-check"]  # noqa: E731
        eventually(lambda: not names(), what="the end of the thread")


def test_requests_is_imported_only_by_checks_that_follow_redirects() -> None:
    code = "import sys; import cluster_glue.recovery.sensors.probe; print('requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    assert deep.ask is not None
