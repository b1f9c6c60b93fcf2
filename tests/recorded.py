"""Records for tests: those of real plays (``tests/samples/lab``), and all that can be imagined."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from vagrant.lab.answers import Answer
from vagrant.lab.record import Record
from vagrant.lab.timeline import Event

SAMPLES = Path(__file__).resolve().parent / "samples" / "lab"
#: What somebody could write into a log or an answer to be read, run or obeyed by who reads the report.
HOSTILE = (
    "<script>hacked=1</script>", '"><img src=x onerror=hacked=1>', "</style></title></svg>", "<!--", "]]>", "&lt;b&gt;",
    "javascript:hacked=1", "' onload='hacked=1", "\x1b]0;hacked\x07\x1b[2J", "\x9b31m", "line\nline\r\n\u2028line",
    "\0", "\u202etxt.exe", "日本語のとても長い名前", "e\u0301" * 30, "🔥" * 40, "x" * 1000, "{}%s\\", "",
)  # fmt: skip
#: As often as is worth it, however slow the machine, and the same each time.
thorough = settings(max_examples=60, deadline=None, derandomize=True, database=None)

words = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30), st.sampled_from(["node1", "node2", "no answer"]))
_sides = st.sampled_from(["client", "drill", "koboshi node1", "koboshi node2", "Pacemaker node1", "Pacemaker node9"])


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record that could have been kept, its times exact to the millisecond."""
    when = draw(st.integers(0, 4_000_000_000_000))
    services = draw(st.lists(words, max_size=3, unique=True))
    answers: list[Answer] = []
    for service in services:
        at = when
        for since, took, good, who in draw(
            st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 1500), st.booleans(), words), max_size=12)
        ):
            at += since
            answers.append(Answer(at / 1000, (at + took) / 1000, service, good, who))
    told = draw(st.lists(st.tuples(st.integers(-5000, 60_000), st.one_of(_sides, words), words), max_size=12))
    return Record(
        draw(words), draw(words), draw(words), draw(st.integers(0, 4)), when / 1000, draw(words), tuple(services),
        tuple(sorted(answers, key=lambda each: (each.asked, each.service))),
        tuple(sorted(Event((when + at) / 1000, who, said) for at, who, said in told)),
    )  # fmt: skip
