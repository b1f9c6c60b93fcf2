"""The report of all that was rehearsed: one HTML file that needs nothing else, and the same in the terminal.

The file asks for nothing (its policy forbids it), runs nothing, and is the same for the same records.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from cluster_glue.messages import sanitise
from vagrant.lab.answers import outage
from vagrant.lab.drawing import Drawing, bad_swatch, pattern_of, patterns, swatch
from vagrant.lab.lanes import MOST, failovers, homes, missed, moment, plain, provider, silent, title, verdict
from vagrant.lab.machines import LabError
from vagrant.lab.markup import Markup, join, tag
from vagrant.lab.picture import show
from vagrant.lab.record import Record, load_all

OUTPUT = Path("koboshi-lab-report.html")
STYLE = Path(__file__).with_suffix(".css")
_ICON = "data:,"  # else a browser asks for one


def report(records: Path, output: Path = OUTPUT) -> int:
    """Print the picture of each record in the folder ``records`` and write the HTML; 0, whatever passed or failed.

    Raises :class:`LabError` where nothing was rehearsed yet, a record cannot be read, or ``output`` not be written.
    """
    found = load_all(records)
    if not found:
        raise LabError("nothing was rehearsed yet: script/lab drill NAME first")
    for each in found:
        show(each)
        print()
    try:
        output.write_text(page(found), encoding="utf-8")
    except OSError as error:
        raise LabError(f"{output} cannot be written: {error.strerror or error}; --output names another file") from None
    print(f"{verdict(found)}\nthe report is in {output}", flush=True)
    return 0


def page(records: Sequence[Record]) -> str:
    """The whole HTML document."""
    style = STYLE.read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{allowed}'; img-src data:; base-uri 'none'; form-action 'none'"
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href=_ICON),
        tag("title", f"koboshi lab report, {verdict(records)}"),
        tag("style", Markup(style)),
    ]
    body = [patterns(), _top(records), tag("main", _summary(records), *_sections(records))]
    return f"<!DOCTYPE html>\n{tag('html', tag('head', join(head)), tag('body', join(body)), lang='en')}\n"


# ---- the top ---------------------------------------------------------------------------------------------------------


def _top(records: Sequence[Record]) -> Markup:
    first, last = min(each.when for each in records), max(each.end for each in records)
    what = "Failures rehearsed on a real Pacemaker cluster, as the client, koboshi and Pacemaker saw them."
    return tag(
        "header",
        tag("h1", "koboshi lab report"),
        tag("p", what),
        tag("p", tag("strong", verdict(records)), f". Played from {moment(first)} to {moment(last)}."),
    )


def _summary(records: Sequence[Record]) -> Markup:
    heads = ("scenario", "machines", "result", "outage", "failovers")
    rows = [_row(number, each, heads) for number, each in enumerate(records, 1)]
    return tag(
        "section",
        tag("h2", "Summary", id="summary"),
        tag("table", _heads(heads), tag("tbody", *rows, role="rowgroup"),
            class_="summary", role="table", aria_labelledby="summary"),
    )  # fmt: skip


def _row(number: int, record: Record, heads: Sequence[str]) -> Markup:
    name = [tag("a", title(record.name), href=f"#s{number}"), tag("p", title(record.title), class_="faint")]
    reason = [tag("p", line) for line in plain(record.problem)]
    lost = [tag("div", f"{sanitise(each, 40) or '?'}: {_outage(record, each)}") for each in record.services]
    told = (provider(record), join([_result(record), *reason]), join(lost), str(failovers(record)))
    cells = [tag("td", each, role="cell", data_label=head) for head, each in zip(heads[1:], told, strict=True)]
    return tag("tr", tag("th", *name, scope="row", role="rowheader"), *cells, role="row")


def _outage(record: Record, service: str) -> str:
    answers = record.of(service)
    return f"{outage(answers):.2f} s" if any(not each.good for each in answers) else missed(record, service)


def _heads(names: Sequence[str]) -> Markup:
    cells = [tag("th", name, scope="col", role="columnheader") for name in names]
    return tag("thead", tag("tr", *cells, role="row"), role="rowgroup")


def _result(record: Record) -> Markup:
    if record.problem:
        return tag("span", "✘ failed", class_="result failed")
    return tag("span", "✔ passed", class_="result passed")


# ---- one scenario ----------------------------------------------------------------------------------------------------


def _sections(records: Sequence[Record]) -> Iterator[Markup]:
    for number, each in enumerate(records, 1):
        yield _section(each, f"s{number}")


def _section(record: Record, name: str) -> Markup:
    facts = f"{provider(record)}; {moment(record.when)}; took {record.end - record.when:.1f} s"
    return tag(
        "section",
        tag("div", tag("h2", title(record.name), id=f"{name}-name"), _result(record), class_="head"),
        tag("p", title(record.title)),
        *([_reason(record)] if record.problem else []),
        tag("p", facts, class_="faint"),
        _figure(record, name),
        tag("h3", "What happened", id=f"{name}-events"),
        _events(record, name),
        id=name, class_="scenario", aria_labelledby=f"{name}-name",
    )  # fmt: skip


def _reason(record: Record) -> Markup:
    return tag("div", *(tag("p", line) for line in plain(record.problem)), class_="reason")


def _figure(record: Record, name: str) -> Markup:
    drawing = Drawing(record, name)
    lost = [
        tag("p", tag("strong", sanitise(each, 40) or "?"), f": outage {missed(record, each)}; answered by "
            + (" → ".join(homes(record, each)) or "nobody"))
        for each in record.services
    ]  # fmt: skip
    key = [tag("li", swatch(kind), sanitise(who, 40) or "?") for who, kind in pattern_of(record).items()]
    quiet = ", ".join(silent(record))
    return tag(
        "figure",
        tag("figcaption", *lost),
        tag("ul", *key, tag("li", bad_swatch(), "each bad request"), class_="key"),
        drawing.services(),
        drawing.sides("wide"),
        drawing.sides("narrow"),
        *([tag("p", f"Did nothing: {quiet}.", class_="faint")] if quiet else []),
    )


def _events(record: Record, name: str) -> Markup:
    numbers, rows = count(1), []
    for each in record.events:
        client = each.who == "client"
        number = None if client else next(numbers)
        cells = [
            tag("td", str(number or ""), class_="n", role="cell"),
            tag("td", f"{each.at - record.when:.2f} s", class_="at", role="cell"),
            tag("td", sanitise(each.who, 40) or "?", role="cell"),
            tag("td", sanitise(each.words, MOST), class_="words", role="cell"),
        ]
        mark = f"{name}-{number}" if number else None
        rows.append(tag("tr", *cells, id=mark, class_="client" if client else None, role="row"))
    body = tag("tbody", join(rows), role="rowgroup")
    heads = _heads(("number", "time", "who", "what"))
    return tag("table", heads, body, class_="events", role="table", aria_labelledby=f"{name}-events")
