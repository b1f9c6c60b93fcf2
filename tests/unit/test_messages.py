"""The catalogue of messages, and text from outside made harmless."""

import ast
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_glue.journal_database import ENDINGS, OUTAGE_ENDINGS
from cluster_glue.journal_reader import ACTIONS
from cluster_glue.messages import CATALOGUE, GROUPS, SEVERITIES, catalogue_page, render, sanitise
from cluster_glue.recovery.model import Tell
from ocf.faults import Fault, Kind
from tests.house import ROOT, text_of

#: What was given away once stays so: an id may be added here, never changed.
IDS = {
    "fell": "KOB110", "suspect": "KOB111", "slow": "KOB112", "degraded": "KOB113", "child-died": "KOB114",
    "gone": "KOB115", "void": "KOB116", "misconfigured": "KOB117", "start-failed": "KOB118", "stop-failed": "KOB119",
    "sighting": "KOB120", "blocked": "KOB121",
    "restarting": "KOB210", "waiting": "KOB211", "observing": "KOB212", "orphans-ended": "KOB213",
    "leftovers-removed": "KOB214", "evidence-kept": "KOB215", "explained": "KOB216",
    "worker-replaced": "KOB217",
    "postponed": "KOB218",
    "recovered": "KOB310", "up": "KOB311", "normal": "KOB312", "adopted": "KOB313",
    "eased": "KOB314",
    "exhausted": "KOB410", "hopeless": "KOB411", "escalated": "KOB412",
    "hand-over-failed": "KOB413", "reboot-suppressed": "KOB414", "rebooting": "KOB415", "taken-back": "KOB416",
    "cluster-decided": "KOB417",
    "starting": "KOB510", "stopping": "KOB511", "stopped": "KOB512", "paused": "KOB513", "resumed": "KOB514",
    "cleared": "KOB515", "reloaded": "KOB516", "reload-refused": "KOB517", "reload-failed": "KOB518",
    "restart-refused": "KOB519", "released": "KOB520",
    "daemon-started": "KOB910", "daemon-ended": "KOB911", "config-reloaded": "KOB912", "config-refused": "KOB913",
    "journal-lost": "KOB914", "journal-back": "KOB915", "state-lost": "KOB916", "sensor-lost": "KOB917",
    "balancer-lost": "KOB918",
    "stood-still": "KOB919",
}  # fmt: skip

HOSTILE = (
    "[error] bad\nNov 22 00:00:00 host sshd[1]: Accepted password for root\r\n"
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J \x00\x08 \u202egnp.exe \u2028 \ud800 \u200b\tend"
)


def constants(node: ast.expr, around: ast.AST) -> Iterator[str]:
    """All texts that an expression may be, looking through conditions and local names."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from constants(body, around)
            yield from constants(orelse, around)
        case ast.Name(id=name):
            for other in ast.walk(around):
                if isinstance(other, ast.Assign) and any(
                    isinstance(t, ast.Name) and t.id == name for t in other.targets
                ):
                    yield from constants(other.value, around)


def told(path: Path) -> Iterator[str]:
    """Every message that a module may tell."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if name in ("Tell", "say", "_from_thread"):
                yield from constants(call.args[0], function)


def test_everything_that_is_told_is_in_the_catalogue() -> None:
    names = {name for path in (ROOT / "cluster_glue").rglob("*.py") for name in told(path)}
    assert {"fell", "recovered", "exhausted", "hopeless"} <= names
    assert names <= CATALOGUE.keys()


def test_an_id_never_changes_and_is_never_given_away_twice() -> None:
    assert {name: message.id for name, message in CATALOGUE.items()} == IDS
    assert len(set(IDS.values())) == len(IDS)


@pytest.mark.parametrize("message", CATALOGUE.values(), ids=lambda message: message.name)
def test_every_message_has_a_group_a_severity_a_meaning_and_advice(message) -> None:
    assert re.fullmatch(r"KOB\d{3}", message.id)
    assert message.id[3] in GROUPS
    assert message.severity in SEVERITIES
    assert 0 <= message.priority <= 7
    for text in (message.meaning, message.advice):
        assert text == sanitise(text)
        assert text.endswith((".", "`."))


def test_the_journal_knows_only_messages_of_the_catalogue() -> None:
    assert ENDINGS | OUTAGE_ENDINGS | set(ACTIONS) | {"evidence-kept"} <= CATALOGUE.keys()


def test_the_page_of_messages_is_up_to_date() -> None:
    assert text_of("docs/messages.rst") == catalogue_page(), "run: python -m cluster_glue.messages > docs/messages.rst"


@given(st.text() | st.binary(), st.integers(1, 100))
def test_sanitised_text_is_one_harmless_bounded_line(text: str | bytes, limit: int) -> None:
    line = sanitise(text, limit)
    assert len(line) <= limit
    assert line.splitlines() in ([], [line])
    assert not {unicodedata.category(char) for char in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert line.encode().decode() == line
    assert sanitise(line, limit) == line


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=100))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert sanitise(text) == text


def test_terminal_escapes_go_as_a_whole() -> None:
    assert sanitise("\x1b[1;31mred\x1b[0m and \x1b]0;evil title\x07plain\x1b(B") == "red and plain"


def test_binary_garbage_and_injected_lines_become_one_line() -> None:
    line = sanitise(HOSTILE)
    assert "\n" not in line
    assert line.startswith("[error] bad Nov 22")
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert sanitise(b"\xff\xfe\x00log\n") == "\ufffd\ufffdlog"


def test_a_huge_text_is_cut_and_says_so() -> None:
    assert sanitise("x" * 10_000_000, 20) == "x" * 19 + "…"


def test_a_rendered_line_names_resource_message_proof_and_incident() -> None:
    fault = Fault("killed", Kind.RESOURCE, "killed by SIGKILL", f"proof {HOSTILE}")
    line = render("web1", Tell("fell", "killed by SIGKILL", 3, fault))
    assert line.startswith("web1 fell: killed by SIGKILL | proof [error] bad")
    assert line.endswith("[KOB110, killed, web1-3]")
    assert len(line.splitlines()) == 1


def test_a_proof_is_shown_where_it_is_news_and_not_again() -> None:
    fault = Fault("killed", Kind.RESOURCE, "killed by SIGKILL", "exit status -9")
    shown = {name for name in CATALOGUE if "exit status" in render("web1", Tell(name, "x", 1, fault))}
    assert {"fell", "explained", "start-failed", "exhausted"} <= shown
    assert not shown & {"restarting", "recovered", "up", "waiting"}


def test_koboshi_speaks_of_itself_by_name() -> None:
    assert render("", Tell("daemon-started", "")) == "koboshi daemon-started: koboshi runs. [KOB910]"
