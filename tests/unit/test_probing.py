"""Probes go on, whatever one of them met."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cluster_glue.config_model import ResourceConfig
from cluster_glue.recovery import probing as probing_module
from cluster_glue.recovery.executor import Executor
from cluster_glue.recovery.model import Answered, Event, Failed, Phase, State, Tell, Wanted
from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.probing import Probing
from cluster_glue.recovery.sensors.doubt import Doubt
from cluster_glue.recovery.watch import Watch
from resource_agents.families import layout_of
from resource_agents.layouts import Layout
from resource_agents.server import Server, load
from tests.waiting import LONG


@contextmanager
def answering() -> Iterator[int]:
    """A server that answers; its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def watch(folder: Path, url: str, **numbers: float | str) -> Watch:
    def make() -> Server:
        return load("command")({"start_command": "/bin/true", "statusurl": url}, "web")

    config = ResourceConfig("web", "command", {}, Policy(**numbers))  # type: ignore[arg-type]
    return Watch(config, make(), Executor(make, None, folder / "out", lambda _: None), None, State(Wanted.UP, Phase.UP))


async def probed(
    web: Watch,
    enough: Callable[[list[Event]], bool],
    examine: Callable[[Answered | Failed], Answered | Failed] = lambda event: event,
) -> tuple[list[Event], list[Tell]]:
    """What the probes of ``web`` posted until that was enough, and what they told."""
    posted: list[Event] = []
    told: list[Tell] = []

    async def examined(_: Watch, event: Answered | Failed) -> Answered | Failed:
        return examine(event)

    def post(_: str, event: Event) -> None:
        posted.append(event)

    probing = Probing(web, Doubt(), lambda _: None, post, lambda _, tell: told.append(tell), examined)
    probing.begin()
    async with asyncio.timeout(LONG):
        while not enough(posted):
            probing.suspect()
            await asyncio.sleep(0.02)
    probing.end()
    return posted, told


def test_a_probe_that_broke_is_told_and_not_the_last(tmp_path: Path) -> None:
    times = iter([ZeroDivisionError("once")])

    def breaks_once(event: Answered | Failed) -> Answered | Failed:
        for error in times:
            raise error
        return event

    with answering() as port:
        web = watch(tmp_path, f"http://127.0.0.1:{port}/", probe_interval=1, probe_timeout=1, connect_timeout=1)
        posted, told = asyncio.run(probed(web, lambda posted: bool(posted), breaks_once))
    assert isinstance(posted[0], Answered)
    assert [(tell.message, tell.detail) for tell in told] == [
        ("sensor-lost", "a probe could not be made: ZeroDivisionError once")
    ]


@pytest.mark.parametrize("place", ["user:p[w@127.0.0.1:{port}", "[localhost]:{port}", "[::1"])
def test_a_url_with_brackets_in_odd_places_is_asked_or_is_our_own_fault(tmp_path: Path, place: str) -> None:
    with answering() as port:
        url = f"http://{place.format(port=port)}/"
        web = watch(tmp_path, url, on_exhausted="failover")
        posted, told = asyncio.run(probed(web, lambda posted: bool(posted)))
    assert isinstance(posted[0], Answered | Failed)
    assert [tell.message for tell in told] in ([], ["void"])


def test_what_could_not_be_asked_is_asked_once_its_configuration_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon may begin while somebody edits the file; and nothing is made of not asking."""
    looks: list[Layout] = []

    def later(server: Server) -> Layout:
        looks.append(Layout() if len(looks) < 20 else layout_of(server))
        return looks[-1]

    monkeypatch.setattr(probing_module, "layout_of", later)
    with answering() as port:
        web = watch(tmp_path, f"http://127.0.0.1:{port}/")
        posted, _ = asyncio.run(probed(web, lambda posted: bool(posted)))
    assert isinstance(posted[0], Answered)
    assert len(looks) >= 20, "an answer without a question"
