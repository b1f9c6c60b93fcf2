"""What a played scenario leaves: read back as it was, or refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import SAMPLES, records, thorough
from vagrant.lab.answers import Answer, outage
from vagrant.lab.lanes import labels, lanes, marks, outages, span, spread
from vagrant.lab.record import Record, RecordError, doing, dump, keep, load, load_all, parse, record
from vagrant.lab.scenario import parse as parse_scenario
from vagrant.lab.timeline import Event

SAMPLE = (SAMPLES / "01-killed_once-namespaces.json").read_text()


@thorough
@given(records())
def test_a_record_reads_back_as_it_was_written(found: Record) -> None:
    text = dump(found)
    assert text.isascii()
    assert parse(text) == found


def test_records_of_real_plays_read_back_and_say_what_happened() -> None:
    once, killed, slow = load_all(SAMPLES)
    assert (once.name, once.problem, once.provider, once.nodes) == ("killed_once", "", "namespaces", 2)
    assert 0 < outage(once.of("web")) < 10
    assert outage(once.of("shop")) == 0
    assert any(each.who == "Pacemaker node2" and "fencing" in each.words for each in killed.events)
    assert "bad for at most" in slow.problem
    for path, found in zip(sorted(SAMPLES.glob("*.json")), (once, killed, slow), strict=True):
        assert dump(found) == path.read_text()


def _changed(**changes: Any) -> str:
    return json.dumps(json.loads(SAMPLE) | changes)


def _without(key: str) -> str:
    return json.dumps({name: value for name, value in json.loads(SAMPLE).items() if name != key})


def _asked(**changes: Any) -> str:
    requests = json.loads(SAMPLE)["requests"]
    return _changed(requests=requests | {"web": requests["web"] | changes})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "does not say"),
        ("{}", "does not say"),
        ("[" * 100_000, "nested|recursion"),
        (_changed(version=2), "its version is '2', and this is read: 1"),
        (_changed(version=True), "its version is 'True'"),
        (_changed(more=1), "it has more"),
        (_without("events"), "events is missing"),
        (_changed(name=7), "name should be a str, and is a int"),
        (_changed(nodes=-1), "nodes should be a whole number"),
        (_changed(when=1.5), "when should be a whole number"),
        (_changed(when=10**40), "when should be a whole number"),
        (SAMPLE.replace('"nodes": 2', '"nodes": NaN'), "NaN is no number"),
        (SAMPLE.replace('"nodes": 2', '"nodes": 2, "nodes": 2'), "there twice"),
        (SAMPLE.replace('"nodes": 2', f'"nodes": {"9" * 5000}'), "digits"),
        (_changed(outage={"web": 1, "shop": 0}), "its outage is not what its requests say"),
        (_changed(requests=[]), "requests should be a dict"),
        (_changed(events=[["soon", "drill", "it"]]), "an event is not made of"),
        (_changed(events=[[True, "drill", "it"]]), "an event is not made of"),
        (_asked(asked=[1]), "differ in length"),
        (_asked(who=[[10**12, True, "node1"]]), "differ in length"),
        (_asked(who=[[0, True, "node1"]]), "who is not made of"),
        (_asked(who=[[1, 1, "node1"]]), "who is not made of"),
        (_asked(asked=[-1], took=[1], who=[[1, True, "node1"]]), "asked should be a whole number"),
        (_asked(asked=[10**9] * 9, took=[1] * 9, who=[[9, True, "node1"]]), "longer than a month"),
        (_asked(soon=[]), "are not asked, took and who"),
    ],
)
def test_what_is_no_record_is_refused_with_the_reason_and_the_files_name(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=f"broken.json is no record of this lab: .*({reason}).*play the scenario"):
        load(path)


def test_what_cannot_be_read_at_all_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    (tmp_path / "b.json").mkdir()
    for name in ("a.json", "b.json", "c.json"):
        with pytest.raises(RecordError, match=f"{name} cannot be read"):
            load(tmp_path / name)


@thorough
@given(st.integers(0, len(SAMPLE) - 1), st.integers(0, 40), st.sampled_from(["", "0", "-", '"', "[", "{", "e9", "\0"]))
def test_a_damaged_file_is_a_record_or_refused_and_nothing_else(at: int, wide: int, instead: str) -> None:
    try:
        parse(SAMPLE[:at] + instead + SAMPLE[at + wide :])
    except RecordError:
        return


def test_a_record_is_kept_under_a_harmless_name_in_place_of_its_last_one(tmp_path: Path) -> None:
    found = parse(_changed(name="../../etc/passwd", provider="a/b"))
    first = keep(found, tmp_path / "records")
    assert first == keep(found, tmp_path / "records")
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["______etc_passwd-a_b.json"]
    assert keep(found, tmp_path / "records", "07-seventh").name == "07-seventh-a_b.json"
    assert load(first) == found


class Watched:
    """What a lab of one node saw, as far as a record asks for it."""

    lab = SimpleNamespace(provider="paper", nodes=["node1"])
    cluster = SimpleNamespace(operations=lambda since: [], decisions=lambda since: [(since + 3, "node1", "Start web")])

    def __init__(self) -> None:
        self.since, self.client = 1015.0, self

    def answers(self, service: str = "", since: float = 0.0) -> list[Answer]:
        asked = [Answer(at, at + 0.0123, "web", at != 1005.0, "node1") for at in (1000.0004, 1005.0, 1010.0)]
        return [each for each in asked if each.asked >= since and service in ("", each.service)]

    def journal(self, node: str) -> list[tuple[float, str, str, str]]:
        return [(self.since + 2, "web", "fell", "killed"), (self.since + 1, "web", "cluster-decided", "no")]


def test_a_record_tells_all_since_the_beginning_also_when_the_scenario_marked_a_later_one(tmp_path: Path) -> None:
    path = tmp_path / "03-done.txt"
    path.write_text("# Done.\nrun node1: true\nmark\nexpect web answers\n")
    scenario, view, doings = parse_scenario(path), Watched(), list[Event]()
    for line in scenario.lines:
        doings += doing(line)
    found = record(view, scenario, 1000.0, "it did not", doings)  # type: ignore[arg-type]
    assert view.since == 1015.0
    assert (found.name, found.title, found.provider, found.nodes, found.when) == ("done", "Done.", "paper", 1, 1000.0)
    assert [(each.asked, each.at) for each in found.requests] == [
        (1000.0, 1000.012),
        (1005.0, 1005.012),
        (1010.0, 1010.012),
    ]
    told = [(each.at, each.who, each.words) for each in found.events if each.who not in ("client", "drill")]
    assert told == [(1002.0, "koboshi node1", "web fell: killed"), (1003.0, "Pacemaker node1", "Start web")]
    assert [each.words for each in found.events if each.who == "drill"] == ["run node1: true"]
    assert [each.words for each in found.events if each.who == "client"][1] == "web does not answer"
    assert parse(dump(found)) == found


# ---- what is drawn of it ---------------------------------------------------------------------------------------------


@thorough
@given(records())
def test_the_outages_that_are_drawn_are_the_outage_that_is_measured(found: Record) -> None:
    for service in found.services:
        answers = found.of(service)
        assert sum(end - begin for begin, end in outages(answers)) == pytest.approx(outage(answers), abs=1e-3)


@thorough
@given(records(), st.integers(40, 900))
def test_each_event_has_its_number_in_one_lane_and_numbers_do_not_meet(found: Record, most: int) -> None:
    def place(at: float) -> float:
        return min(max(at / span(found), 0), 1) * most

    shown = [mark.number for lane in lanes(found) for mark in lane.marks]
    assert sorted(shown) == [mark.number for mark in marks(found)]
    for lane in lanes(found):
        for arrange in (labels, spread):
            made = arrange(lane, place, lambda words: 8.0 * len(words), most)
            assert [mark for label in made for mark in label.marks] == list(lane.marks)
            ends = [label.start + 8.0 * len(label.words) for label in made]
            assert all(end < label.start for end, label in zip(ends, made[1:], strict=False))
            assert made[0].start >= 0
            assert ends[-1] <= most + 1e-6 or len(made) == 1


def test_events_of_a_lane_keep_their_order() -> None:
    found = Record("n", "t", "p", 1, 0.0, "", (), (), tuple(Event(float(at), "drill", "x") for at in range(3)))
    assert [[mark.at for mark in lane.marks] for lane in lanes(found)] == [[0.0, 1.0, 2.0]]
