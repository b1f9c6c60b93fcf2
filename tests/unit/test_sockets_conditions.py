"""A condition is said when it turns, not again and again; only a leak that lasts becomes a fault."""

from itertools import pairwise

from cluster_glue.recovery.sensors.conditions import REMIND_AFTER, Board, Finding, Reading
from ocf.faults import Fault, Kind

FAULT = Fault("descriptors-exhausted", Kind.CONFIGURATION, "many files", "", "raise the limit")


def reading(value: float, patience: float | None = None) -> Reading:
    return Reading("descriptors", value, 80, 95, FAULT, patience)


def words(found: list[Finding]) -> list[str]:
    return [each.tell.message for each in found if each.tell is not None]


def test_a_value_counts_only_when_it_holds() -> None:
    board = Board("web")
    assert board.judge([reading(90)], 0) == []
    assert board.judge([reading(10)], 1) == []
    assert board.judge([reading(90)], 2) == []
    assert board.judge([reading(90)], 3) == []
    assert words(board.judge([reading(90)], 4)) == ["sighting"]


def test_a_warning_comes_before_its_error_and_each_is_said_once() -> None:
    board = Board("web")
    said = []
    for now in range(30):
        said += words(board.judge([reading(85 if now < 10 else 97)], now))
    assert said == ["sighting", "degraded"]
    assert board.errors() == [FAULT]
    assert board.levels() == {"descriptors": "error"}


def test_a_value_that_swings_around_its_threshold_is_said_once() -> None:
    board = Board("web")
    said = []
    for now in range(100):
        said += words(board.judge([reading(79 if now > 5 and now % 2 else 81)], now))
    assert said == ["sighting"]


def test_what_is_over_is_said_once_and_may_come_again() -> None:
    board = Board("web")
    said = []
    for now in range(60):
        said += words(board.judge([reading(85)] if now % 20 < 10 else [], now))
    assert said == ["sighting", "eased"] * 3
    assert board.levels() == {}


def test_what_was_not_measured_now_stays_as_it_was() -> None:
    board = Board("web")
    for now in range(4):
        board.judge([reading(99)], now)
    assert board.judge([], 5, keep={"descriptors"}) == []
    assert words(board.judge([], 6)) == ["eased"]


def test_a_leak_becomes_a_hard_fault_when_it_was_at_its_error_for_long_enough() -> None:
    board = Board("web")
    events: list[float] = []
    for now in range(200):
        found = board.judge([reading(99, patience=30.0)], now)
        events += [now for each in found if each.event is not None and each.event.hard and each.name == "web"]
    assert events[0] == 32
    assert all(later - earlier >= REMIND_AFTER for earlier, later in pairwise(events))


def test_a_limit_that_is_too_low_never_becomes_a_fault() -> None:
    board = Board("web")
    assert not [each for now in range(1000) for each in board.judge([reading(100)], now) if each.event]
