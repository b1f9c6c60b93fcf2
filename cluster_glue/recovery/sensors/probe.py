"""Ask servers how they are, many at a time: the asyncio driver of :mod:`resource_agents.http_wire`.

One probe is one socket, one future and one timer; a thousand hanging targets cost nothing until their deadlines. Only
names that need a resolver, and checks that follow redirects, leave the loop for a thread.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from cluster_glue.recovery.model import Answered, Failed
from cluster_glue.recovery.sensors import names
from ocf.faults import Fault, Kind
from resource_agents.http import judge
from resource_agents.http_target import BadRequest, Endpoint
from resource_agents.http_tls import TlsFailed
from resource_agents.http_wire import Answer, Conversation, Verdict, begin
from resource_agents.layouts import Exchange, Request

#: Cause names and kinds of what a check can find. Slow is not among them: slow is not dead.
CAUSES = {
    Verdict.REFUSED: ("not-listening", Kind.RESOURCE),
    Verdict.UNACCEPTED: ("not-accepting", Kind.RESOURCE),
    Verdict.MUTE: ("mute", Kind.RESOURCE),
    Verdict.CUT: ("cut", Kind.RESOURCE),
    Verdict.WRONG: ("wrong-answer", Kind.RESOURCE),
    Verdict.UNTRUSTED: ("certificate-invalid", Kind.CONFIGURATION),
    Verdict.OURS: ("probe-impossible", Kind.OURS),
}


def to_event(answer: Answer, *, port_empty: bool = False) -> Answered | Failed:
    """What the machine is told. ``port_empty``: the kernel confirms that nobody listens; a refusal is then a fact."""
    if answer.verdict is Verdict.GOOD:
        return Answered(answer.took)
    cause, kind = CAUSES[answer.verdict]
    proof = f"status {answer.status}" if answer.status else ""
    return Failed(Fault(cause, kind, answer.detail, proof), hard=port_empty and answer.verdict is Verdict.REFUSED)


async def ask(check: Request | Exchange, *, connect_timeout: float, timeout: float) -> Answer:
    """Carry out one check: ``connect_timeout`` seconds to connect, ``timeout`` in all. Raises nothing of its own."""
    if isinstance(check, Request) and check.redirects > 0:
        from cluster_glue.recovery.sensors import deep  # imports requests: only for those who need it

        return await deep.ask(check, connect_timeout=connect_timeout, timeout=timeout)
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        conversation = begin(check)
    except (BadRequest, TlsFailed) as error:
        return Answer(Verdict.OURS, 0.0, 0, str(error))
    endpoints = conversation.endpoints
    if endpoints is None:
        try:
            async with asyncio.timeout_at(began + timeout):
                endpoints = await names.find(conversation.target)
        except OSError as error:  # TimeoutError is one
            said = error.strerror or "the resolver did not answer in time"
            return Answer(Verdict.OURS, loop.time() - began, 0, f"{conversation.where} has no address: {said}")
    probe = _Probe(loop, conversation, endpoints, began, connect_timeout, timeout)
    try:
        await probe.run()
    finally:
        probe.close()
    return conversation.answer(loop.time() - began)


class _Probe:
    """One check on its way through the loop; ``done`` ends it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        conversation: Conversation,
        endpoints: list[Endpoint],
        began: float,
        connect_timeout: float,
        timeout: float,
    ) -> None:
        self._loop = loop
        self._conversation = conversation
        self._endpoints = endpoints
        self._patience = min(connect_timeout, timeout)
        self._end = began + timeout
        self._connect_end = began + self._patience
        self._done: asyncio.Future[None] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._sock: socket.socket | None = None
        self._reading = self._writing = self._connected = False
        self._data = b""
        self._problem: OSError | None = None  # of the first endpoint

    async def run(self) -> None:
        """Until there is a verdict, or time is up."""
        self._connect()
        if not self._done.done():
            await self._done

    def close(self) -> None:
        """Leave nothing in the loop, whatever happened."""
        if self._timer is not None:
            self._timer.cancel()
        self._drop()

    def _drop(self) -> None:
        if self._sock is None:
            return
        if self._reading:
            self._loop.remove_reader(self._sock)
        if self._writing:
            self._loop.remove_writer(self._sock)
        self._reading = self._writing = False
        self._sock.close()
        self._sock = None

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    # -- connect -----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Try endpoint after endpoint; on loopback a connection is there, or refused, at once."""
        while self._endpoints:
            family, address = self._endpoints[0]
            self._endpoints = self._endpoints[1:]
            try:
                self._sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                code = self._sock.connect_ex(address)
            except OSError as error:
                self._failed(error)
                continue
            if code not in (0, errno.EINPROGRESS):
                self._failed(_os_error(code))
            elif self._look():
                return
        judge(self._conversation, self._problem or TimeoutError(), connected=False, patience=self._patience)
        self._finish()

    def _look(self) -> bool:
        """Whether the connection is made or still may be."""
        assert self._sock is not None
        try:
            self._sock.getpeername()
        except OSError:
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._failed(_os_error(code))
                return False
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._sock, self._writable)
                self._arm(self._connect_end, self._not_accepted)
            return True
        self._connected = True
        self._arm(self._end, self._finish)
        self._flush()
        return True

    def _failed(self, error: OSError) -> None:
        self._problem = self._problem or error
        self._drop()

    def _not_accepted(self) -> None:
        self._failed(TimeoutError())
        self._endpoints = []
        self._connect()

    def _arm(self, when: float, then: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, then)  # type: ignore[arg-type]

    # -- converse ----------------------------------------------------------------------------------------------------

    def _writable(self) -> None:
        if self._connected:
            self._flush()
        elif not self._look():
            self._connect()

    def _flush(self) -> None:
        """Send what is to be sent, then wait for what comes."""
        assert self._sock is not None
        self._data += self._conversation.to_send()
        try:
            while self._data:
                self._data = self._data[self._sock.send(self._data) :]
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._sock, self._writable)
            return
        except OSError as error:
            judge(self._conversation, error, connected=True)
        if self._conversation.verdict is not None:
            self._finish()
            return
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._sock)
        if not self._reading:
            self._reading = True
            self._loop.add_reader(self._sock, self._readable)

    def _readable(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            judge(self._conversation, error, connected=True)
        else:
            self._conversation.receive(data)
        if self._conversation.verdict is not None or self._done.done():
            self._finish()
        else:
            self._flush()


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
