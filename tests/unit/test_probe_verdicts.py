"""What servers in their worst hours are seen as, by both drivers: over real sockets, deadlines kept."""

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from cluster_glue.recovery.sensors import probe
from resource_agents import http
from resource_agents.http import Answer, Verdict
from resource_agents.layouts import Address, Exchange, Request
from tests.ports import free_port
from tests.scripted import Script, hang, reset, say, scripted

Ask = Callable[..., Answer]


def ask_in_loop(check: Request | Exchange, *, connect_timeout: float, timeout: float) -> Answer:
    return asyncio.run(probe.ask(check, connect_timeout=connect_timeout, timeout=timeout))


@pytest.fixture(params=[http.ask, ask_in_loop], ids=["sync", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param


OK = b"HTTP/1.1 200 OK\r\n"

#: A deadline that a verdict must not need; and one that a verdict ends at.
LONG, SHORT = 20.0, 0.3


@pytest.mark.parametrize(
    ("script", "request_", "verdict", "timeout"),
    [
        (say(OK + b"\r\n"), {}, Verdict.GOOD, LONG),
        (say(b"HTTP/1.1 500 Oops\r\n\r\n"), {}, Verdict.WRONG, LONG),
        (say(b"garbage"), {}, Verdict.WRONG, LONG),
        (say(b"\0" * 1000), {}, Verdict.WRONG, LONG),
        (say(OK + b"X: " + b"x" * 10_000_000), {}, Verdict.WRONG, LONG),
        (say(), {}, Verdict.CUT, LONG),
        (say(OK), {}, Verdict.CUT, LONG),
        (reset, {}, Verdict.CUT, LONG),
        (hang, {}, Verdict.MUTE, SHORT),
        (say(b"H", every=0.05, again=1000), {}, Verdict.WRONG, LONG),
        (say(*[bytes([c]) for c in OK], every=0.1), {}, Verdict.MUTE, SHORT),
        (say(OK + b"\r\n", b"x" * 65536, again=10000), {}, Verdict.GOOD, LONG),
        (say(OK + b"\r\n" + b"x" * 65536, again=10000), {"pattern": "y"}, Verdict.WRONG, LONG),
        (say(OK + b"\r\n", b"x", every=0.1, again=1000), {}, Verdict.GOOD, LONG),
        (say(OK + b"\r\n", b"x", every=0.1, again=1000), {"pattern": "x"}, Verdict.MUTE, SHORT),
        (say(OK + b"Content-Length: 5\r\n\r\nhello"), {"pattern": "h.llo"}, Verdict.GOOD, LONG),
        (say(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), {}, Verdict.GOOD, LONG),
        (say(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), {"expect": ((200, 299),)}, Verdict.WRONG, LONG),
    ],
)
def test_a_server_is_seen_for_what_it_is(
    ask: Ask, script: Script, request_: dict[str, object], verdict: Verdict, timeout: float
) -> None:
    with scripted(script) as url:
        began = time.monotonic()
        answer = ask(Request(url + "/", **request_), connect_timeout=timeout, timeout=timeout)
        assert answer.verdict is verdict, answer
        assert time.monotonic() - began < LONG / 2
        assert answer.detail.startswith("http://127.0.0.1:")


def test_ipv6_is_asked_as_well(ask: Ask) -> None:
    with scripted(say(OK + b"\r\n"), socket.AF_INET6) as url:
        assert ask(Request(url), connect_timeout=LONG, timeout=LONG).verdict is Verdict.GOOD
        localhost = url.replace("[::1]", "localhost")
        assert ask(Request(localhost), connect_timeout=LONG, timeout=LONG).verdict is Verdict.GOOD


def test_a_name_of_the_resolver_is_asked_as_well(ask: Ask) -> None:
    with scripted(say(OK + b"\r\n")) as url:
        answer = ask(Request(url.replace("127.0.0.1", "0x7f000001")), connect_timeout=LONG, timeout=LONG)
        assert answer.verdict is Verdict.GOOD, answer


def test_a_unix_socket_is_asked_as_well(ask: Ask, tmp_path: Path) -> None:
    where = str(tmp_path / "web.sock")
    absent = ask(Request(f"unix:{where}"), connect_timeout=LONG, timeout=LONG)
    assert absent.verdict is Verdict.REFUSED
    with scripted(say(OK + b"\r\n"), socket.AF_UNIX, where):
        assert ask(Request(f"unix:{where}"), connect_timeout=LONG, timeout=LONG).verdict is Verdict.GOOD
    assert ask(Request(f"unix:{where}"), connect_timeout=LONG, timeout=LONG).verdict is Verdict.REFUSED


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_an_empty_port_refuses(ask: Ask, host: str) -> None:
    answer = ask(Request(f"http://{host}:{free_port()}/"), connect_timeout=LONG, timeout=LONG)
    assert answer.verdict is Verdict.REFUSED
    assert answer.took < 5


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose accept queue is full: connections are neither made nor refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_full_accept_queue_does_not_accept(ask: Ask, full_port: int) -> None:
    answer = ask(Request(f"http://127.0.0.1:{full_port}/"), connect_timeout=SHORT, timeout=LONG)
    assert answer.verdict is Verdict.UNACCEPTED
    assert answer.took < LONG / 2
    assert "did not accept a connection within 0.3 s" in answer.detail


@pytest.mark.parametrize(
    "request_",
    [
        Request("nonsense"),
        Request("http://127.0.0.1/", pattern="("),
        Request("http://name.invalid./"),
        Request("http://" + "a" * 300 + "/"),
        Request("http://127.0.0.1.1.1.1.1/"),
        Request("https://127.0.0.1/", host="\udcff"),
        Request("unix:/" + "x" * 200),
    ],
    ids=lambda request: request.url[:20],
)
def test_a_check_that_cannot_be_asked_proves_nothing(ask: Ask, request_: Request) -> None:
    assert ask(request_, connect_timeout=LONG, timeout=LONG).verdict is Verdict.OURS


def test_running_out_of_descriptors_proves_nothing() -> None:
    code = """if True:
        import asyncio, resource
        from cluster_glue.recovery.sensors import probe
        from resource_agents import http
        from resource_agents.layouts import Request
        async def main():
            held = []
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            try:
                while True:
                    held.append(open("/dev/null"))
            except OSError:
                pass
            check = Request("http://127.0.0.1:1/")
            print(http.ask(check, connect_timeout=1, timeout=1).verdict.name)
            print((await probe.ask(check, connect_timeout=1, timeout=1)).verdict.name)
            held.clear()
            print((await probe.ask(check, connect_timeout=1, timeout=1)).verdict.name)
        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["OURS", "OURS", "REFUSED"], done.stderr


def test_proxies_of_the_environment_are_not_asked(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with scripted(say(OK + b"\r\n")) as url:
        assert ask(Request(url), connect_timeout=LONG, timeout=LONG).verdict is Verdict.GOOD


# ---- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "2", "-subj", "/CN=web"]
    subprocess.run([*argv, "-keyout", str(path), "-out", str(path) + ".crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(str(path) + ".crt").read_bytes())
    return path


def tls(script: Script, certificate: Path, names: list[str | None]) -> Script:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: names.append(name)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            script(wrapped)

    return serve


def test_https_is_asked_without_verification_unless_wanted(ask: Ask, certificate: Path) -> None:
    names: list[str | None] = []
    body = say(OK + b"Content-Length: 200005\r\n\r\n" + b"x" * 200000 + b"hello")
    with scripted(tls(body, certificate, names)) as url:
        url = url.replace("http:", "https:")
        request = Request(url, host="web.example:8443", pattern="hello$", body_limit=1 << 20)
        answer = ask(request, connect_timeout=LONG, timeout=LONG)
        assert answer.verdict is Verdict.GOOD, answer
        assert names == ["web.example"]
        refused = ask(Request(url, verify=True), connect_timeout=LONG, timeout=LONG)
        assert refused.verdict is Verdict.UNTRUSTED
        assert "certificate" in refused.detail


def test_a_check_that_follows_redirects_knows_a_certificate_that_is_not_valid(certificate: Path) -> None:
    with scripted(tls(say(OK), certificate, [])) as url:
        request = Request(url.replace("http:", "https:"), verify=True, redirects=1)
        answer = asyncio.run(probe.ask(request, connect_timeout=LONG, timeout=LONG))
    assert answer.verdict is Verdict.UNTRUSTED
    assert "its certificate is not valid: " in answer.detail


def test_faults_beneath_tls_are_seen_for_what_they_are(ask: Ask, certificate: Path) -> None:
    for script, verdict, timeout in (
        (_plain, Verdict.WRONG, LONG),
        (lambda connection: connection.close(), Verdict.CUT, LONG),
        (hang, Verdict.MUTE, SHORT),
        (tls(hang, certificate, []), Verdict.MUTE, 1.0),
        (tls(say(), certificate, []), Verdict.CUT, LONG),
    ):
        with scripted(script) as url:
            request = Request(url.replace("http:", "https:"))
            answer = ask(request, connect_timeout=timeout, timeout=timeout)
            assert answer.verdict is verdict, answer


def _plain(connection: socket.socket) -> None:
    """A server that speaks plain HTTP where TLS is expected."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


# ---- other exchanges -------------------------------------------------------------------------------------------------


def test_a_raw_exchange_is_asked_as_well(ask: Ask) -> None:
    def pong(connection: socket.socket) -> None:
        connection.sendall(b"pong" if connection.recv(100) == b"ping" else b"what")

    with scripted(pong) as url:
        address = Address("127.0.0.1", int(url.rpartition(":")[2]))
        check = Exchange(address, b"ping", b"pong")
        assert ask(check, connect_timeout=LONG, timeout=LONG).verdict is Verdict.GOOD
        assert ask(Exchange(address, b"x", b"pong"), connect_timeout=LONG, timeout=LONG).verdict is Verdict.WRONG


def test_a_connection_that_is_accepted_late_is_awaited(ask: Ask) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    stack.enter_context(connection).sendall(OK + b"\r\n")

        later = threading.Timer(0.2, serve)
        later.daemon = True
        later.start()
        stack.callback(listener.shutdown, socket.SHUT_RDWR)
        check = Request(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        assert ask(check, connect_timeout=LONG, timeout=LONG).verdict is Verdict.GOOD


def test_a_request_longer_than_the_buffers_is_sent_to_its_end(ask: Ask) -> None:
    size = 10_000_000

    def count(connection: socket.socket) -> None:
        left = size
        while left:
            left -= len(connection.recv(65536))
        connection.sendall(b"all")

    with scripted(count) as url:
        address = Address("127.0.0.1", int(url.rpartition(":")[2]))
        good = ask(Exchange(address, b"x" * size, b"all"), connect_timeout=LONG, timeout=LONG)
        assert good.verdict is Verdict.GOOD, good


def test_a_server_that_hangs_up_or_sleeps_while_we_send_is_seen_for_what_it_is(ask: Ask) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(1)

    def sleep(connection: socket.socket) -> None:
        asleep.wait(LONG)

    asleep = threading.Event()
    for script, verdict, timeout in ((hang_up, Verdict.CUT, LONG), (sleep, Verdict.MUTE, SHORT)):
        with scripted(script) as url:
            address = Address("127.0.0.1", int(url.rpartition(":")[2]))
            answer = ask(Exchange(address, b"x" * 10_000_000, b"all"), connect_timeout=timeout, timeout=timeout)
            assert answer.verdict is verdict, answer
    asleep.set()


def test_connecting_only_asks_whether_somebody_listens(full_port: int) -> None:
    with scripted(hang) as url:
        port = int(url.rpartition(":")[2])
        assert http.connect_only(Address("127.0.0.1", port), LONG).verdict is Verdict.GOOD
        assert http.connect_only(Address("", port), LONG).verdict is Verdict.GOOD
    assert http.connect_only(Address("", free_port()), LONG).verdict is Verdict.REFUSED
    assert http.connect_only(Address("127.0.0.1", full_port), SHORT).verdict is Verdict.UNACCEPTED


def test_many_checks_end_at_the_first_bad_one() -> None:
    with scripted(say(OK + b"\r\n")) as url:
        good, bad = Request(url), Exchange(Address("127.0.0.1", free_port()))
        first = http.ask_all((good, bad, good), connect_timeout=LONG, timeout=LONG)
        assert first is not None and first.verdict is Verdict.REFUSED
        all_good = http.ask_all((good, good), connect_timeout=LONG, timeout=LONG)
        assert all_good is not None and all_good.verdict is Verdict.GOOD
    assert http.ask_all((), connect_timeout=LONG, timeout=LONG) is None
