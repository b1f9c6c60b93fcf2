"""What the kernel says of real connections, in bulk."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cluster_glue.recovery.sensors import socket_dump
from cluster_glue.recovery.sensors.socket_dump import CLOSE_WAIT, ESTABLISHED, STATES
from tests.waiting import eventually


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family, backlog=2) as made:
        yield made


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def client(stack: ExitStack, listener: socket.socket, words: bytes = b"") -> socket.socket:
    made = stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
    made.sendall(words)
    return made


def served(stack: ExitStack, listener: socket.socket) -> socket.socket:
    return stack.enter_context(listener.accept()[0])


def test_only_sockets_of_the_asked_ports_are_counted(listener: socket.socket, stack: ExitStack) -> None:
    port = port_of(listener)
    for _ in range(3):
        client(stack, listener)
    with socket.create_server(("127.0.0.1", 0)) as other:
        client(stack, other)
        assert socket_dump.count(STATES.keys(), [port]) == {(ESTABLISHED, port): 3}
        assert socket_dump.count(STATES.keys(), [1, port, port_of(other), 65535]) == {
            (ESTABLISHED, port): 3,
            (ESTABLISHED, port_of(other)): 1,
        }
        assert socket_dump.count(STATES.keys())[ESTABLISHED, port] == 3


def test_a_client_who_was_not_heard_is_told_from_one_who_was(listener: socket.socket, stack: ExitStack) -> None:
    port = port_of(listener)
    client(stack, listener, b"GET /")
    client(stack, listener).close()
    before = socket_dump.queued([port], 10)
    assert before is not None
    assert (len(before[0]), before[1]) == (2, 0)
    first = served(stack, listener)
    assert socket_dump.queued([port], 10) == before, "who is accepted and not read still waits"
    assert first.recv(1) == b"G"
    after = socket_dump.queued([port], 10)
    assert after is not None
    assert after[0] < before[0]
    assert after[1] == 1
    first.shutdown(socket.SHUT_WR)
    assert socket_dump.queued([port], 10) == after, "who lingers is not gone"
    first.close()
    assert socket_dump.queued([port], 10) == (after[0], 0)


def test_too_many_connections_are_not_looked_at_one_by_one(listener: socket.socket, stack: ExitStack) -> None:
    for _ in range(3):
        client(stack, listener)
    assert socket_dump.queued([port_of(listener)], 2) is None


def test_a_connection_that_its_client_closed_is_troubled(listener: socket.socket, stack: ExitStack) -> None:
    port = port_of(listener)
    asker = client(stack, listener)
    answerer = served(stack, listener)
    asker.close()

    def closed() -> list[tuple[int, int, bytes, int]]:
        return [each for each in socket_dump.troubled() if each[1] == port]

    ((state, _, _, inode),) = eventually(closed, what="CLOSE_WAIT")
    assert state == CLOSE_WAIT
    assert inode == os.fstat(answerer.fileno()).st_ino


def test_ports_towards_one_destination_are_counted_for_each_local_address(stack: ExitStack) -> None:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
    for number in (1, 1, 1, 2):
        made = stack.enter_context(socket.socket())
        made.bind((f"127.0.0.{number}", 0))
        made.connect(listener.getsockname())
    found = socket_dump.destinations(1, 65535, {port_of(listener)})
    assert found["127.0.0.1", port_of(listener)] == 3


def test_more_ports_than_a_filter_holds_are_counted_without_one(listener: socket.socket, stack: ExitStack) -> None:
    """Somebody else's connection may have the same number at its end."""
    client(stack, listener)
    ports = {port_of(listener), *range(1, socket_dump.MOST_PORTS + 1)}
    assert socket_dump.count([ESTABLISHED], ports)[ESTABLISHED, port_of(listener)] >= 1
    ports = {port_of(listener), *range(1, 900)}
    assert socket_dump.count([ESTABLISHED], ports)[ESTABLISHED, port_of(listener)] >= 1
