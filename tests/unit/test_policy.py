"""The policy refuses numbers that cannot keep its promises, and says why in numbers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster_glue.recovery.policy import GRACE, Policy, PolicyError


def test_the_defaults_are_valid_and_are_what_the_field_knows() -> None:
    policy = Policy()
    assert (policy.restart_limit, policy.restart_window, policy.on_exhausted) == (3, 86400.0, "report")


def test_every_parameter_says_what_it_is_and_in_what_unit() -> None:
    for parameter in fields(Policy):
        assert parameter.metadata["doc"]
        assert parameter.metadata["unit"] or "choices" in parameter.metadata


def test_a_window_that_cannot_hold_its_restarts_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(PolicyError) as refused:
        Policy(restart_window=60.0)
    message = str(refused.value)
    assert "restart_window = 60 s" in message
    assert (
        "(restart_limit 3 + 1) x longest cycle 182.5 s (notice 12.5 + wait 60 + stop 65 + start 45) = 730 s" in message
    )
    assert "Make restart_window at least 730" in message
    assert Policy(restart_window=730.0).longest_cycle() == 182.5


def test_under_a_cluster_the_questions_are_part_of_the_cycle() -> None:
    """Asked when the fault is noticed, and again after the wait."""
    alone, leased = Policy(), Policy(lease=30.0)
    assert leased.longest_cycle() - alone.longest_cycle() == 2 * (leased.ask_timeout + GRACE)
    assert "ask 20 + wait 60 + ask again 20" in leased.cycle_arithmetic()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"restart_limit": -1}, "restart_limit = -1 is below its least value 0 restarts"),
        ({"start_timeout": 0.0}, "start_timeout = 0 is below its least value 0.1 s"),
        ({"restart_wait": float("nan")}, "restart_wait = nan is not a finite number"),
        ({"check_timeout": float("inf")}, "check_timeout = inf is not a finite number"),
        ({"failure_threshold": 2.5}, "failure_threshold = 2.5 must be a whole number of probes"),
        ({"on_exhausted": "panic"}, "on_exhausted = 'panic' is none of report, failover, reboot"),
        ({"connect_timeout": 3.0}, "connect_timeout = 3 s is longer than probe_timeout = 2 s"),
    ],
)
def test_wrong_numbers_are_refused_by_name(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyError, match=words.replace("(", r"\(")):
        Policy(**wrong)


def test_waits_grow_from_try_to_try_up_to_the_longest() -> None:
    policy = Policy()
    assert [policy.wait_before(tries) for tries in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert Policy(restart_wait=0.0).wait_before(50) == 0.0
    assert Policy(restart_wait_factor=1e200).wait_before(50) == 60.0


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    st.integers(0, 8), st.floats(1.0, 1e6), st.floats(0.0, 600.0), st.floats(1.0, 600.0), st.sampled_from([0.0, 30.0])
)
def test_a_policy_that_is_taken_can_hand_over(
    limit: int, window: float, wait: float, timeout: float, lease: float
) -> None:
    """The last restart of a row at its slowest is still in the window with the first."""
    try:
        policy = Policy(
            restart_limit=limit, restart_window=window, restart_wait_max=wait, start_timeout=timeout, lease=lease
        )
    except PolicyError as refused:
        assert f"restart_window = {window:g}" in str(refused)
        return
    assert (limit + 1) * policy.longest_cycle() <= window
