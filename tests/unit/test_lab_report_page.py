"""The report's HTML: one file that asks for nothing, runs nothing, and takes no word for anything but a word."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import HOSTILE, SAMPLES, records, thorough
from vagrant.lab.answers import Answer
from vagrant.lab.drawing import FORMS
from vagrant.lab.lanes import lanes, marks
from vagrant.lab.machines import LabError
from vagrant.lab.record import Record, keep, load_all
from vagrant.lab.report import STYLE, page, report
from vagrant.lab.timeline import Event

VOID = {"meta", "link"}
ELEMENTS = VOID | {
    "html", "head", "title", "style", "body", "header", "main", "section", "h1", "h2", "h3", "p", "a", "strong", "span",
    "div", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "ul", "li", "svg", "defs", "pattern",
    "desc", "g", "rect", "line", "path", "text",
}  # fmt: skip


class Read(HTMLParser):
    """A page as a browser takes it: its elements, which are whole, their attributes, and the words in between."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def of(self, kind: str) -> list[dict[str, str]]:
        """The attributes of all elements of a class."""
        return [attributes for _, attributes in self.tags if kind in attributes.get("class", "").split()]


@thorough
@given(st.lists(records(), min_size=1, max_size=3))
def test_whatever_was_recorded_the_page_has_only_our_elements_and_none_that_runs_or_fetches(
    found: list[Record],
) -> None:
    read = Read(page(found))
    assert {name for name, _ in read.tags} <= ELEMENTS
    names = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(set(names)) == len(names)
    for name, attributes in read.tags:
        assert not any(key.startswith("on") or key in ("style", "src", "srcset", "xlink:href") for key in attributes)
        if "href" in attributes:
            assert (name, attributes["href"]) == ("link", "data:,") or attributes["href"][1:] in names
        assert attributes.get("fill", "url(#n0)")[5:-1] in names
        assert set(attributes.get("aria-labelledby", "").split()) <= set(names)


@thorough
@given(st.lists(records(), min_size=1, max_size=2))
def test_each_bad_request_is_a_mark_and_each_event_a_row(found: list[Record]) -> None:
    read = Read(page(found))
    assert len(read.of("bad")) == sum(not each.good for record in found for each in record.requests)
    assert len(read.of("moment")) == len(FORMS) * sum(len(lane.marks) for record in found for lane in lanes(record))
    for number, record in enumerate(found, 1):
        for mark in marks(record):
            assert sum(attributes.get("id") == f"s{number}-{mark.number}" for _, attributes in read.tags) == 1


@pytest.mark.parametrize("words", [each for each in HOSTILE if each.isprintable() and 0 < len(each) < 30])
def test_hostile_words_are_shown_as_words(words: str) -> None:
    answers = (Answer(1.0, 1.1, words, True, words), Answer(2.0, 2.1, words, False, words))
    read = Read(page([Record(words, words, words, 1, 0.0, words, (words,), answers, (Event(1.0, words, words),))]))
    assert Counter(read.words)[words] >= 7


def test_words_of_other_scripts_and_half_letters_do_no_harm(tmp_path: Path) -> None:
    found = Record("\ud800", "\udfff", "\ud83d", 1, 0.0, "", ("\ud800",), (), (Event(0.0, "\ud800", "\ud800"),))
    keep(found, tmp_path)
    assert report(tmp_path, tmp_path / "report.html") == 0
    assert "\N{REPLACEMENT CHARACTER}" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_policy_allows_its_own_style_and_nothing_else() -> None:
    text = page(load_all(SAMPLES))
    [policy] = [attributes["content"] for _, attributes in Read(text).tags if "http-equiv" in attributes]
    style = text[text.index("<style>") + 7 : text.index("</style>")]
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = f"default-src 'none'; style-src 'sha256-{allowed}'; img-src data:; base-uri 'none'; form-action 'none'"
    assert policy == rules
    assert not re.search(r"url\(|@import|expression", style)
    assert text.index("Content-Security-Policy") < text.index("<style>")
    assert "//" not in re.sub(r"/\*.*?\*/", "", STYLE.read_text())


def test_the_summary_has_a_row_for_each_scenario_with_result_outage_and_failovers() -> None:
    found = load_all(SAMPLES)
    words = "|".join(Read(page(found)).words)
    top = words[: words.index("What happened")]
    assert "3 scenarios: 2 passed, 1 failed" in top
    for record in found:
        assert f"|{record.name}|{record.title}|namespaces, 2 nodes|" in top
    assert re.search(r"✔ passed.*web: 5\.22 s\|.*shop: 7\.09 s\|.*\|2\|", top, re.DOTALL)
    assert re.search(
        r"✘ failed\|.*90-too_slow.txt:7: expect web was bad for at most 0.5s\|.*the client missed it", top, re.DOTALL
    )


def test_the_pictures_have_words_for_who_cannot_see_them() -> None:
    read = Read(page(load_all(SAMPLES)))
    names = {attributes["id"] for _, attributes in read.tags if "id" in attributes}
    pictures = read.of("picture")
    assert len(pictures) == 3 * 3
    for picture in pictures:
        assert picture["role"] in ("img", "group")
        assert {picture["aria-labelledby"], picture["aria-describedby"]} <= names
    tables = [attributes for name, attributes in read.tags if name == "table"]
    heads = [attributes for name, attributes in read.tags if name == "th"]
    assert len(tables) == 4
    assert all(head["scope"] in ("col", "row") for head in heads)


def test_the_same_records_make_the_same_report(tmp_path: Path) -> None:
    assert page(load_all(SAMPLES)) == page(load_all(SAMPLES))


def test_a_report_of_nothing_says_what_to_do_first(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(LabError, match="nothing was rehearsed yet: script/lab drill NAME first"):
            report(folder, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_report_is_written_and_its_path_told_also_when_something_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.html"
    assert report(SAMPLES, output) == 0
    assert output.read_text(encoding="utf-8") == page(load_all(SAMPLES))
    told = capsys.readouterr().out
    assert told.endswith(f"3 scenarios: 2 passed, 1 failed\nthe report is in {output}\n")
    assert all(record.name in told for record in load_all(SAMPLES))


def test_where_it_cannot_be_written_the_reason_and_the_remedy_are_told(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be written: Is a directory; --output names another file"):
        report(SAMPLES, tmp_path)
