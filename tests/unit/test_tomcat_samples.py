"""Every line by which a Tomcat or its JVM names a cause was recorded from a real one (``tests/samples/tomcat``)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster_glue.diagnosis import omens
from resource_agents.server import Signature
from resource_agents.tomcat import Tomcat
from resource_agents.tomcat_signatures import SIGNATURES, records
from tests.house import ROOT

SAMPLES = sorted((ROOT / "tests/samples/tomcat").glob("*.txt"))

#: Patterns for older releases besides those of the recorded one, which no sample can show.
OLDER = r"|Socket processing request was rejected|Task \[.*\] rejected"


def cause_of(path: Path) -> str:
    """A second sample of one cause has a number behind it."""
    return re.sub(r"-\d+$", "", path.stem)


def lines_of(path: Path) -> list[str]:
    head, *lines = path.read_text().splitlines()
    assert head.startswith("# Recorded from Tomcat 10.1"), "how it was recorded is told first"
    return lines


def tomcat() -> Tomcat:
    return Tomcat({"catalina_home": "/nowhere", "java_home": "/nowhere"})


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_recorded_log_names_its_cause(path: Path) -> None:
    fault = tomcat().explain(lines_of(path), "it failed")
    assert fault is not None
    assert fault.cause == cause_of(path)


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: f"{signature.cause}: {signature.pattern[:40]}")
def test_every_signature_was_seen_in_a_recorded_log(signature: Signature) -> None:
    pattern = signature.pattern.removesuffix(OLDER)
    seen = [path for path in SAMPLES if any(re.search(pattern, record) for record in records(lines_of(path)))]
    assert signature.cause in {cause_of(path) for path in seen}


def test_the_words_of_a_jvm_without_memory_are_omens_and_each_is_told_once() -> None:
    told = {cause_of(path): omens.heard(tomcat(), lines_of(path) * 3) for path in SAMPLES}
    assert {cause for cause, faults in told.items() if faults} == {
        *("heap-exhausted", "gc-exhausted", "metaspace-exhausted"),
        *("direct-memory-exhausted", "thread-limit"),
    }
    for cause, faults in told.items():
        assert [fault.cause for fault in faults] in ([], [cause])
        assert all(fault.proof and fault.advice for fault in faults)


def test_a_name_that_was_cut_off_is_no_name() -> None:
    assert tomcat().explain(["java.lang.OutOfMemoryError"], "it failed") is None
    assert not omens.heard(tomcat(), ["java.lang.OutOfMemoryError", "java.lang.OutOfMemoryError: Requested array size"])
