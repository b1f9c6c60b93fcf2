"""What one look at the sockets of a server proves, and what it does not."""

from __future__ import annotations

from collections import Counter

from cluster_glue.diagnosis.tables import ESTABLISHED, SYN_RECV, Connection, Table, tell


def table(half_open: int, waiting: int, room: int) -> Table:
    """So many clients of one port that are half open, and that wait to be accepted."""
    states = [SYN_RECV] * half_open + [ESTABLISHED] * waiting
    clients = {
        (8080, "192.0.2.1", number): Connection((8080, "192.0.2.1", number), state, 0, 0, 0)
        for number, state in enumerate(states, 1024)
    }
    return Table(clients, Counter(), Counter(), room=room)


def flooded(now: Table) -> bool:
    return any("half-open" in line for line in tell(now, None, 0.0))


def test_half_open_connections_that_fill_the_queues_are_told() -> None:
    assert flooded(table(half_open=65, waiting=2, room=64))
    assert not flooded(table(half_open=63, waiting=0, room=64))


def test_half_open_connections_behind_a_full_accept_queue_are_no_flood() -> None:
    assert not flooded(table(half_open=65, waiting=65, room=64))
