"""The matrix of causes asks for what koboshi can say, and for enough of it."""

from __future__ import annotations

import re

from bench.causes.faults import FAULTS
from cluster_glue.diagnosis.causes import STRONG
from cluster_glue.diagnosis.hints import LAST, WEAK
from resource_agents.server import load
from tests.house import text_of


def test_at_least_thirty_faults_are_really_made() -> None:
    made = [(fault.name, fault.server) for fault in FAULTS if not fault.impossible]
    assert len(set(made)) == len(made) >= 30


def test_every_expected_cause_is_one_that_can_be_named() -> None:
    sensed = set(re.findall(r"^   \* - ``([a-z-]+)``", text_of("docs/sockets.rst"), re.MULTILINE))
    ruled = {rule.cause for rule in (*STRONG, *WEAK, *LAST)} | sensed | {""}
    for fault in FAULTS:
        known = ruled | {signature.cause for signature in load(fault.server).signatures}
        assert set(fault.right) <= known, fault.name


def test_what_cannot_be_made_says_why() -> None:
    assert all(len(fault.impossible) > 20 for fault in FAULTS if fault.impossible)
