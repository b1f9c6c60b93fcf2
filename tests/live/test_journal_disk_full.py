"""A state directory without a byte left: a small file system of its own, really full."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_glue.journal import Journal, Reader
from cluster_glue.recovery.model import Tell
from ocf.programs import run
from tests.waiting import LONG, eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "state"
    place.mkdir()
    mounted = run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "koboshi-test", str(place)], 10)
    if not mounted.ok:
        pytest.skip(f"no file system may be mounted here: {mounted.output}{mounted.problem}")
    yield place
    assert run(["umount", str(place)], 30).ok


def test_a_full_disk_costs_entries_and_nothing_else_and_they_are_counted(disk: Path) -> None:
    losses: list[str] = []
    backs: list[int] = []
    journal = Journal(disk / "journal.sqlite", losses.append, backs.append, backlog=20)
    journal.tell("web1", Tell("fell", "before", 1))
    assert journal.flush(LONG)
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    for number in range(2, 302):
        journal.tell("web1", Tell("fell", "x" * 400, number))
    eventually(lambda: losses, what="the report of the loss")
    assert "full" in losses[0]
    ballast.unlink()
    eventually(lambda: backs, what="the report that it works again")
    assert journal.flush(LONG)
    journal.close(LONG)
    assert len(losses) == len(backs) == 1
    assert backs[0] == journal.lost > 0
    with Reader(disk / "journal.sqlite") as reader:
        kept = [one.number for one in reader.incidents(limit=1000)]
    assert kept[0] == 301
    assert kept[-1] == 1
    assert len(kept) + journal.lost == 301
