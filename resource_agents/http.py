"""Ask a server how it is, and wait for the answer: the synchronous driver of :mod:`resource_agents.http_wire`.

Used where there is no loop: by OCF actions and while a start waits for the server. Every wait ends at one deadline on
the monotonic clock, however slowly the other side dribbles. Redirects are not followed: a redirect is good when its
status is among the expected ones.
"""

from __future__ import annotations

import errno
import socket
import time

from resource_agents.http_target import BadRequest, Endpoint, resolve
from resource_agents.http_tls import TlsFailed
from resource_agents.http_wire import WORKS, Answer, Conversation, Verdict, begin
from resource_agents.layouts import Address, Exchange, Request

__all__ = ["WORKS", "Answer", "Verdict", "ask", "ask_all", "connect_only", "judge"]

_REFUSED = frozenset({errno.ECONNREFUSED, errno.ENOENT})
_LATE = frozenset({errno.ETIMEDOUT, errno.EAGAIN})
_RESET = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN})


def ask(check: Request | Exchange, *, connect_timeout: float, timeout: float) -> Answer:
    """Carry out one check: ``connect_timeout`` seconds to connect, ``timeout`` in all. Raises nothing."""
    began = time.monotonic()
    try:
        conversation = begin(check)
    except (BadRequest, TlsFailed) as error:
        return Answer(Verdict.OURS, 0.0, 0, str(error))
    end = began + timeout
    try:
        endpoints = conversation.endpoints or resolve(conversation.target)
    except OSError as error:
        return Answer(Verdict.OURS, time.monotonic() - began, 0, f"{conversation.where} has no address: {error}")
    sock = _connect(conversation, endpoints, min(began + connect_timeout, end), connect_timeout)
    if sock is not None:
        with sock:
            _converse(conversation, sock, end)
    return conversation.answer(time.monotonic() - began)


def ask_all(checks: tuple[Request | Exchange, ...], *, connect_timeout: float, timeout: float) -> Answer | None:
    """The first answer that is not good, else the last; all within ``timeout`` seconds. None for no checks."""
    answer, end = None, time.monotonic() + timeout
    for check in checks:
        answer = ask(check, connect_timeout=connect_timeout, timeout=max(0.0, end - time.monotonic()))
        if answer.verdict is not Verdict.GOOD:
            break
    return answer


def connect_only(address: Address, timeout: float) -> Answer:
    """Whether a connection is accepted there; an empty host means this machine."""
    return ask(Exchange(address), connect_timeout=timeout, timeout=timeout)


def judge(conversation: Conversation, error: OSError, connected: bool, patience: float = 0.0) -> None:
    """What an error of the socket proves."""
    code = error.errno
    if isinstance(error, TimeoutError) or code in _LATE:
        if connected:
            return  # the conversation itself knows best what is missing
        conversation.conclude(Verdict.UNACCEPTED, f"did not accept a connection within {patience:.3g} s")
    elif code in _RESET:
        conversation.conclude(Verdict.CUT, "reset the connection")
    elif code in _REFUSED and not connected:
        conversation.conclude(Verdict.REFUSED, "is not listened on")
    else:
        conversation.conclude(Verdict.OURS, f"could not be asked: {error.strerror or error}")


def _connect(
    conversation: Conversation, endpoints: list[Endpoint], end: float, patience: float
) -> socket.socket | None:
    """The first connection that is made; the verdict is the first endpoint's when none is."""
    problem: OSError = TimeoutError()
    for number, (family, address) in enumerate(endpoints):
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.settimeout(max(0.001, end - time.monotonic()))
            sock.connect(address)
            return sock
        except OSError as error:
            if sock is not None:
                sock.close()
            problem = error if number == 0 else problem
    judge(conversation, problem, connected=False, patience=patience)
    return None


def _converse(conversation: Conversation, sock: socket.socket, end: float) -> None:
    try:
        while True:
            data = conversation.to_send()
            while data:
                sock.settimeout(max(0.0001, end - time.monotonic()))
                data = data[sock.send(data) :]
            if conversation.verdict is not None:
                return
            left = end - time.monotonic()
            if left <= 0:
                return
            sock.settimeout(left)
            conversation.receive(sock.recv(65536))
            if conversation.verdict is not None:
                return
    except OSError as error:
        judge(conversation, error, connected=True)
