"""A hung acceptor is proven; a server that is only busy, slow or computing never is."""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster_glue.recovery.sensors.stalls import Stalls
from ocf.faults import Fault
from tests.socket_watch import Watched, ask, watched
from tests.waiting import eventually

AFTER = 0.4


def nothing_lost(since: float, until: float) -> float:
    return 0.0


def look_at(server: Watched, stalls: Stalls, asked: float | None) -> Fault | None:
    return stalls.look("web", frozenset(server.ports), server.main.pid, AFTER, asked)


def never(server: Watched, seconds: float, lost: Callable[[float, float], float] = nothing_lost) -> None:
    """Looks for so long at a server that has been asked; nothing may be proven."""
    stalls, asked = Stalls(lost), time.monotonic()
    while time.monotonic() - asked < seconds:
        assert look_at(server, stalls, asked) is None
        time.sleep(0.05)  # the looks' own rhythm


def knock(stack: ExitStack, server: Watched, path: str = "/") -> socket.socket:
    """A request, and nobody who waits for the answer."""
    client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
    client.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    return client


def test_an_acceptor_that_hangs_is_proven(tmp_path: Path) -> None:
    with watched(tmp_path) as server, ExitStack() as stack:
        ask(server.port, "/hang")
        knock(stack, server)
        stalls, asked = Stalls(nothing_lost), time.monotonic()
        fault = eventually(lambda: look_at(server, stalls, asked), what="the proof", every=0.05)
        assert fault is not None
        assert fault.cause == "acceptor-stalled"
        assert time.monotonic() - asked >= AFTER


def test_one_that_hangs_with_connections_that_it_has_accepted_and_not_read_is_proven(tmp_path: Path) -> None:
    with watched(tmp_path) as server, ExitStack() as stack:
        ask(server.port, "/take/2")
        for _ in range(4):
            knock(stack, server)
        stalls, asked = Stalls(nothing_lost), time.monotonic()
        fault = eventually(lambda: look_at(server, stalls, asked), what="the proof", every=0.05)
        assert fault is not None
        assert fault.reason.startswith("4 connections wait")


def test_one_that_has_accepted_a_client_who_sends_nothing_may_wait_for_him(tmp_path: Path) -> None:
    with watched(tmp_path) as server, ExitStack() as stack:
        ask(server.port, "/take/1")
        stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        eventually(lambda: server_accepted(server), what="the silent client accepted")
        knock(stack, server)
        never(server, 1.0)


def test_without_a_probe_that_waits_too_nothing_is_proven(tmp_path: Path) -> None:
    with watched(tmp_path) as server, ExitStack() as stack:
        ask(server.port, "/hang")
        knock(stack, server)
        stalls = Stalls(nothing_lost)
        for _ in range(20):
            assert look_at(server, stalls, None) is None
            time.sleep(0.05)


def test_time_that_koboshi_was_not_scheduled_proves_nothing(tmp_path: Path) -> None:
    with watched(tmp_path) as server, ExitStack() as stack:
        ask(server.port, "/hang")
        knock(stack, server)
        never(server, 1.0, lost=lambda since, until: until - since)


def test_a_slow_request_that_is_being_served_is_no_stall(tmp_path: Path) -> None:
    """The only thread sleeps in a request: nobody is accepted, nothing computes, and yet it is at work."""
    with watched(tmp_path) as server, ExitStack() as stack:
        knock(stack, server, "/slow/1.5")
        eventually(lambda: server_accepted(server), what="the slow request at work")
        knock(stack, server)
        never(server, 1.0)


def test_a_server_that_waits_for_a_slow_client_is_no_stall(tmp_path: Path) -> None:
    """Its only worker waits for a request that does not come: a kept-alive connection, or a slow-loris client."""
    with watched(tmp_path) as server, ExitStack() as stack:
        stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        eventually(lambda: server_accepted(server), what="the silent client at work")
        knock(stack, server)
        never(server, 1.0)


def server_accepted(server: Watched) -> bool:
    return any(
        os.readlink(f"/proc/{server.main.pid}/fd/{name}").startswith("socket:") and int(name) > 3
        for name in os.listdir(f"/proc/{server.main.pid}/fd")
        if os.path.islink(f"/proc/{server.main.pid}/fd/{name}")
    )


def test_a_server_that_computes_is_no_stall(tmp_path: Path) -> None:
    with watched(tmp_path) as server, ExitStack() as stack:
        ask(server.port, "/spin")
        knock(stack, server)
        never(server, 1.0)


@pytest.mark.parametrize("clients", [4, 16])
def test_a_busy_server_is_no_stall(tmp_path: Path, clients: int) -> None:
    done = threading.Event()

    def load(port: int) -> None:
        while not done.is_set():
            ask(port)

    with watched(tmp_path) as server:
        threads = [threading.Thread(target=load, args=(server.port,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            never(server, 2.0)
        finally:
            done.set()
            for thread in threads:
                thread.join()


def test_a_server_in_whose_queue_nobody_waits_is_no_stall(tmp_path: Path) -> None:
    with watched(tmp_path) as server:
        never(server, 0.8)


def test_a_server_that_accepts_again_begins_anew(tmp_path: Path) -> None:
    """Half a second of pause again and again is slow, and no stall."""
    with watched(tmp_path) as server, ExitStack() as stack:
        for _ in range(3):
            knock(stack, server, "/slow/0.3")
        never(server, 1.2)
