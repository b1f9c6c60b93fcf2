"""Health checks without I/O: which bytes to send, and what the bytes that come back prove.

A driver (:mod:`resource_agents.http`, or the asyncio one of the sensors) connects to one of ``endpoints``, sends what
``to_send`` gives, hands over what arrives, and stops as soon as there is a ``verdict``. HTTP/1.1 (RFC 9112) is read
just as far as the verdict needs: a good head is enough when no pattern is asked for, and no more than ``body_limit``
bytes of body are searched. Nothing is taken from the environment: no proxies, no credentials.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

from resource_agents.http_body import BadAnswer, Body, printable
from resource_agents.http_target import BadRequest, Endpoint, Target, locate, nearby, request_bytes
from resource_agents.http_tls import Tls, TlsFailed, Untrusted
from resource_agents.layouts import Exchange, Request

#: Bytes of status line and headers, interim (1xx) answers included, after which it is no answer any more.
HEAD_LIMIT = 65536

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})(?:[ \t]|\r?$)", re.MULTILINE)


class Verdict(Enum):
    """What a check proved."""

    GOOD = "good"
    REFUSED = "refused"  # nobody listens there
    UNACCEPTED = "unaccepted"  # the connection was not made in time
    MUTE = "mute"  # connected, but no whole answer in time
    CUT = "cut"  # closed or reset before the answer was whole
    WRONG = "wrong"  # an answer, but not the one expected, or not HTTP
    UNTRUSTED = "untrusted"  # it works, but its certificate is not valid, and the check asks for one that is
    OURS = "ours"  # we could not ask: nothing is proved


#: What shows that the server works.
WORKS = frozenset({Verdict.GOOD, Verdict.UNTRUSTED})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check proved, after ``took`` seconds. ``status`` 0: none was seen. ``detail`` is one plain sentence."""

    verdict: Verdict
    took: float
    status: int = 0
    detail: str = ""


class Conversation(ABC):
    """One check under way. ``verdict`` is None until there is one."""

    where: str
    target: Target

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        self.status = 0
        self.detail = ""

    @property
    def endpoints(self) -> list[Endpoint] | None:
        """Where to connect, to be tried in this order; None when a resolver must be asked for ``target.host``."""
        return nearby(self.target)

    @abstractmethod
    def to_send(self) -> bytes:
        """The bytes to send now; empty when nothing is to be sent before something arrives."""

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """Take what arrived; empty when the other side closed."""

    @abstractmethod
    def silence(self) -> str:
        """What did arrive by now, in words, for a check that ran out of time."""

    def conclude(self, verdict: Verdict, detail: str) -> None:
        """Set the verdict, unless there is one."""
        if self.verdict is None:
            self.verdict, self.detail = verdict, f"{self.where} {detail}"

    def answer(self, took: float) -> Answer:
        """The result; a conversation without a verdict ran out of time."""
        if self.verdict is None:
            self.conclude(Verdict.MUTE, f"{self.silence()} within {took:.3g} s")
        return Answer(self.verdict or Verdict.OURS, took, self.status, self.detail)


def begin(check: Request | Exchange) -> Conversation:
    """A new conversation. Raises :class:`BadRequest` when the check itself cannot be asked."""
    return HttpConversation(check) if isinstance(check, Request) else RawConversation(check)


class RawConversation(Conversation):
    """Connect, send, and compare the first bytes."""

    def __init__(self, check: Exchange) -> None:
        super().__init__()
        where = check.where
        self.target = Target("", 0, where) if isinstance(where, str) else Target(where.host, where.port)
        self.where = where if isinstance(where, str) else str(where)
        self._outgoing = check.send
        self._expect = check.expect
        self._seen = b""

    def to_send(self) -> bytes:
        data, self._outgoing = self._outgoing, b""
        if not self._expect and not data:
            self.conclude(Verdict.GOOD, "accepted a connection")
        return data

    def receive(self, data: bytes) -> None:
        if not data:
            self.conclude(Verdict.CUT, f"closed the connection after {len(self._seen)} bytes")
            return
        self._seen += data
        if not self._expect.startswith(self._seen[: len(self._expect)]):
            self.conclude(Verdict.WRONG, f"answered {printable(self._seen)}")
        elif len(self._seen) >= len(self._expect):
            self.conclude(Verdict.GOOD, "answered as expected")

    def silence(self) -> str:
        return f"sent {len(self._seen)} of {len(self._expect)} bytes"


