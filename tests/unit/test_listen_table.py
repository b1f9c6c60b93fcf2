"""The table of listeners is what the kernel has now, and the same object while that does not change."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cluster_glue.recovery.sensors import listen_table
from cluster_glue.recovery.sensors.listen_table import ListenTable
from resource_agents.listeners import Listener, listening
from tests.waiting import eventually


@pytest.fixture
def table() -> Iterator[ListenTable]:
    made = ListenTable()
    yield made
    made.close()


@pytest.fixture(params=["127.0.0.1", "::1", "0.0.0.0", "::"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family, backlog=2) as made:
        yield made


def test_it_is_what_a_dump_of_each_family_tells(table: ListenTable, listener: socket.socket) -> None:
    inode = os.fstat(listener.fileno()).st_ino
    (seen,) = [one for one in table.look() if one.inode == inode]
    (dumped,) = [one for one in listening() if one.inode == inode]
    assert seen == dumped


def test_while_nothing_changes_it_is_the_same_list(table: ListenTable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        inode = os.fstat(listener.fileno()).st_ino
        eventually(lambda: table.look() is table.look(), what="two looks with nothing between them")
        with socket.create_connection(listener.getsockname()):
            eventually(lambda: [one.depth for one in table.look() if one.inode == inode] == [1], what="who waits")


def test_a_listener_that_comes_and_goes_is_seen_at_the_next_look(table: ListenTable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        inode = os.fstat(made.fileno()).st_ino
        assert inode in {one.inode for one in table.look()}
    assert inode not in {one.inode for one in table.look()}


def test_many_listeners_come_in_more_than_one_datagram(table: ListenTable) -> None:
    with ExitStack() as stack:
        inodes = {os.fstat(stack.enter_context(socket.create_server(("", 0))).fileno()).st_ino for _ in range(600)}
        assert inodes <= {one.inode for one in table.look()}
        assert inodes <= table.drops.keys()


def test_connections_are_dropped_at_the_listener_whose_queue_is_full(table: ListenTable) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=2) as listener, ExitStack() as stack:
        inode = os.fstat(listener.fileno()).st_ino
        table.look()
        assert table.drops[inode] == 0
        for _ in range(6):  # a backlog of 2 takes 3
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())

        def dropped() -> bool:
            table.look()
            return table.drops[inode] > 0

        eventually(dropped, what="a drop")


def test_one_look_serves_all_who_ask_soon_after(table: ListenTable) -> None:
    seen = table.look()
    with socket.create_server(("127.0.0.1", 0)) as made:
        assert table.recent() is seen
        inode = os.fstat(made.fileno()).st_ino
        assert inode in {one.inode for one in eventually(lambda: again(table, seen), what="a new look")}


def again(table: ListenTable, before: list[Listener]) -> list[Listener]:
    found = table.recent()
    return [] if found is before else found


def test_a_kernel_that_does_not_take_the_request_is_asked_in_the_newer_way(
    table: ListenTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = bytearray(listen_table._REQUEST)
    unknown[4] = 17  # no type of this family
    monkeypatch.setattr(listen_table, "_REQUEST", bytes(unknown))
    with socket.create_server(("127.0.0.1", 0)) as made:
        inode = os.fstat(made.fileno()).st_ino
        assert inode in {one.inode for one in table.look()}
        assert table.drops == {}


def test_for_want_of_a_descriptor_nothing_is_believed(table: ListenTable) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            table.look()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with socket.create_server(("127.0.0.1", 0)) as made:
        inode = os.fstat(made.fileno()).st_ino
        assert inode in {one.inode for one in table.look()}
        assert inode in table.drops
