"""What bytes prove: the conversation without I/O."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resource_agents.http_target import BadRequest
from resource_agents.http_wire import HEAD_LIMIT, Conversation, Verdict, begin
from resource_agents.layouts import Address, Exchange, Request

ROOT = str(Path(__file__).parents[2])

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def talk(request: Request | Exchange, *parts: bytes, close: bool = True) -> Conversation:
    conversation = begin(request)
    conversation.to_send()
    for part in (*parts, b"") if close else parts:
        if conversation.verdict is None:
            conversation.receive(part)
    return conversation


def ask(answer: bytes, **request: object) -> Conversation:
    return talk(Request("http://127.0.0.1/", **request), answer)


# ---- the request -----------------------------------------------------------------------------------------------------


def sent(url: str, **request: object) -> bytes:
    return begin(Request(url, **request)).to_send()


def test_the_request_asks_for_one_plain_answer() -> None:
    lines = sent("http://127.0.0.1:8080/server-status?auto#top").split(b"\r\n")
    assert lines[0] == b"GET /server-status?auto HTTP/1.1"
    assert {b"Host: 127.0.0.1:8080", b"Connection: close", b"Accept-Encoding: identity"} <= set(lines)


def test_the_host_header_can_be_given() -> None:
    assert b"\r\nHost: www.example.org\r\n" in sent("http://[::1]:80/", host="www.example.org")


def test_credentials_are_sent_only_when_given() -> None:
    assert b"Authorization" not in sent("http://127.0.0.1/")
    assert b"Authorization: Basic dTpw\r\n" in sent("http://127.0.0.1/", user="u", password="p")
    assert b"Authorization: Basic dTpw\r\n" in sent("http://u:p@127.0.0.1/")


def test_credentials_of_a_url_are_never_told() -> None:
    assert "secret" not in ask(b"", method="GET").where
    assert "secret" not in begin(Request("http://u:secret@127.0.0.1/x")).where


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://127.0.0.1", ("127.0.0.1", 80)),
        ("https://127.0.0.1/", ("127.0.0.1", 443)),
        ("http://127.0.0.1:81?x", ("127.0.0.1", 81)),
        ("http://[::1]:82/", ("::1", 82, 0, 0)),
        ("http://localhost:83/", ("127.0.0.1", 83)),
        ("unix:/run/x.sock", "/run/x.sock"),
        ("unix:/run/x.sock:/health", "/run/x.sock"),
    ],
)
def test_the_endpoint_is_read_from_the_url(url: str, endpoint: object) -> None:
    endpoints = begin(Request(url)).endpoints
    assert endpoints is not None
    assert endpoints[0][1] == endpoint


def test_a_unix_socket_may_have_a_resource() -> None:
    assert sent("unix:/run/x.sock:/health").startswith(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")


def test_a_foreign_name_needs_a_resolver() -> None:
    assert begin(Request("http://www.example.org/")).endpoints is None


@pytest.mark.parametrize(
    "request_",
    [
        Request(""),
        Request("ftp://127.0.0.1/"),
        Request("127.0.0.1"),
        Request("http://"),
        Request("http:///x"),
        Request("http://127.0.0.1:0/"),
        Request("http://127.0.0.1:65536/"),
        Request("http://127.0.0.1:x/"),
        Request("http://127.0.0.1/ x"),
        Request("http://127.0.0.1/\r\nX: y"),
        Request("http://127.0.0.1/", host="a\r\nX: y"),
        Request("http://127.0.0.1/", method="GET /x"),
        Request("http://127.0.0.1/", pattern="("),
        Request("http://127.0.0.1/", method="HEAD", pattern="x"),
    ],
    ids=repr,
)
def test_a_check_that_cannot_be_asked_is_refused_before_anything_is_sent(request_: Request) -> None:
    with pytest.raises(BadRequest):
        begin(request_)


# ---- the answer ------------------------------------------------------------------------------------------------------


def test_a_good_head_is_enough_when_no_pattern_is_asked_for() -> None:
    conversation = talk(Request("http://127.0.0.1/"), b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", close=False)
    assert (conversation.verdict, conversation.status) == (Verdict.GOOD, 200)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"", Verdict.CUT),
        (b"HTTP/1.1 200", Verdict.CUT),
        (b"HTTP/1.1 200 OK\r\n", Verdict.CUT),
        (b"HTTP/1.1 200 OK\r\n\r\n", Verdict.GOOD),
        (b"HTTP/1.0 200 OK\n\n", Verdict.GOOD),
        (b"HTTP/1.1 200\r\n\r\n", Verdict.GOOD),
        (b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", Verdict.GOOD),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Verdict.GOOD),
        (b"HTTP/1.1 100 Continue\r\n\r\ngarbage", Verdict.WRONG),
        (b"HTTP/1.1 101 Switching\r\n\r\n", Verdict.WRONG),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Verdict.WRONG),
        (b"HTTP/1.1 503 Busy\r\n\r\n", Verdict.WRONG),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Verdict.WRONG),
        (b"HTTP/1.1 OK\r\n\r\n", Verdict.WRONG),
        (b"SSH-2.0-OpenSSH\r\n", Verdict.WRONG),
        (b"\0\0\0\0\0\0", Verdict.WRONG),
        (b"\x15\x03\x01\x00\x02\x02\x46", Verdict.WRONG),
        (b"<html>", Verdict.WRONG),
    ],
)
def test_an_answer_is_judged_by_its_head(answer: bytes, verdict: Verdict) -> None:
    assert ask(answer).verdict is verdict


def test_the_expected_status_can_be_given() -> None:
    assert ask(b"HTTP/1.1 401 No\r\n\r\n", expect=((401, 401),)).verdict is Verdict.GOOD
    assert ask(b"HTTP/1.1 301 Moved\r\n\r\n", expect=((200, 299),)).verdict is Verdict.WRONG


def test_an_endless_head_is_wrong() -> None:
    conversation = begin(Request("http://127.0.0.1/"))
    conversation.receive(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(HEAD_LIMIT // 1000 + 1):
        conversation.receive(b"x" * 1000)
    assert conversation.verdict is Verdict.WRONG


def test_endless_interim_answers_are_wrong() -> None:
    conversation = begin(Request("http://127.0.0.1/"))
    for _ in range(HEAD_LIMIT):
        if conversation.verdict is None:
            conversation.receive(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert conversation.verdict is Verdict.WRONG


def test_what_is_told_of_garbage_is_one_short_printable_line() -> None:
    detail = ask(b"\x1b[2J\r\nkoboshi: all is well\n" * 100).detail
    assert detail.isprintable()
    assert len(detail) < 200


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (GOOD, Verdict.GOOD),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld", Verdict.WRONG),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", Verdict.CUT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", Verdict.WRONG),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Verdict.WRONG),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello", Verdict.WRONG),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello", Verdict.WRONG),
        (b"HTTP/1.1 204 None\r\n\r\nhello", Verdict.WRONG),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", Verdict.GOOD),
        (b"HTTP/1.1 200 OK\r\n\r\n", Verdict.WRONG),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", Verdict.GOOD),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n5\r\nhello\r\n0\r\n", Verdict.GOOD),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Verdict.CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhellooo\r\n0\r\n\r\n", Verdict.WRONG),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello", Verdict.WRONG),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000, Verdict.WRONG),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 100000])
def test_a_body_is_read_to_its_end_before_it_is_judged(answer: bytes, verdict: Verdict, step: int) -> None:
    parts = [answer[at : at + step] for at in range(0, len(answer), step)]
    assert talk(Request("http://127.0.0.1/", pattern="^hello$"), *parts).verdict is verdict


def test_an_endless_body_is_judged_at_its_limit() -> None:
    for framing in (b"", b"Content-Length: 99999999999\r\n"):
        head = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n"
        request = Request("http://127.0.0.1/", pattern="x$", body_limit=1000)
        assert talk(request, head, b"x" * 999, close=False).verdict is None
        assert talk(request, head, b"x" * 999, b"x", close=False).verdict is Verdict.GOOD
        assert talk(request, head, b"x" * 1000 + b"y", close=False).verdict is Verdict.GOOD


def test_time_running_out_says_how_far_the_answer_came() -> None:
    request = Request("http://127.0.0.1/", pattern="x")
    assert "sent nothing" in talk(request, close=False).answer(2.0).detail
    assert "not even a whole head" in talk(request, b"HTTP/1.1 ", close=False).answer(2.0).detail
    late = talk(request, b"HTTP/1.1 200 OK\r\n\r\nab", close=False).answer(2.0)
    assert (late.verdict, late.status) == (Verdict.MUTE, 200)
    assert "only 2 bytes of its body within 2 s" in late.detail


@given(st.lists(st.integers(1, len(GOOD) - 1)), st.sampled_from(["hello", "nothing"]))
def test_where_the_network_cuts_an_answer_does_not_matter(cuts: list[int], pattern: str) -> None:
    edges = [0, *sorted(set(cuts)), len(GOOD)]
    parts = [GOOD[a:b] for a, b in itertools.pairwise(edges)]
    verdict = Verdict.GOOD if pattern == "hello" else Verdict.WRONG
    assert talk(Request("http://127.0.0.1/", pattern=pattern), *parts).verdict is verdict


@given(st.lists(st.binary(max_size=200), max_size=20), st.sampled_from(["", "x"]))
def test_no_bytes_break_the_reader(parts: list[bytes], pattern: str) -> None:
    for head in (b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 200 OK\r\n"):
        conversation = talk(Request("http://127.0.0.1/", pattern=pattern), head or b"H", *filter(None, parts))
        assert conversation.verdict in (Verdict.GOOD, Verdict.WRONG, Verdict.CUT)


# ---- checks that are not HTTP ----------------------------------------------------------------------------------------

PING = Exchange(Address("127.0.0.1", 8009), b"\x12\x34\x00\x01\x0a", b"AB\x00\x01\x09")


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([b"AB\x00\x01\x09"], Verdict.GOOD),
        ([b"A", b"B\x00", b"\x01\x09more"], Verdict.GOOD),
        ([b"AB\x00"], Verdict.CUT),
        ([], Verdict.CUT),
        ([b"HTTP/1.1 400"], Verdict.WRONG),
    ],
)
def test_a_raw_exchange_compares_the_first_bytes(parts: list[bytes], verdict: Verdict) -> None:
    assert talk(PING, *parts).verdict is verdict


def test_a_connection_is_enough_when_nothing_is_expected() -> None:
    assert talk(Exchange("/run/x.sock"), close=False).verdict is Verdict.GOOD


# ---- the house -------------------------------------------------------------------------------------------------------


def test_a_plain_check_adds_neither_ssl_nor_the_heavy_http_modules() -> None:
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r}); from resource_agents.server import Request;"
        "before = set(sys.modules); from resource_agents.http import ask;"
        "ask(Request('http://127.0.0.1:1/'), connect_timeout=1, timeout=1); added = set(sys.modules) - before;"
        "print(sorted({'ssl', 'asyncio', 'http.client', 'urllib.request', 'email'} & added))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
