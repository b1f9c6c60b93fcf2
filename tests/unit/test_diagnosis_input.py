"""Evidence from a hostile world: logs, status pages, thread dumps and kernel files as they should not be."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster_glue.diagnosis import family, pages, reading, threads
from cluster_glue.diagnosis.evidence import Absent, Item, Look, gather
from cluster_glue.diagnosis.host import Clocks, Groups, groups_of, tell_clocks, tell_disks, tell_groups
from cluster_glue.diagnosis.kernel import KernelLog, parse
from resource_agents.layouts import Request
from tests.ports import free_port

# ---- logs ------------------------------------------------------------------------------------------------------------


class HeldLog:
    """A log that is held from a good moment on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("old and long ago\n")
        self.fd, self.place = reading.hold(str(path)), reading.place_of(str(path))

    def news(self) -> list[str]:
        return reading.news(str(self.path), self.place, self.fd)

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[HeldLog]:
    held = HeldLog(tmp_path / "error.log")
    yield held
    os.close(held.fd)


def test_reading_goes_on_where_it_stopped(log: HeldLog) -> None:
    log.write("new\n")
    assert log.news() == ["new"]


def test_a_rotated_log_is_read_to_its_end_and_the_new_one_from_its_beginning(log: HeldLog) -> None:
    log.write("last words\n")
    log.path.rename(log.path.with_name("error.log.1"))
    log.write("first words\n")
    assert log.news() == ["last words", "first words"]


def test_a_log_that_was_emptied_in_place_is_read_from_its_beginning(log: HeldLog) -> None:
    log.path.write_text("new\n")
    assert log.news() == ["new"]


def test_the_last_words_of_a_log_that_was_deleted_are_not_lost(log: HeldLog) -> None:
    log.write("last words\n")
    log.path.unlink()
    assert log.news() == ["last words"]
    log.write("new\n")
    assert log.news() == ["last words", "new"]


