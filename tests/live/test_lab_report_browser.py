"""The report in a real browser: whole, quiet, readable on a phone and on a desk, by day and by night, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import CHROMIUM, DRIVER, Browser
from tests.recorded import HOSTILE, SAMPLES
from vagrant.lab.answers import Answer
from vagrant.lab.record import Record, load_all
from vagrant.lab.report import page
from vagrant.lab.timeline import Event

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not (CHROMIUM.exists() and DRIVER.exists()), reason="chromium and chromium-driver are not here"),
    pytest.mark.xdist_group("browser"),
]
PLAYED = load_all(SAMPLES)
WIDTHS = (360, 1200)

#: All text that is shown and leaves its place: the window, or for a picture the figure it is in.
OUTSIDE = """
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walker.nextNode()); ) {
  const parent = node.parentElement;
  if (!node.data.trim() || parent.closest('title, desc, style, thead') || !parent.getClientRects().length) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const box = (parent.closest('figure, td, th, section, header') || document.body).getBoundingClientRect();
  for (const rect of range.getClientRects())
    if (rect.left < Math.max(box.left, 0) - 1 || rect.right > Math.min(box.right, innerWidth) + 1)
      found.push(node.data);
}
return found;
"""
#: Numbers and words of the pictures that are shown and lie on each other.
MEETING = """
const found = [];
for (const picture of document.querySelectorAll('.picture')) {
  const boxes = [...picture.querySelectorAll('.name, .length, .number, .pill rect')]
    .filter(each => each.getClientRects().length).map(each => [each, each.getBoundingClientRect()]);
  boxes.forEach(([one, a], index) => boxes.slice(index + 1).forEach(([two, b]) => {
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
      found.push([one.outerHTML, two.outerHTML]);
  }));
}
return found;
"""
#: The contrast (WCAG 2) of each colour of text with what it stands on: the least of each kind.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const light = color => {
  canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
    .map(x => x / 255).map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const ratio = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05);
const ground = element => {
  for (let each = element; each; each = each.parentElement) {
    const color = getComputedStyle(each).backgroundColor;
    if (color && color !== 'rgba(0, 0, 0, 0)' && color !== 'transparent') return color;
  }
  return getComputedStyle(document.body).backgroundColor;
};
const least = {};
const note = (kind, value) => { least[kind] = Math.min(least[kind] ?? 99, value); };
for (const each of document.querySelectorAll('h1, h2, h3, p, a, li, th, td, div, strong, span')) {
  if (each.closest('svg') || !each.textContent.trim() || !each.getClientRects().length) continue;
  note('text', ratio(getComputedStyle(each).color, ground(each)));
}
for (const each of document.querySelectorAll('.picture text')) {
  const style = getComputedStyle(each), box = each.parentElement.querySelector(':scope > rect');
  const halo = each.matches('.inside') && style.stroke, under = halo || (box && getComputedStyle(box).fill);
  note('text in a picture', ratio(style.fill, under || ground(each)));
}
for (const each of document.querySelectorAll('.bad')) {
  const fill = getComputedStyle(each).fill, outage = document.querySelector('.outage');
  note('bad request', Math.min(ratio(fill, ground(each)), ratio(fill, getComputedStyle(outage).fill)));
}
for (const each of document.querySelectorAll('.good, .pill rect, .moment, .bracket line'))
  note('shape', ratio(getComputedStyle(each).stroke, ground(each)));
return least;
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    try:
        yield browser
    finally:
        browser.end()


@pytest.fixture
def shown(browser: Browser, tmp_path: Path) -> Browser:
    return show(browser, tmp_path, PLAYED)


def show(browser: Browser, folder: Path, records: list[Record]) -> Browser:
    """The report of the records, in a browser that forgot all before."""
    (folder / "report.html").write_text(page(records), encoding="utf-8")
    browser.scheme("light")
    browser.resize(1200)
    browser.requested()
    browser.log("browser")
    browser.open((folder / "report.html").as_uri())
    return browser


def hostile() -> Record:
    """Every word of it is bait."""
    answers, events = [], []
    for at, words in enumerate(HOSTILE):
        answers += [Answer(at, at + 0.1, "web", True, words), Answer(at + 0.5, at + 0.6, "web", False, words)]
        events += [
            Event(at + 0.1 * side, f"{who}{words}", words) for side, who in enumerate(("koboshi ", "Pacemaker ", ""))
        ]
    bait = " ".join(HOSTILE)
    asked = sorted(answers, key=lambda each: each.asked)
    return Record(bait, bait, bait, 3, 0.0, "\n".join(HOSTILE), ("web", bait), tuple(asked), tuple(sorted(events)))


def test_it_asks_for_nothing_but_itself_and_nobody_complains(shown: Browser, tmp_path: Path) -> None:
    asked = [url for url in shown.requested() if not url.startswith("data:,")]
    assert asked == [(tmp_path / "report.html").as_uri()]
    assert shown.run("return performance.getEntriesByType('resource').length") == 0
    assert shown.log("browser") == []


def test_its_policy_lets_nothing_run_and_nothing_be_fetched(shown: Browser, tmp_path: Path) -> None:
    shown.run(
        "const script = document.createElement('script'); script.textContent = 'window.hacked = 1';"
        "const image = document.createElement('img'); image.src = arguments[0];"
        "document.body.append(script, image); document.body.setAttribute('onclick', 'window.hacked = 1');"
        "document.body.click();",
        (tmp_path / "other.png").as_uri(),
    )
    assert shown.run("return typeof window.hacked") == "undefined"
    refused = [entry["message"] for entry in shown.log("browser") if "Content Security Policy" in entry["message"]]
    assert len(refused) == 3
    assert any("other.png" in message for message in refused)


@pytest.mark.parametrize("width", WIDTHS)
def test_each_scenario_has_its_row_and_pictures_of_some_size(shown: Browser, width: int) -> None:
    shown.resize(width)
    for number, record in enumerate(PLAYED, 1):
        row, *pictures = shown.run(
            "return [document.querySelector(`.summary a[href='#s${arguments[0]}']`),"
            " ...document.querySelectorAll(`#s${arguments[0]} .picture`)].map(each => {"
            " const box = each.getBoundingClientRect(); return [each.textContent.trim(), box.width, box.height]; })",
            number,
        )
        assert (row[0], row[1] > 20, row[2] > 10) == (record.name, True, True)
        sizes = [(wide > 0.7 * width, high > 100) for _, wide, high in pictures if wide]
        assert sizes == [(True, True)] * 2
        assert shown.run("return document.querySelector(`#s${arguments[0]} .result`).checkVisibility()", number)


@pytest.mark.parametrize("width", WIDTHS)
def test_each_bad_request_of_the_record_is_a_mark_that_can_be_seen(shown: Browser, width: int) -> None:
    shown.resize(width)
    for number, record in enumerate(PLAYED, 1):
        sizes = shown.run(
            "return [...document.querySelectorAll(`#s${arguments[0]} .bad`)].map(each => each.getBoundingClientRect())"
            ".map(box => [box.width, box.height, box.left, box.right])",
            number,
        )
        assert len(sizes) == sum(not each.good for each in record.requests)
        assert all(wide >= 1 and high >= 10 and 0 <= left < right <= width for wide, high, left, right in sizes)


@pytest.mark.parametrize("width", [320, *WIDTHS, 1920])
@pytest.mark.parametrize("played", [True, False], ids=["played", "hostile"])
def test_nothing_is_wider_than_the_window_and_no_words_lie_on_each_other(
    browser: Browser, tmp_path: Path, width: int, played: bool
) -> None:
    show(browser, tmp_path, PLAYED if played else [hostile()])
    browser.resize(width)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run(OUTSIDE) == []
    assert browser.run(MEETING) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_stand_out_from_what_they_stand_on(shown: Browser, scheme: str) -> None:
    shown.scheme(scheme)
    least = shown.run(CONTRAST)
    assert least.keys() == {"text", "text in a picture", "bad request", "shape"}
    assert least["text"] >= 4.5
    assert least["text in a picture"] >= 4.5
    assert least["bad request"] >= 3
    assert least["shape"] >= 3
    ground = shown.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_on_paper_it_is_dark_on_white_and_whole(shown: Browser) -> None:
    shown.scheme("dark", "print")
    shown.resize(718)  # A4 between margins of a centimetre
    assert shown.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.run(OUTSIDE) == []
    assert shown.run("return document.querySelectorAll('.picture.wide')[0].checkVisibility()")
    paper = shown.tell("Page.printToPDF", printBackground=True)["data"]
    assert len(paper) > 10_000


def test_a_number_leads_to_its_event(shown: Browser) -> None:
    row = shown.run(
        "const link = document.querySelector('#s2 .wide .pill a'); link.dispatchEvent(new MouseEvent('click',"
        " {bubbles: true, cancelable: true})); return document.querySelector('tr:target').textContent"
    )
    assert "switch off node1" in row


def test_hostile_words_do_nothing_in_a_browser(browser: Browser, tmp_path: Path) -> None:
    show(browser, tmp_path, [hostile()])
    assert browser.run("return typeof window.hacked") == "undefined"
    assert browser.run("return document.querySelectorAll('script, img, iframe, object').length") == 0
    assert browser.log("browser") == []
    assert [url for url in browser.requested() if not url.startswith("data:,")] == [(tmp_path / "report.html").as_uri()]
    assert "<script>hacked=1</script>" in browser.run("return document.body.textContent")
