"""Evidence in, at most one cause out: every rule with evidence that was recorded or has the kernel's own form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster_glue.diagnosis.causes import STRONG
from cluster_glue.diagnosis.evidence import DIED, STALLED, Evidence, Item
from cluster_glue.diagnosis.hints import LAST, WEAK
from cluster_glue.diagnosis.page import page
from cluster_glue.diagnosis.rule import Rule
from cluster_glue.diagnosis.rules import Subject, name, prove
from ocf.faults import Fault, Kind
from resource_agents.server import load
from tests.house import ROOT, text_of

SAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "tests/evidence").glob("*.json"))}

#: Parameters without which an agent cannot be made; nothing is read from them here.
NEEDED = {"tomcat": {"catalina_home": "/nowhere", "java_home": "/nowhere", "tomcat_name": "x"}}


def evidence_of(sample: dict[str, Any]) -> Evidence:
    return Evidence(sample["moment"], {name: Item(tuple(lines)) for name, lines in sample["items"].items()})


def subject_of(sample: dict[str, Any]) -> Subject:
    return Subject(sample["main"], tuple(sample["family"]), tuple(sample["ports"]))


def named(sample: dict[str, Any]) -> Fault:
    server = load(sample["agent"])(NEEDED.get(sample["agent"], {}))
    seen = Fault(sample["seen"], Kind.RESOURCE, "it was seen to fail")
    return name(evidence_of(sample), seen, server, subject_of(sample))


@pytest.mark.parametrize("sample", SAMPLES)
def test_evidence_leads_to_its_cause(sample: str) -> None:
    fault = named(SAMPLES[sample])
    assert (fault.cause, fault.kind.value) == (SAMPLES[sample]["cause"], SAMPLES[sample]["kind"])


@pytest.mark.parametrize("rule", [*STRONG, *WEAK, *LAST], ids=lambda rule: f"{rule.cause}-{rule.proof[0]}")
def test_every_rule_has_evidence_that_only_it_explains_so(rule: Rule) -> None:
    proved = [
        fault
        for sample in SAMPLES.values()
        if (fault := prove(rule, evidence_of(sample), subject_of(sample))) is not None and fault == named(sample)
    ]
    assert proved
    for fault in proved:
        assert fault.proof, "no proof, no name"
        assert "{" not in fault.reason and "?" not in fault.reason, fault.reason


def test_no_evidence_names_nothing() -> None:
    seen = Fault("unknown", Kind.RESOURCE, "it is gone")
    for moment in (DIED, STALLED):
        assert name(Evidence(moment), seen, None, Subject()) is seen


def test_the_sender_is_named_with_pid_command_and_user_in_one_sentence() -> None:
    reason = named(SAMPLES["killed_by_shell"]).reason
    assert reason == (
        "the main process (pid 4711) was ended by SIGKILL,"
        " sent by pid 25579 (bash -c kill -9 4711; sleep 0.2, user root)"
    )


def test_a_log_line_cannot_pretend_to_be_the_kernel() -> None:
    assert named(SAMPLES["forged_log"]).cause == "unknown"


def test_proof_and_reason_are_one_harmless_line() -> None:
    rule = next(rule for rule in STRONG if rule.cause == "port-taken")
    line = "127.0.0.1:80 is held by somebody else: pid 9 (evil\x1b[2J\r\nname, user x); 0 of 5 connections wait"
    fault = prove(rule, Evidence(STALLED, {"listeners": Item((line.replace("\r\n", " "),))}), Subject())
    assert fault is not None
    assert fault.reason.isprintable() and fault.proof.isprintable()


def test_the_page_of_causes_is_up_to_date() -> None:
    assert text_of("docs/causes.rst") == page(), "run: python -m cluster_glue.diagnosis.page >docs/causes.rst"


def test_samples_hold_nothing_of_a_real_machine() -> None:
    for path in Path(ROOT / "tests/evidence").glob("*.json"):
        assert str(ROOT) not in path.read_text()
