"""The journal of incidents: what is kept, across restarts, clock changes, damage and a full disk."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster_glue.journal import Entry, Journal, JournalUnreadable, Reader
from cluster_glue.recovery.model import Tell
from ocf.faults import Fault, Kind, unknown
from tests.house import ROOT
from tests.waiting import LONG, eventually

KILLED = Fault("killed", Kind.RESOURCE, "killed by SIGKILL", "exit status -9", "ask who did it")
BROKEN = Fault("configuration-syntax", Kind.CONFIGURATION, "line 7 is wrong", "AH00526: line 7")
DAY = 86400.0


@dataclass
class News:
    """What a journal reported."""

    losses: list[str] = field(default_factory=list)
    backs: list[int] = field(default_factory=list)


@contextmanager
def journal(path: Path, news: News | None = None, **options: int) -> Iterator[Journal]:
    news = news or News()
    opened = Journal(path, news.losses.append, news.backs.append, **options)
    try:
        yield opened
    finally:
        opened.close(LONG)


def write(path: Path, *entries: Entry) -> None:
    with journal(path) as opened:
        for one in entries:
            opened.put(one)


def entry(message: str, at: float, incident: int = 0, fault: Fault | None = None, shift: float = 0.0) -> Entry:
    """An entry ``at`` seconds into the test, by a wall clock that is ``shift`` seconds off."""
    return Entry.of("web1", Tell(message, f"about {message}", incident, fault), 1e9 + at + shift, 1000.0 + at)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_an_incident_keeps_what_fell_why_what_was_done_how_long_and_how_it_ended(path: Path) -> None:
    write(
        path,
        entry("fell", 0.0, 7, KILLED),
        entry("orphans-ended", 0.01, 7),
        entry("restarting", 0.02, 7, KILLED),
        entry("recovered", 0.25, 7, KILLED),
    )
    with Reader(path) as reader:
        found = reader.incident("web1-7")
    assert found is not None
    incident, timeline = found
    assert (incident.id, incident.cause, incident.kind) == ("web1-7", "killed", "resource")
    assert (incident.reason, incident.proof, incident.advice) == (KILLED.reason, KILLED.proof, KILLED.advice)
    assert (incident.fell, incident.ended, incident.ending) == (1e9, 1e9 + 0.25, "recovered")
    assert incident.outage == pytest.approx(0.25)
    assert incident.actions == ("orphans-ended", "restarting")
    assert [line.message for line in timeline] == ["fell", "orphans-ended", "restarting", "recovered"]
    assert [line.offset for line in timeline] == pytest.approx([0.0, 0.01, 0.02, 0.25])


@pytest.mark.parametrize("shift", [DAY, -DAY])
def test_a_clock_that_is_set_changes_no_outage(path: Path, shift: float) -> None:
    write(path, entry("fell", 0, 1, KILLED), entry("recovered", 3, 1, shift=shift))
    with Reader(path) as reader:
        assert reader.incidents()[0].outage == pytest.approx(3.0)


def test_an_incident_goes_on_under_its_number_after_a_restart_of_koboshi(path: Path) -> None:
    write(path, entry("fell", 0, 3, KILLED))
    write(path, entry("adopted", 1, 3), entry("recovered", 2, 3))
    with Reader(path) as reader:
        (incident,) = reader.incidents()
    assert (incident.number, incident.cause, incident.ending) == (3, "killed", "recovered")
    assert incident.outage == pytest.approx(2.0)


def test_a_kill_of_koboshi_loses_nothing_that_was_written(path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from cluster_glue.journal import *;"
        "from cluster_glue.recovery.model import Tell;"
        "journal = Journal(Path(sys.argv[1]), print, print);"
        "journal.tell('web1', Tell('fell', 'gone', 5)); journal.flush(30); print('written', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, cwd=ROOT) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.kill()
    with journal(path) as opened:
        assert opened.last_incident("web1") == 5
        opened.tell("web1", Tell("recovered", "back", 5))
    with Reader(path) as reader:
        assert [(one.id, one.ending) for one in reader.incidents()] == [("web1-5", "recovered")]


def test_a_diagnosis_names_what_was_unknown_and_unknown_replaces_no_name(path: Path) -> None:
    write(
        path,
        entry("fell", 0, 1, unknown("it is gone")),
        entry("explained", 0.1, 1, KILLED),
        entry("evidence-kept", 0.2, 1, unknown("no idea")),
        entry("start-failed", 0.3, 1, BROKEN),
    )
    with Reader(path) as reader:
        assert reader.incidents()[0].cause == "killed"


def test_an_incident_that_begins_with_a_failed_start_has_its_cause(path: Path) -> None:
    write(path, entry("starting", 0, 1), entry("start-failed", 1, 1, BROKEN))
    with Reader(path) as reader:
        assert reader.incidents()[0].cause == "configuration-syntax"


def test_an_exhausted_incident_stays_an_outage_until_the_server_is_up(path: Path) -> None:
    write(path, entry("fell", 0, 1, KILLED), entry("exhausted", 5, 1, KILLED))
    with Reader(path) as reader:
        assert (reader.incidents()[0].ending, reader.incidents()[0].outage) == ("exhausted", None)
    write(path, entry("up", 100))
    with Reader(path) as reader:
        incident = reader.incidents()[0]
    assert (incident.ending, incident.ended, incident.outage) == ("exhausted", 1e9 + 5, pytest.approx(100.0))


def test_an_incident_that_was_lost_sight_of_is_called_interrupted(path: Path) -> None:
    write(path, entry("fell", 0, 1, KILLED), entry("fell", 50, 2, KILLED), entry("recovered", 51, 2))
    with Reader(path) as reader:
        assert [(one.number, one.ending) for one in reader.incidents()] == [(2, "recovered"), (1, "interrupted")]


def test_resources_are_told_apart_whatever_their_names(path: Path) -> None:
    write(path, *(Entry.of(name, Tell("fell", "", 1), 0, 0) for name in ("web", "web-1", "a.b", "web-1-1")))
    with Reader(path) as reader:
        assert {one.id for one in reader.incidents()} == {"web-1", "web-1-1", "a.b-1", "web-1-1-1"}
        found = reader.incident("web-1-1")
        assert found is not None
        assert found[0].resource == "web-1"
        for wrong in ("", "web", "web-", "-1", "web-x", "web-²", "web-" + "9" * 30, "nobody-1"):
            assert reader.incident(wrong) is None


def test_lists_are_the_latest_first_and_bounded(path: Path) -> None:
    write(path, *(entry("fell", number, number, KILLED) for number in range(1, 11)))
    with Reader(path) as reader:
        assert [one.number for one in reader.incidents("web1", 3)] == [10, 9, 8]
        assert reader.incidents("other") == []
        assert reader.last_numbers() == {"web1": 10}


def test_only_so_many_incidents_and_entries_are_kept(path: Path) -> None:
    with journal(path, keep=5) as opened:
        for number in range(1, 401):
            opened.put(entry("fell", number, number, KILLED))
        assert opened.flush(LONG)
    with Reader(path) as reader:
        assert [one.number for one in reader.incidents(limit=100)] == [400, 399, 398, 397, 396]
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT count(*) FROM entry").fetchone()[0] <= 100


def test_the_journal_is_for_its_owner_only(path: Path) -> None:
    old = os.umask(0)
    try:
        with journal(path) as opened:
            opened.put(entry("fell", 0, 1))
            opened.flush(LONG)
            for file in path.parent.iterdir():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    finally:
        os.umask(old)


def test_text_from_outside_is_kept_as_one_harmless_line(path: Path) -> None:
    hostile = Fault("x", Kind.RESOURCE, "a\nb", "log\x1b[31m line\n<0>second \udcff", "\u202e")
    write(path, Entry.of("web1", Tell("fell", "one\ntwo\x00\x1b]0;title\x07", 1, hostile)))
    with Reader(path) as reader:
        found = reader.incident("web1-1")
    assert found is not None
    assert (found[0].reason, found[0].proof) == ("a b", "log line <0>second \ufffd")
    assert found[1][0].detail == "one two"


def damage(path: Path) -> None:
    path.write_bytes(b"this is no database " * 1000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * 40960)


def other_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE incident (what TEXT)")
    raw.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()


@pytest.mark.parametrize("harm", [damage, cut, other_program, newer])
def test_an_unusable_database_is_set_aside_and_a_new_one_begun(path: Path, harm: Callable[[Path], None]) -> None:
    write(path, entry("fell", 0, 1, KILLED))
    harm(path)
    news = News()
    with journal(path, news) as opened:
        opened.put(entry("fell", 1, 2, KILLED))
        assert opened.flush(LONG)
    assert len(news.losses) == 1
    assert "set aside as journal.sqlite.damaged" in news.losses[0]
    assert news.backs == [0]
    assert path.with_name("journal.sqlite.damaged").exists()
    with Reader(path) as reader:
        assert [one.number for one in reader.incidents()] == [2]


def test_a_journal_that_was_removed_is_begun_anew(path: Path) -> None:
    with journal(path) as opened:
        opened.put(entry("fell", 0, 1))
        assert opened.flush(LONG)
        for file in path.parent.iterdir():
            file.unlink()
        opened.put(entry("fell", 1, 2))
        assert opened.flush(LONG)
    with Reader(path) as reader:
        assert [one.number for one in reader.incidents()] == [2]


def test_losses_are_counted_and_told_once_and_what_waited_is_written_later(tmp_path: Path) -> None:
    place = tmp_path / "not yet there"
    news = News()
    with journal(place / "journal.sqlite", news, backlog=10) as opened:
        for number in range(1, 31):
            opened.put(entry("fell", number, number, KILLED))
        eventually(lambda: news.losses, what="the report of the loss")
        eventually(lambda: opened.lost == 20, what="twenty lost entries")
        place.mkdir()
        eventually(lambda: news.backs, what="the report that it works again")
    assert len(news.losses) == 1
    assert news.backs == [20]
    with Reader(place / "journal.sqlite") as reader:
        assert [one.number for one in reader.incidents()] == list(range(30, 20, -1))


FULL_DISK = """
import resource, sys, threading
from pathlib import Path
from cluster_glue.journal import Journal, Reader
from cluster_glue.recovery.model import Tell
path, lost, back = Path(sys.argv[1]), threading.Event(), threading.Event()
journal = Journal(path, lambda text: (print(text), lost.set()), lambda n: (print("back", n), back.set()), backlog=50)
journal.tell("web1", Tell("fell", "before", 1)); assert journal.flush(30)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, resource.RLIM_INFINITY))
for number in range(2, 400): journal.tell("web1", Tell("fell", "x" * 400, number))
assert lost.wait(30)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert back.wait(30); assert journal.flush(30); journal.close()
with Reader(path) as reader: found = [one.number for one in reader.incidents(limit=1000)]
assert found[0] == 399 and found[-1] == 1, found
print("kept", len(found), "lost", journal.lost)
"""


def test_where_no_byte_more_can_be_written_nothing_is_raised_and_the_loss_is_told(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=120, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    first, *_, back, kept = done.stdout.splitlines()
    assert "cannot be written" in first
    assert back.startswith("back ")
    _, many, _, lost = kept.split()
    assert int(many) + int(lost) == 399


def test_nothing_waits_for_the_disk(path: Path) -> None:
    with journal(path) as opened, sqlite3.connect(path) as other:
        opened.put(entry("fell", 0, 1))
        assert opened.flush(LONG)
        other.execute("BEGIN EXCLUSIVE")
        done = threading.Event()
        threading.Thread(target=lambda: ([opened.put(entry("up", n)) for n in range(5000)], done.set())).start()
        assert done.wait(LONG), "put waited for a locked database"
        assert not opened.flush(0.05)
        other.rollback()
        assert opened.flush(LONG)


def test_listeners_that_fail_do_not_end_the_journal(tmp_path: Path) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("the loop is closed")

    place = tmp_path / "later"
    opened = Journal(place / "journal.sqlite", fail, fail)
    opened.put(entry("fell", 0, 1))
    assert not opened.flush(0.2)
    place.mkdir()
    assert opened.flush(LONG)
    opened.close(LONG)


def test_reading_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(JournalUnreadable, match="there is no journal"):
        Reader(tmp_path / "journal.sqlite")
    (tmp_path / "journal.sqlite").write_text("nonsense " * 1000)
    with pytest.raises(JournalUnreadable, match="cannot be read"):
        Reader(tmp_path / "journal.sqlite")
    with pytest.raises(JournalUnreadable, match="cannot be read"):
        Reader(tmp_path)


def test_incidents_are_counted_on_while_nothing_can_be_written_or_read(tmp_path: Path) -> None:
    path = tmp_path / "place" / "journal.sqlite"
    path.parent.mkdir()
    with journal(path) as before:
        before.put(entry("fell", 0, 4))
    lost = threading.Event()
    opened = Journal(path, lambda _: lost.set(), lambda _: None)
    path.parent.rename(tmp_path / "away")
    path.parent.touch()
    opened.put(entry("fell", 0, 5))
    assert lost.wait(LONG)
    assert opened.last_incident("web1") == 5
    opened.close(0.0)


def test_without_a_readable_journal_incidents_are_counted_from_one(path: Path) -> None:
    with journal(path) as opened:
        assert opened.last_incident("web1") == 0
        opened.put(entry("fell", 0, 4))
        assert opened.flush(LONG)
        assert opened.last_incident("web1") == 4
        assert opened.last_incident("web2") == 0
