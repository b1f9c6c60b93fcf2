"""What a load balancer hears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cluster_glue.balancer import DOWN, DRAIN, READY, SLOW, Balancer, word_of
from cluster_glue.config_model import Config, ResourceConfig, Settings
from cluster_glue.glue_model import Glue
from cluster_glue.recovery.model import Phase, State, Tell, Wanted
from cluster_glue.recovery.policy import Policy
from tests.ports import free_port


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (None, DOWN),
        (State(Wanted.UP, Phase.UP), READY),
        (State(Wanted.UP, Phase.UP, failures=1), READY),
        (State(Wanted.UP, Phase.UP, slow=True), SLOW),
        (State(Wanted.UP, Phase.CHECKING, planned=True), READY),
        (State(Wanted.UP, Phase.RELOADING), READY),
        (State(Wanted.UP, Phase.CHECKING, dead=True), DRAIN),
        (State(Wanted.UP, Phase.STOPPING), DRAIN),
        (State(Wanted.UP, Phase.CLEARING), DRAIN),
        (State(Wanted.UP, Phase.STARTING, dead=True), DRAIN),
        (State(Wanted.UP, Phase.WAITING, dead=True), DRAIN),
        (State(Wanted.UP, Phase.OBSERVING), DRAIN),
        (State(Wanted.UP, Phase.OBSERVING, dead=True), DOWN),
        (State(Wanted.UP, Phase.FAILED), DOWN),
        (State(Wanted.UP, Phase.MISCONFIGURED, dead=True), DOWN),
        (State(Wanted.DOWN, Phase.IDLE), DOWN),
    ],
)
def test_it_is_drained_while_something_is_done_and_down_when_nothing_helps(state: State | None, word: str) -> None:
    assert word_of(state) == word


def test_every_phase_has_a_word() -> None:
    assert {word_of(State(phase=phase)) for phase in Phase} == {READY, DRAIN, DOWN}


def test_ready_says_the_whole_state() -> None:
    """A balancer keeps what it heard before: up takes back down, ready takes back drain, 100% takes back 50%."""
    assert set(READY.split()) == {"up", "ready", "100%"}
    assert set(SLOW.split()) == {"up", "ready", "50%"}


def run(talk: Callable[[Balancer, dict[str, int], dict[str, State]], Awaitable[None]]) -> list[tuple[str, Tell]]:
    """One balancer with both doors for ``web`` and for ``other``, which is not here."""
    told: list[tuple[str, Tell]] = []
    ports = {"agent": free_port(), "ready": free_port(), "other": free_port()}
    states = {"web": State(Wanted.UP, Phase.UP)}
    glue = Glue(agent_check=f"127.0.0.1:{ports['agent']}", readiness=f"127.0.0.1:{ports['ready']}")
    other = Glue(agent_check=f"127.0.0.1:{ports['other']}")
    resources = {"web": ResourceConfig("web", "apache", {}, Policy(), glue=glue)}
    resources["other"] = ResourceConfig("other", "apache", {}, Policy(), glue=other)

    class Engine:
        @property
        def watches(self) -> dict[str, Any]:
            return {name: SimpleNamespace(name=name, state=state) for name, state in states.items()}

    async def all_of_it() -> None:
        engine: Any = Engine()
        config = Config(Settings(), resources)
        balancer = Balancer(engine, lambda: config, lambda name, tell: told.append((name, tell)))
        await balancer.open()
        try:
            await talk(balancer, ports, states)
        finally:
            balancer.close()

    asyncio.run(all_of_it())
    return told


async def asked(port: int, request: bytes = b"") -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer.decode()


def test_an_agent_check_gets_one_line_about_now() -> None:
    async def talk(balancer: Balancer, ports: dict[str, int], states: dict[str, State]) -> None:
        assert await asked(ports["agent"]) == f"{READY}\n"
        states["web"] = State(Wanted.UP, Phase.CLEARING)
        assert await asked(ports["agent"]) == f"{DRAIN}\n"
        del states["web"]
        assert await asked(ports["agent"]) == f"{DOWN}\n"
        assert await asked(ports["other"]) == f"{DOWN}\n"

    assert run(talk) == []


def test_readiness_is_200_or_503() -> None:
    async def talk(balancer: Balancer, ports: dict[str, int], states: dict[str, State]) -> None:
        get = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
        assert (await asked(ports["ready"], get)).startswith("HTTP/1.1 200 OK\r\n")
        assert (await asked(ports["ready"], get.replace(b"GET", b"HEAD"))).endswith("\r\n\r\n")
        assert (await asked(ports["ready"], get.replace(b"GET", b"POST"))).startswith("HTTP/1.1 405 ")
        states["web"] = State(Wanted.UP, Phase.FAILED)
        answer = await asked(ports["ready"], get)
        assert answer.startswith("HTTP/1.1 503 ")
        assert answer.endswith("\r\n\r\ndown\n")

    run(talk)


def test_whoever_says_nothing_holds_up_nobody() -> None:
    async def talk(balancer: Balancer, ports: dict[str, int], states: dict[str, State]) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", ports["ready"]) for _ in range(20)]
        assert (await asked(ports["ready"], b"GET / HTTP/1.0\r\n\r\n")).startswith("HTTP/1.1 200")
        for _, writer in silent:
            writer.close()

    run(talk)


def test_it_is_drained_before_a_stop_that_was_announced() -> None:
    async def talk(balancer: Balancer, ports: dict[str, int], states: dict[str, State]) -> None:
        assert balancer.drain("web")
        assert not balancer.drain("nobody")
        assert await asked(ports["agent"]) == f"{DRAIN}\n"
        assert (await asked(ports["ready"], b"GET / HTTP/1.0\r\n\r\n")).startswith("HTTP/1.1 503")
        started: Any = SimpleNamespace(name="web", state=State(Wanted.UP, Phase.STARTING))
        balancer.attend(started)
        assert await asked(ports["agent"]) == f"{READY}\n"

    run(talk)


def test_a_door_that_cannot_be_opened_is_told() -> None:
    async def talk(balancer: Balancer, ports: dict[str, int], states: dict[str, State]) -> None:
        second: Any = Balancer(
            balancer._engine, balancer._config, lambda name, tell: balancer._tell(name, tell)
        )  # its doors are taken
        await second.open()
        second.close()

    told = run(talk)
    assert {tell.message for _, tell in told} == {"balancer-lost"}
    assert len(told) == 3
