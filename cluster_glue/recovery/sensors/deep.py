"""Checks that follow redirects, through ``requests``, in a thread of their own.

``requests`` is imported at the first such check only. It knows no deadline for a whole answer, so the loop keeps it: at
the deadline the connection is shut down under the thread, which ends it. No proxies and no credentials are taken from
the environment.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from resource_agents.http_wire import Answer, Verdict
from resource_agents.layouts import Request

_thread = threading.local()


async def ask(request: Request, *, connect_timeout: float, timeout: float) -> Answer:
    """Carry out one check, redirects included. Raises nothing of its own."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    line = _Line()
    future: asyncio.Future[Answer] = loop.create_future()

    def finish(answer: Answer) -> None:
        if not future.done():
            future.set_result(answer)

    def work() -> None:
        answer = _ask(request, line, connect_timeout, timeout)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, answer)

    threading.Thread(target=work, name="deep-check", daemon=True).start()
    try:
        async with asyncio.timeout_at(began + timeout):
            return await future
    except TimeoutError:
        where = urlsplit(request.url).netloc.rpartition("@")[2]
        return Answer(Verdict.MUTE, loop.time() - began, 0, f"{where} gave no whole answer within {timeout:.3g} s")
    finally:
        line.cut()


class _Line:
    """The connections of one check, to be cut from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._ended = False

    def add(self, sock: socket.socket) -> None:
        with self._lock:
            self._sockets.append(sock)
            ended = self._ended
        if ended:
            self.cut()

    def cut(self) -> None:
        with self._lock:
            self._ended = True
            sockets, self._sockets = self._sockets, []
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _Http(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        _thread.line.add(sock)
        return sock


class _Https(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        _thread.line.add(sock)
        return sock


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


def _ask(request: Request, line: _Line, connect_timeout: float, timeout: float) -> Answer:
    began = time.monotonic()
    _thread.line = line
    try:
        verdict, status, detail = _follow(request, (connect_timeout, timeout))
    except requests.RequestException as error:
        verdict, status, detail = _problem(request.url, error)
    except (OSError, ValueError, re.error, urllib3.exceptions.HTTPError) as error:
        verdict, status, detail = Verdict.OURS, 0, f"{request.url} could not be asked: {error}"
    return Answer(verdict, time.monotonic() - began, status, detail)


def _follow(request: Request, timeouts: tuple[float, float]) -> tuple[Verdict, int, str]:
    url, first = request.url, urlsplit(request.url).netloc
    with requests.Session() as session:
        session.trust_env = False
        session.verify = request.verify
        session.headers.update({"User-Agent": "koboshi", "Accept-Encoding": "identity", "Connection": "close"})
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter())
        for _ in range(request.redirects + 1):
            same = urlsplit(url).netloc == first
            response = session.request(
                request.method,
                url,
                headers={"Host": request.host} if request.host and same else None,
                auth=(request.user, request.password) if request.user and same else None,
                timeout=timeouts,
                allow_redirects=False,
                stream=True,
            )
            with response:
                target = session.get_redirect_target(response)
                if target is None:
                    return _judge(request, url, response)
            url = urljoin(url, target)
            session.close()  # the next request gets a new connection; this one is about to be closed by the server
    return Verdict.WRONG, response.status_code, f"{request.url} redirected more than {request.redirects} times"


def _judge(request: Request, url: str, response: requests.Response) -> tuple[Verdict, int, str]:
    status = response.status_code
    if not any(low <= status <= high for low, high in request.expect):
        return Verdict.WRONG, status, f"{url} answered with status {status}"
    if request.pattern:
        body = bytearray()
        for chunk in response.iter_content(4096):
            body += chunk
            if len(body) >= request.body_limit:
                break
        if not re.search(request.pattern, bytes(body[: request.body_limit]).decode(errors="replace")):
            words = f"{url} answered with status {status}, but its body does not match {request.pattern}"
            return Verdict.WRONG, status, words
    return Verdict.GOOD, status, f"{url} answered with status {status}"


def _problem(url: str, error: requests.RequestException) -> tuple[Verdict, int, str]:
    """What an exception of requests proves; the socket's own error is deep inside it."""
    causes: list[BaseException] = []
    cause: object = error
    while isinstance(cause, BaseException) and cause not in causes:
        causes.append(cause)
        inner = [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
        cause = next((one for one in inner if isinstance(one, BaseException) and one not in causes), None)
    if any(isinstance(one, ConnectionRefusedError) for one in causes):
        return Verdict.REFUSED, 0, f"{url} is not listened on"
    if any(isinstance(one, socket.gaierror) for one in causes):
        return Verdict.OURS, 0, f"{url} has no address"
    if isinstance(error, requests.ConnectTimeout):
        return Verdict.UNACCEPTED, 0, f"{url} did not accept a connection in time"
    if isinstance(error, requests.Timeout):
        return Verdict.MUTE, 0, f"{url} gave no whole answer in time"
    for one in causes:
        if isinstance(one, ssl.SSLCertVerificationError):
            return Verdict.UNTRUSTED, 0, f"{url} cannot be trusted: its certificate is not valid: {one.verify_message}"
    if isinstance(error, requests.exceptions.SSLError):
        return Verdict.WRONG, 0, f"{url} speaks no TLS that we understand"
    if isinstance(
        error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema)
    ):
        return Verdict.OURS, 0, f"{url} is no URL that can be asked"
    return Verdict.CUT, 0, f"{url} broke off the connection"
