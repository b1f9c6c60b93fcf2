"""Asking one server how it is, at its interval, at once when it is suspected, and soon again while in doubt."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from cluster_glue.recovery.model import Answered, Event, Failed, Tell
from cluster_glue.recovery.sensors.doubt import Asked, Doubt
from cluster_glue.recovery.sensors.listening import gone_away, has
from cluster_glue.recovery.sensors.probe import ask, to_event
from ocf.faults import Kind
from resource_agents.families import layout_of, members
from resource_agents.http import Answer, Verdict
from resource_agents.http_target import BadRequest, locate
from resource_agents.layouts import Address, Exchange, Request
from resource_agents.server import Server

if TYPE_CHECKING:
    from cluster_glue.recovery.watch import Watch


#: Gives an event of a probe the name that a closer look at the server proves, before it counts.
Examine = Callable[["Watch", Answered | Failed], Awaitable[Answered | Failed]]


class Probing:
    """The probes of one resource. ``failing``: the latest one that counted was not good."""

    def __init__(
        self,
        watch: Watch,
        doubt: Doubt,
        nobody_listens: Callable[[Address], bool | None],
        post: Callable[[str, Event], None],
        tell: Callable[[str, Tell], None],
        examine: Examine,
    ) -> None:
        self.failing = False
        self.asked_at: float | None = None  # when the probe that has no answer yet was asked
        self._examine = examine
        self._watch, self._doubt, self._nobody_listens = watch, doubt, nobody_listens
        self._post, self._tell = post, tell
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._void = False
        self._bad_since: float | None = None
        self._away_since: float | None = None
        self._host = ""  # where the latest check asked
        self._ours: set[str] = set()  # addresses that this machine had when the server answered there

    def begin(self) -> None:
        """Begin to ask, as soon as there is anything to ask: a configuration that cannot be read now may be mended."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def end(self) -> None:
        """Ask no more; an answer that is on its way is of no interest."""
        if self._task is not None:
            self._task.cancel()

    def suspect(self) -> None:
        """Ask now."""
        self._wake.set()

    def _checks(self) -> tuple[Request | Exchange, ...]:
        layout = layout_of(self._watch.server)
        checks: tuple[Request | Exchange, ...] = layout.exchanges
        if layout.request is not None:
            checks = (layout.request, *checks)
        elif not checks and layout.addresses:
            checks = (Exchange(layout.addresses[0]),)
        return checks

    async def _run(self) -> None:
        while True:
            try:
                await self._ask_on()
            except Exception as error:  # whatever it was: a server that nobody asks any more would be the worst
                words = f"a probe could not be made: {type(error).__name__} {error}".rstrip()
                self._tell(self._watch.name, Tell("sensor-lost", words))
                await asyncio.sleep(self._watch.config.policy.probe_interval)

    async def _ask_on(self) -> None:
        loop = asyncio.get_running_loop()
        wait = self._watch.config.policy.probe_interval
        while True:
            due = loop.time() + wait
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
                due = loop.time()
            except TimeoutError:
                pass
            self._wake.clear()
            policy = self._watch.config.policy
            if not self._checks():
                self.failing, wait = False, policy.probe_interval
                continue
            began = self.asked_at = loop.time()
            event = to_event(answer := await self._ask(), port_empty=False)
            self.asked_at = None
            if answer.verdict is Verdict.REFUSED:
                event = to_event(answer, port_empty=self._port_empty())
            away = isinstance(event, Failed) and policy.on_exhausted == "failover" and self._gone()
            self._away_since = (self._away_since or loop.time()) if away else None
            if away:
                event = Failed(gone_away(self._host))  # where somebody else can take it, no restart is tried
            event = self._doubt.judge(event, Asked(due, began, loop.time(), policy.probe_timeout))
            self._say_void(event)
            self.failing = isinstance(event, Failed) and event.fault.kind is not Kind.OURS
            if not self._left_to_others(loop.time()):
                self._post(self._watch.name, await self._examine(self._watch, await self._examined(event)))
            wait = policy.retry_interval if isinstance(event, Failed) else policy.probe_interval

    async def _ask(self) -> Answer:
        policy, clock = self._watch.config.policy, asyncio.get_running_loop().time
        answer, end = Answer(Verdict.GOOD, 0.0, 0, ""), clock() + policy.probe_timeout
        for check in self._checks():
            self._host = _host_of(check)
            left = max(0.0, end - clock())
            answer = await ask(check, connect_timeout=min(policy.connect_timeout, left), timeout=left)
            if answer.verdict is not Verdict.GOOD:
                break
            if self._host not in self._ours and has(self._host):
                self._ours.add(self._host)
        return answer

    def _gone(self) -> bool:
        """Whether the address asked last was this machine's, and is not any more.

        One that never was, a balancer's or another network namespace's, says nothing about this machine.
        """
        return self._host in self._ours and not has(self._host)

    def _left_to_others(self, now: float) -> bool:
        """Whether somebody else still has time to mend what the latest probe found.

        Its own watchdog a server that fails, and who manages the machine's addresses one that is missing.
        """
        if not self.failing:
            self._bad_since = None
            return False
        self._bad_since = self._bad_since or now
        if self._away_since is not None:
            return now - self._away_since < (self._watch.config.thresholds.address_lost_after or math.inf)
        return now - self._bad_since < self._watch.server.grace

    async def _examined(self, event: Answered | Failed) -> Answered | Failed:
        """A failure with the better reason that the server's process tree may give."""
        server, remembered = self._watch.server, self._watch.remembered
        if not self.failing or not isinstance(event, Failed) or type(server).examine is Server.examine:
            return event
        family = await asyncio.to_thread(members, server, remembered, self._watch.group)
        fault = server.examine(family, answered=False)
        return event if fault is None else Failed(fault, event.hard)

    def _port_empty(self) -> bool:
        addresses = layout_of(self._watch.server).addresses
        return bool(addresses) and self._nobody_listens(addresses[0]) is True

    def _say_void(self, event: Answered | Failed) -> None:
        """Say that a sample is thrown away, when that begins."""
        void = isinstance(event, Failed) and event.fault.kind is Kind.OURS
        if void and not self._void and isinstance(event, Failed):
            self._tell(self._watch.name, Tell("void", event.fault.reason, 0, event.fault))
        self._void = void


def _host_of(check: Request | Exchange) -> str:
    """The host that a check asks; empty where it is none."""
    if isinstance(check, Request):
        try:
            return locate(check.url).host
        except BadRequest:
            return ""
    return check.where.host if isinstance(check.where, Address) else ""