class HttpConversation(Conversation):
    """One HTTP(S) request and its answer."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.target = locate(request.url)
        self.where = self.target.where
        try:
            self._pattern = re.compile(request.pattern) if request.pattern else None
        except re.error as error:
            raise BadRequest(f"pattern {request.pattern!r} is no regular expression: {error}") from None
        if self._pattern and request.method == "HEAD":
            raise BadRequest("the answer to HEAD has no body that could match a pattern")
        self._request = request
        self._outgoing = request_bytes(request, self.target)
        name = request.host.partition(":")[0] if request.host else self.target.host
        self._tls = Tls(request.verify, name) if self.target.tls else None
        self._head = bytearray()
        self._interim = 0  # bytes of interim answers
        self._body: Body | None = None

    def to_send(self) -> bytes:
        data, self._outgoing = self._outgoing, b""
        if self._tls is None:
            return data
        try:
            return self._tls.send(data)
        except TlsFailed as error:
            self._no_tls(error)
            return b""

    def receive(self, data: bytes) -> None:
        try:
            if self._tls is None:
                self._read(data)
                return
            plain, closed = self._tls.receive(data)
            if plain:
                self._read(plain)
            if closed and self.verdict is None:
                self._read(b"")
        except TlsFailed as error:
            self._no_tls(error)
        except BadAnswer as error:
            self.conclude(Verdict.WRONG, str(error))

    def _no_tls(self, error: TlsFailed) -> None:
        if isinstance(error, Untrusted):
            self.conclude(Verdict.UNTRUSTED, f"cannot be trusted: {error}")
        else:
            self.conclude(Verdict.WRONG, f"speaks no TLS that we understand: {error}")

    def silence(self) -> str:
        if self._tls is not None and not self._tls.ready:
            return "accepted the connection but did not finish the TLS handshake"
        if self._body is not None:
            return f"answered with status {self.status} but sent only {self._body.size} bytes of its body"
        if self._head:
            return f"sent only {len(self._head)} bytes, not even a whole head,"
        return "accepted the connection but sent nothing"

    def _read(self, data: bytes) -> None:
        if self._body is None:
            self._read_head(data)
        else:
            self._body.feed(data)
        if self._body is not None and self.verdict is None and self._body.enough:
            self._judge_body(self._body)
        if not data and self.verdict is None:
            seen = "without an answer" if not self._head else "before the answer was whole"
            self.conclude(Verdict.CUT, f"closed the connection {seen}")

    def _read_head(self, data: bytes) -> None:
        scanned = max(0, len(self._head) - 3)
        self._head += data
        if self._head and not b"HTTP/".startswith(self._head[:5]):
            raise BadAnswer(f"does not answer in HTTP but with {printable(self._head)}")
        while self.verdict is None and (end := _HEAD_END.search(self._head, scanned)):
            head, rest = bytes(self._head[: end.start()]), bytes(self._head[end.end() :])
            status = _status_of(head)
            if status >= 200 or status == 101:
                self._judge_head(status, head, rest)
                return
            self._interim += end.end()
            del self._head[: end.end()]
            scanned = 0
            if self._head and not b"HTTP/".startswith(self._head[:5]):
                raise BadAnswer(f"sent {printable(self._head)} after an interim answer")
        if self.verdict is None and self._interim + len(self._head) > HEAD_LIMIT:
            raise BadAnswer(f"sent a head of more than {HEAD_LIMIT} bytes")

    def _judge_head(self, status: int, head: bytes, rest: bytes) -> None:
        self.status = status
        request = self._request
        if not any(low <= status <= high for low, high in request.expect):
            raise BadAnswer(f"answered with status {status}")
        if self._pattern is None:
            self.conclude(Verdict.GOOD, f"answered with status {status}")
            return
        self._body = Body(status, head, request.body_limit)
        self._body.feed(rest, first=True)

    def _judge_body(self, body: Body) -> None:
        text = bytes(body.content[: self._request.body_limit]).decode(errors="replace")
        if self._pattern is not None and not self._pattern.search(text):
            raise BadAnswer(f"answered with status {self.status}, but its body does not match {self._pattern.pattern}")
        self.conclude(Verdict.GOOD, f"answered with status {self.status}")


def _status_of(head: bytes) -> int:
    line = _STATUS_LINE.match(head)
    if line is None:
        raise BadAnswer(f"does not answer in HTTP but with {printable(head)}")
    return int(line[1])
