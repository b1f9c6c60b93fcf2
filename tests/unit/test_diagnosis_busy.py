"""Who computes is told from who waits, on a machine that is busy with something else as well."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cluster_glue.diagnosis import family, host, tables
from cluster_glue.diagnosis.processors import waited
from cluster_glue.diagnosis.resolvers import asking
from resource_agents.layouts import Address
from tests.ports import free_port
from tests.waiting import eventually

SPINS = "print(flush=True)\nwhile True: pass"
SLEEPS = "import time; print(flush=True); time.sleep(600)"


@contextmanager
def programs(*lines: str) -> Iterator[list[int]]:
    """Programs that share one processor, until the block ends; their pids."""
    processor = {min(os.sched_getaffinity(0))}
    running = [subprocess.Popen([sys.executable, "-c", line], stdout=subprocess.PIPE) for line in lines]
    try:
        for one in running:
            assert one.stdout is not None and one.stdout.readline()
            os.sched_setaffinity(one.pid, processor)
        yield [one.pid for one in running]
    finally:
        for one in running:
            one.kill()
            one.communicate()


def test_who_wants_to_run_and_may_not_is_seen_to_wait() -> None:
    with programs(SPINS, SPINS, SLEEPS) as (one, other, asleep):
        eventually(lambda: waited(one) > 0.1 and waited(other) > 0.1, what="the wait for each other")
        eventually(lambda: family.look([asleep])[asleep].state == "S", what="its sleep")
        rested = waited(asleep)
        eventually(lambda: waited(one) > 0.4, what="more of it")
        assert waited(asleep) == rested
    assert waited(one) == 0.0, "it is gone"


def looks(pid: int) -> tuple[dict[int, family.Seen], dict[int, family.Seen]]:
    """A process now, and how it was when it had used nothing yet."""
    now = family.look([pid])
    return now, {pid: replace(now[pid], cpu=0.0, waited=0.0)}


@pytest.mark.parametrize(
    ("cpu", "kept", "spins"),
    [(1.4, 0.0, True), (0.2, 1.8, True), (0.2, 0.5, False), (0.01, 1.9, False), (0.6, 0.0, False)],
)
def test_it_computes_when_it_never_rests_even_if_others_take_the_processors(
    cpu: float, kept: float, spins: bool
) -> None:
    now, before = looks(os.getpid())
    now = {pid: replace(seen, cpu=cpu, waited=kept) for pid, seen in now.items()}
    said = [line for line in family.tell(now, before, 2.0) if line.startswith("its processes kept ")]
    assert bool(said) is spins


def test_a_queue_that_nobody_empties_is_told_and_one_that_is_served_is_not() -> None:
    address = Address("127.0.0.1", free_port())
    where = (address.host, address.port)
    with socket.create_server(where) as listener, socket.create_connection(where):
        before = tables.dump([address], [os.getpid()])
        words = "no answer was given: 1 connections wait to be accepted for 1.0 s at least"
        assert told(tables.dump([address], [os.getpid()]), before) == [words]
        with listener.accept()[0]:
            assert told(tables.dump([address], [os.getpid()]), before) == []


def test_a_server_that_takes_one_of_two_from_its_queue_is_not_mute() -> None:
    address = Address("127.0.0.1", free_port())
    where = (address.host, address.port)
    with socket.create_server(where) as listener, socket.create_connection(where), socket.create_connection(where):
        before = tables.dump([address], [os.getpid()])
        assert len(before.waiting) == 2
        listener.accept()[0].close()
        eventually(lambda: told(tables.dump([address], [os.getpid()]), before) == [], what="one that was taken")


def told(now: tables.Table, before: tables.Table) -> list[str]:
    return [line for line in tables.tell(now, before, 1.0) if line.startswith("no answer was given")]


@pytest.mark.parametrize(
    ("count", "most", "said"),
    [
        ("7", "100", ["connection tracking table: 7 of 100 entries"]),
        ("100", "100", ["connection tracking table: 100 of 100 entries: full"]),
        ("0", "0", []),
        ("nonsense", "100", []),
        (None, None, []),
    ],
)
def test_a_full_table_of_tracked_connections_is_told(
    tmp_path: Path, count: str | None, most: str | None, said: list[str]
) -> None:
    folder = tmp_path / "net/netfilter"
    folder.mkdir(parents=True)
    for name, value in (("count", count), ("max", most)):
        if value is not None:
            (folder / f"nf_conntrack_{name}").write_text(f"{value}\n")
    assert list(host.tell_tables(str(tmp_path))) == said


QUESTION = "import select, socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('127.0.0.1', {port}));"
POLLS = QUESTION + " p = select.poll(); p.register(s, 1); print(flush=True); p.poll()"
KEEPS = QUESTION + " p = select.epoll(); p.register(s, 1); print(flush=True); p.poll()"


def test_who_waits_for_a_name_server_is_told_from_who_only_keeps_a_socket_to_it() -> None:
    lines = (POLLS.format(port=53), KEEPS.format(port=53), POLLS.format(port=54))
    with programs(*lines) as (asks, keeps, others):
        eventually(lambda: asking([asks, keeps, others]) == {"127.0.0.1": 1}, what="the question that is open")
        assert asking([keeps]) == asking([others]) == {}
    assert asking([asks]) == asking([]) == {}, "nobody asks any more"
