"""Deaths of children: evidence one by one, a fault when they crash in a row."""

import pytest

from cluster_glue.recovery.model import Failed
from cluster_glue.recovery.sensors.children import MEMORY, ChildDeath, ChildDeaths
from cluster_glue.recovery.sensors.connector import Exit
from ocf.faults import Kind


class Listening:
    """What the engine would be told."""

    def __init__(self, connected: bool = True) -> None:
        self.faults: list[tuple[str, Failed]] = []
        self.notes: list[ChildDeath] = []
        self.deaths = ChildDeaths(lambda name, event: self.faults.append((name, event)), self.notes.append, connected)
        self.deaths.watch("web", 100, limit=3, window=10.0)

    def die(self, when: float, status: int = -11, parent: int = 100, pid: int = 200) -> None:
        self.deaths.seen(Exit(pid, status, parent, when))


def test_children_that_crash_in_a_row_are_a_hard_fault() -> None:
    told = Listening()
    for when in (1.0, 5.0, 11.0):
        told.die(when)
    ((name, event),) = told.faults
    assert (name, event.hard) == ("web", True)
    assert (event.fault.cause, event.fault.kind) == ("child-crash-loop", Kind.RESOURCE)
    assert event.fault.reason == "3 children were killed by signals within 10 s, the last by SIGSEGV"


def test_the_count_begins_anew_after_a_fault() -> None:
    told = Listening()
    for when in range(6):
        told.die(float(when))
    assert len(told.faults) == 2


def test_crashes_far_apart_are_evidence_only() -> None:
    told = Listening()
    for when in (0.0, 6.0, 12.0, 18.0):
        told.die(when)
    assert told.faults == []
    assert [str(death) for death in told.deaths.evidence("web")] == ["child 200 was killed by SIGSEGV"] * 4
    assert tuple(told.notes) == told.deaths.evidence("web")


@pytest.mark.parametrize("status", [-15, -1, -2, -10, -28])
def test_children_that_are_asked_to_go_are_no_crash_loop(status: int) -> None:
    told = Listening()
    for when in range(50):
        told.die(float(when) / 10, status)
    assert told.faults == []
    assert len(told.deaths.evidence("web")) == MEMORY


def test_children_that_exit_and_children_of_others_are_nothing() -> None:
    told = Listening()
    for when in range(9):
        told.die(float(when), status=1)
        told.die(float(when), parent=101)
    assert (told.faults, told.notes) == ([], [])


def test_a_limit_of_zero_means_never() -> None:
    told = Listening()
    told.deaths.watch("web", 100, limit=0, window=10.0)
    for when in range(50):
        told.die(float(when) / 10)
    assert told.faults == []


def test_a_new_main_process_begins_without_guilt() -> None:
    told = Listening()
    told.die(1.0)
    told.die(2.0)
    told.deaths.watch("web", 100, limit=3, window=10.0)
    assert len(told.deaths.evidence("web")) == 2
    told.deaths.watch("web", 101, limit=3, window=10.0)
    told.die(3.0)
    told.die(3.0, parent=101)
    assert told.faults == []
    assert len(told.deaths.evidence("web")) == 1
    told.deaths.forget("web")
    told.deaths.forget("web")
    told.die(4.0, parent=101)
    assert told.deaths.evidence("web") == ()


def test_without_the_connector_a_vanished_child_is_gone_and_no_more() -> None:
    told = Listening(connected=False)
    for pids in ({1, 2, 3}, {1, 2, 3}, {2, 4}, set()):
        told.deaths.found("web", pids)
    told.deaths.found("nobody", {1})
    assert [str(death) for death in told.notes] == [f"child {pid} is gone" for pid in (1, 3, 2, 4)]
    assert told.faults == []


def test_after_lost_events_the_next_look_finds_who_is_missing() -> None:
    told = Listening()
    told.deaths.found("web", {1, 2, 3, 200})
    told.deaths.found("web", {2, 3, 200})
    assert told.notes == []
    told.die(1.0)
    told.deaths.lost()
    told.deaths.found("web", {3})
    told.deaths.found("web", set())
    assert [str(death) for death in told.notes] == ["child 200 was killed by SIGSEGV", "child 2 is gone"]