def test_a_line_of_ten_megabytes_is_cut_and_costs_no_more(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    log.write_bytes(b"x" * (10 << 20) + b"\nafter\n")
    lines = reading.news(str(log), None)
    assert lines[-1] == "after"
    assert all(len(line) <= reading.LONGEST + 5 for line in lines)


def test_nul_bytes_and_what_is_no_text_do_no_harm(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    log.write_bytes(b"a\0b\xff\xfe\r\n\0\0\0\n\x1b[31mred\n")
    assert reading.news(str(log), None) == ["ab\ufffd\ufffd", "\x1b[31mred"]
    items = gather([Look("log", lambda: reading.news(str(log), None))])
    assert items["log"].lines == ("ab\ufffd\ufffd", "red")


def test_a_log_that_is_a_pipe_or_gone_is_absent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "nothing", tmp_path, Path("relative")):
        item = gather([Look("log", lambda path=path: reading.news(str(path), None))])["log"]  # type: ignore[misc]
        assert not item.lines and item.absent


# ---- bounds ----------------------------------------------------------------------------------------------------------


def test_an_item_that_hangs_is_abandoned_and_hinders_no_other() -> None:
    release = threading.Event()

    def hang() -> list[str]:
        release.wait(30)
        return []

    began = time.monotonic()
    items = gather([Look("hangs", hang, 0.05), Look("works", lambda: ["here"])], seconds=10)
    release.set()
    assert time.monotonic() - began < 5
    assert items["hangs"].absent.startswith("it was not to be had within")
    assert items["works"].lines == ("here",)


def test_an_item_that_fails_says_why() -> None:
    def fail() -> list[str]:
        raise ZeroDivisionError("oops\nsecond line")

    def missing() -> list[str]:
        raise Absent("it is not here")

    items = gather([Look("fails", fail), Look("missing", missing)])
    assert items["fails"] == Item((), "ZeroDivisionError: oops second line", items["fails"].took)
    assert items["missing"].absent == "it is not here"


def test_evidence_keeps_within_its_room_and_its_time() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "x" * 1000

    items = gather([Look("a", endless, 0.2), Look("b", endless, 0.2)], seconds=5, size=50_000)
    assert sum(len(line) + 1 for item in items.values() for line in item.lines) <= 50_000
    spent = gather([Look("a", endless, 0.1), Look("b", lambda: ["x"])], seconds=0.1, size=1 << 40)
    assert spent["b"].absent == "the time for evidence was spent"


# ---- status pages ----------------------------------------------------------------------------------------------------


@contextmanager
def answering(data: bytes, for_ever: bool = False) -> Iterator[Request]:
    """A server that sends this to whoever connects, over and over where that is wanted."""
    port = free_port()
    done = threading.Event()

    def serve() -> None:
        with socket.create_server(("127.0.0.1", port)) as server:
            ready.set()
            server.settimeout(10)
            sock, _ = server.accept()
            with sock:
                sock.settimeout(10)
                try:
                    sock.sendall(data)
                    while for_ever and not done.is_set():
                        sock.sendall(data)
                except OSError:
                    pass

    ready = threading.Event()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield Request(f"http://127.0.0.1:{port}/server-status?auto")
    finally:
        done.set()
        thread.join(20)


def test_a_status_page_that_never_ends_is_read_to_a_limit() -> None:
    with answering(b"HTTP/1.0 200 OK\r\n\r\nBusyWorkers: 4\nIdleWorkers: 0\n" + b"x" * 4096, for_ever=True) as request:
        page = pages.fetch(request, 5)
    assert len(page) <= pages.LIMIT
    assert next(pages.tell(page)) == "workers: 4 busy, 0 idle, 0 requests so far"


def test_a_status_page_that_never_begins_is_absent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(Absent, match="did not answer"):
        pages.fetch(Request(f"http://127.0.0.1:{server.getsockname()[1]}/server-status?auto"), 0.05)


@pytest.mark.parametrize(
    "page",
    [
        "BusyWorkers: -4\nIdleWorkers: 0\n",
        "BusyWorkers: 99999999999999999999999\nIdleWorkers: 0\n",
        "BusyWorkers: 4 of many\nIdleWorkers: none\n",
        '{"busy": 4, "idle": 0}',
        "<html>BusyWorkers: 4<br>IdleWorkers: 0</html>",
        "Active connections: many\nserver accepts handled requests\n 1 1 1\nReading: 0 Writing: 1 Waiting: 0",
        "",
    ],
)
def test_a_status_page_that_lies_or_changed_its_form_proves_nothing(page: str) -> None:
    with pytest.raises(Absent):
        list(pages.tell(page))


def test_the_letters_of_a_scoreboard_are_told() -> None:
    lines = list(pages.tell("Total Accesses: 9\nBusyWorkers: 3\nIdleWorkers: 1\nScoreboard: WWR_....\n"))
    assert lines == [
        "workers: 3 busy, 1 idle, 9 requests so far",
        "scoreboard: most of the busy ones (2) are sending a reply (W)",
    ]


def test_the_numbers_of_nginx_are_told() -> None:
    page = "Active connections: 2 \nserver accepts handled requests\n 5 5 7 \nReading: 0 Writing: 1 Waiting: 1 \n"
    assert list(pages.tell(page)) == ["connections: 2 active, 0 reading, 1 writing, 1 waiting", "requests so far: 7"]


# ---- thread dumps ----------------------------------------------------------------------------------------------------


def thread(number: int, frame: str) -> list[str]:
    return [
        f'"http-nio-127.0.0.1-8080-exec-{number}" #{number} daemon prio=5 tid=0x1 nid=0x2 waiting',
        "   java.lang.Thread.State: TIMED_WAITING (sleeping)",
        "\tat java.lang.Thread.sleep(java.base@17.0.1/Native Method)",
        f"\tat {frame}(X.java:3)",
        "\tat jakarta.servlet.http.HttpServlet.service(HttpServlet.java:1)",
        "",
    ]


def test_fifty_thousand_threads_are_read_in_one_pass() -> None:
    lines = ["noise", "Full thread dump OpenJDK 64-Bit Server VM (17.0.1):", ""]
    for number in range(50_000):
        lines += thread(number, "org.example.Slow.work")
    lines.append("JNI global refs: 10")
    told = list(threads.tell(threads.dump_in(lines)))
    assert told[0] == "50000 threads"
    assert told[-1].startswith("no request thread of http-nio-127.0.0.1-8080 is free, and 50000 of 50000 hang in")


def test_an_idle_thread_is_known_by_its_whole_stack_and_is_no_stall() -> None:
    lines = ["Full thread dump OpenJDK:", *thread(1, "a.B.c")]
    lines.insert(-1, "\tat org.apache.tomcat.util.threads.TaskQueue.take(TaskQueue.java:141)")
    lines += thread(2, "org.example.Slow.work")
    assert not any(line.startswith("no request thread") for line in threads.tell(lines))


def test_a_deadlock_that_the_jvm_found_is_told_with_its_threads() -> None:
    lines = [
        "Full thread dump OpenJDK:",
        "Found one Java-level deadlock:",
        "=============================",
        '"b-1":',
        "  waiting to lock monitor 0x1 (object 0x2, a java.lang.Object),",
        '  which is held by "a-1"',
        '"a-1":',
        '  which is held by "b-1"',
    ]
    assert "deadlock found by the JVM between a-1, b-1" in list(threads.tell(threads.dump_in(lines)))


def test_only_the_last_dump_of_a_log_counts() -> None:
    lines = ["Full thread dump A", *thread(1, "a.B.c"), "other", "Full thread dump B", *thread(2, "d.E.f")]
    assert threads.dump_in(lines)[0] == "Full thread dump B"
    assert threads.dump_in(["nothing"]) == []


# ---- the kernel's files ----------------------------------------------------------------------------------------------


def test_a_record_of_the_kernels_log_is_taken_apart() -> None:
    record = parse(b"6,1234,5678901234,-;Out of memory: Killed process 1 (x)\n SUBSYSTEM=y\n")
    assert record is not None
    assert (record.at, record.text) == (5678.901234, "Out of memory: Killed process 1 (x)")
    for wrong in (b"", b"no head", b"6,1,x,-;text", b";;;"):
        assert parse(wrong) is None


def test_a_forbidden_kernel_log_is_absent_with_its_reason(tmp_path: Path) -> None:
    log = KernelLog(str(tmp_path / "kmsg"))
    assert log.problem
    with pytest.raises(Absent, match="No such file"):
        log.since(0)


def test_processes_that_vanish_are_not_there() -> None:
    assert family.see(4_194_304 + 1) is None
    assert family.look([4_194_305, os.getpid()]).keys() == {os.getpid()}
    assert groups_of(4_194_305) == Groups({})


def test_our_own_process_is_told_with_its_files() -> None:
    now = family.look([os.getpid()])
    lines = list(family.tell(now, now, 1.0))
    assert any(f"pid {os.getpid()} " in line and " files, 0.00 processors busy" in line for line in lines)


def test_a_counter_that_rose_is_told_with_its_numbers(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom_kill 2\n")
    (tmp_path / "memory.max").write_text("67108864\n")
    lines = list(tell_groups(Groups({str(events): 1})))
    assert lines == [f"1 processes killed for lack of memory in {tmp_path} (limit 64 MiB)"]
    events.write_text("garbage\n")
    assert list(tell_groups(Groups({str(events): 1}))) == []
    with pytest.raises(Absent):
        list(tell_groups(Groups({})))


def test_a_jump_of_the_wall_clock_and_a_suspended_machine_are_told() -> None:
    now = Clocks.now()
    assert any(
        "wall clock jumped by +3600.0 s" in line
        for line in tell_clocks(Clocks(now.wall - 3600, now.boot, now.monotonic))
    )
    slept = Clocks(now.wall - 60, now.boot - 60, now.monotonic)
    assert any("suspended for 60.0 s" in line for line in tell_clocks(slept))


def test_disks_are_told_once_each_and_missing_paths_by_their_parent(tmp_path: Path) -> None:
    lines = list(tell_disks([str(tmp_path), str(tmp_path / "no/such/file"), ""]))
    assert len(lines) == 1 and lines[0].startswith(f"disk of {tmp_path}: ")
