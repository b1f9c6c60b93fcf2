"""A queue that does not drain makes a server suspect; a busy one and a foreign one do not."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cluster_glue.recovery.sensors.queues import Queues
from resource_agents.layouts import Address
from resource_agents.listeners import Listener
from tests.ports import free_port
from tests.waiting import eventually


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family, backlog=16) as made:
        yield made


def address_of(listener: socket.socket) -> Address:
    return Address(*listener.getsockname()[:2])


def test_waiting_connections_make_a_real_server_suspect_until_they_are_accepted(listener: socket.socket) -> None:
    address = address_of(listener)
    queues = Queues()
    queues.watch("web", [address])
    queues.watch("other", [Address(address.host, free_port())])
    assert queues.look() == [] == queues.look()
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection((address.host, address.port)))
        assert queues.look() == []
        (suspicion,) = queues.look()
        assert suspicion.name == "web"
        assert suspicion.reason == f"3 of 16 connections wait on {address} and the queue does not drain"
        assert len(queues.look()) == 1
        for _ in range(3):
            listener.accept()[0].close()
        eventually(lambda: queues.look() == [], what="no suspicion")


def test_the_kernel_tells_whether_nobody_listens(listener: socket.socket) -> None:
    queues = Queues()
    address = address_of(listener)
    assert queues.nobody_listens(address) is False
    assert queues.nobody_listens(Address("", address.port)) is False
    listener.close()
    assert queues.nobody_listens(address) is True


class Dump:
    """The kernel's answer, look by look: the depths of the queues on ports 80 and 81."""

    def __init__(self) -> None:
        self.depths: tuple[int, int] = (0, 0)
        self.broken = False

    def __call__(self) -> list[Listener]:
        if self.broken:
            raise OSError(1, "Operation not permitted")
        return [Listener("", 80 + number, 100 + number, depth, 511, 0) for number, depth in enumerate(self.depths)]


@pytest.mark.parametrize(
    ("depths", "suspect"),
    [
        ([1, 1], True),
        ([1, 2, 3], True),
        ([5, 4], False),
        ([5, 4, 4], True),
        ([5, 0, 5], False),
        ([0, 0, 0], False),
    ],
)
def test_only_a_queue_that_does_not_become_shorter_is_suspect(depths: list[int], suspect: bool) -> None:
    dump = Dump()
    queues = Queues(dump)
    queues.watch("web", [Address("10.0.0.1", 80)])
    for depth in depths:
        dump.depths = (depth, 9)
        found = queues.look()
    assert bool(found) is suspect


def test_queues_that_cannot_be_looked_at_are_said_so() -> None:
    dump = Dump()
    queues = Queues(dump)
    queues.watch("web", [Address("", 80)])
    dump.broken = True
    assert queues.look() == []
    assert "Operation not permitted" in queues.problem
    assert queues.nobody_listens(Address("", 80)) is None
    dump.broken = False
    queues.look()
    assert queues.problem == ""


def test_a_server_that_is_watched_no_more_is_not_suspect() -> None:
    dump = Dump()
    queues = Queues(dump)
    queues.watch("web", [Address("", 80)])
    queues.watch("web", [Address("", 81)])
    dump.depths = (5, 5)
    queues.look()
    assert [suspicion.reason for suspicion in queues.look()] == [
        "5 of 511 connections wait on *:81 and the queue does not drain"
    ]
    queues.forget("web")
    queues.forget("web")
    assert queues.look() == []
