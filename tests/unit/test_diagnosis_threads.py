"""What thread dumps of real JVMs prove (``tests/samples/thread_dumps``), and what pieces of one do not."""

from __future__ import annotations

import os
import threading
import time

import pytest

from cluster_glue.diagnosis import family, heap, threads
from resource_agents import tomcat_dump
from tests.house import ROOT

SAMPLES = {path.stem: path.read_text().splitlines() for path in (ROOT / "tests/samples/thread_dumps").glob("*.txt")}

#: What a dump says that is not only a count.
CLAIMS = ("is gone", "stands in accept", "maxConnections are open", "deadlock", "no request thread")


def told(sample: str) -> list[str]:
    return list(threads.tell(threads.dump_in(SAMPLES[sample])))


def claims(lines: list[str]) -> list[str]:
    return [line for line in lines if any(word in line for word in CLAIMS) and not line.startswith("ajp-")]


def test_every_dump_tells_how_it_was_recorded() -> None:
    assert all(lines[0].startswith("# Recorded from ") for lines in SAMPLES.values())


def test_a_deadlock_is_told_with_its_threads_though_their_number_comes_last() -> None:
    assert "Found 1 deadlock." in SAMPLES["deadlock"]
    connector = "http-nio-127.0.0.1-34285"
    words = f"deadlock found by the JVM between {connector}-exec-4, {connector}-exec-1"
    assert words in told("deadlock")


@pytest.mark.parametrize(
    ("sample", "claim"),
    [
        ("acceptor_gone", "its thread that accepts connections (Acceptor) is gone"),
        ("poller_gone", "its thread that reads requests (Poller) is gone"),
        ("acceptor_suspended", "its acceptor stands in accept"),
        ("connections_used_up", "its acceptor waits until a connection ends, as maxConnections are open"),
    ],
)
def test_the_threads_of_a_connector_are_told_of(sample: str, claim: str) -> None:
    found = [line.partition(": ")[2] for line in claims(told(sample))]
    assert claim in found
    assert sum("is gone" in line for line in found) == ("is gone" in claim)


def test_threads_with_numbers_are_the_same_threads() -> None:
    """As Tomcat 8.5 calls them."""
    for sample, lines in SAMPLES.items():
        numbered = [
            line.replace('-Acceptor"', '-Acceptor-0"').replace('-Poller"', '-ClientPoller-1"') for line in lines
        ]
        assert list(threads.tell(threads.dump_in(numbered))) == told(sample)


@pytest.mark.parametrize("sample", ["acceptor_gone", "poller_gone", "deadlock", "heap_full"])
def test_nobody_is_missing_in_a_dump_that_was_cut_off(sample: str) -> None:
    dump = threads.dump_in(SAMPLES[sample])
    end = next(at for at, line in enumerate(dump) if line.startswith("JNI global ref"))
    for cut in range(0, end, 7):
        assert not any("is gone" in line for line in threads.tell(dump[:cut]))


def test_a_thread_is_not_missing_because_other_words_came_between_its_own() -> None:
    dump = threads.dump_in(SAMPLES["acceptor_suspended"])
    torn = [
        line.replace('"http-nio', 'SEVERE: something else"http-nio') if "-Acceptor" in line else line for line in dump
    ]
    assert torn != dump
    assert not any("is gone" in line for line in threads.tell(torn))


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("heap_serial", "the heap is 0 % full: its tenured generation holds 0 of 43712 KiB"),
        ("heap_parallel", "the heap is 0 % full: its ParOldGen holds 0 of 44032 KiB"),
        ("heap_g1", "the heap is 11 % full: its garbage-first heap holds 7615 of 65536 KiB"),
    ],
)
def test_the_heap_is_read_of_every_collector(sample: str, words: str) -> None:
    lines = list(heap.tell(threads.dump_in(SAMPLES[sample]), ("-XX:MaxMetaspaceSize=32m",)))
    assert lines[0] == words
    assert lines[1].startswith("the metaspace is 2") and lines[1].endswith(" of 32768 KiB are committed")


def test_a_metaspace_without_a_limit_is_never_full() -> None:
    dump = threads.dump_in(SAMPLES["metaspace_full"])
    assert not any("metaspace" in line for line in heap.tell(dump, ("-Xmx48m",)))
    narrow = ("-XX:MaxMetaspaceSize=1g", "-XX:MaxMetaspaceSize=28m")
    assert "the metaspace is 100 % full: 28672 of 28672 KiB are committed" in list(heap.tell(dump, narrow))


def test_a_full_heap_is_told_in_full() -> None:
    (line,) = heap.tell(threads.dump_in(SAMPLES["heap_full"]), ())
    assert line.startswith("the heap is 99 % full: its tenured generation holds ")


def test_the_end_of_a_dump_is_known_by_what_is_written_last() -> None:
    for lines in SAMPLES.values():
        text = ("\n".join(lines) + "\n").encode()
        assert tomcat_dump._END.search(text)
        heap_begins = text.index(b"\nHeap\n")
        assert not tomcat_dump._END.search(text[: heap_begins + 200])


def test_a_collector_of_garbage_is_known_by_the_kernels_name_of_its_thread() -> None:
    """A thread of our own bears the name, and computes."""
    end, names = threading.Event(), threading.Event()
    found: list[int] = []

    def collect() -> None:
        found.append(threading.get_native_id())
        with open(f"/proc/self/task/{found[0]}/comm", "w") as comm:
            comm.write("VM Thread")
        names.set()
        while not end.is_set():
            sum(range(1000))

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    assert names.wait(30)
    try:
        deadline = time.monotonic() + 60
        while heap.collectors(os.getpid(), 1 / family.TICKS).get(found[0], 0.0) <= 0.0:
            assert time.monotonic() < deadline
    finally:
        end.set()
        thread.join()


def test_how_long_a_jvm_collected_is_told_of_the_clock_and_of_its_own_time() -> None:
    def seen(cpu: float, collected: float) -> family.Seen:
        return family.Seen(7, "S", "java", cpu, 30, "", 5, 100, {9: collected})

    (line,) = (one for one in family.tell({7: seen(3.0, 2.5)}, {7: seen(2.0, 1.6)}, 2.0) if "garbage" in one)
    assert line == "pid 7 (java) collected garbage for 45 % of 2.0 s, 90 % of its processor time"
    (line,) = (one for one in family.tell({7: seen(2.01, 1.61)}, {7: seen(2.0, 1.6)}, 4.0) if "garbage" in one)
    assert line == "pid 7 (java) collected garbage for 0 % of 4.0 s, 0 % of its processor time", "a tick says nothing"
    assert not any("garbage" in one for one in family.tell({7: seen(3.0, 2.5)}, {}, 0.0))
