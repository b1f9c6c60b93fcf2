"""No decision looks at the wall clock: it may be set forward or back at any moment.

(``date.today`` is let pass: a log file that its server names by the day is found by the day.)
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house import ROOT

#: What reads the wall clock, or turns it into dates.
WALL = {"time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "CLOCK_REALTIME", "CLOCK_REALTIME_COARSE"}

#: A certificate ends by the wall clock; that it does is said, and nothing is done for it.
LET_PASS = "cluster_glue/recovery/sensors/certificates.py"

#: Parts that decide or act, none of which may know what o'clock it is.
DECIDING = ("ocf", "resource_agents", "cluster_glue/recovery")


def wall_clock_uses(path: Path) -> Iterator[int]:
    """The lines that use the wall clock through the time module, under whatever name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(value=ast.Name(id="time"), attr=name) if name in WALL:
                yield node.lineno
            case ast.Attribute(value=ast.Name(id="datetime"), attr="now" | "utcnow" | "today"):
                yield node.lineno
            case ast.ImportFrom(module="time", names=names) if any(name.name in WALL for name in names):
                yield node.lineno
            case ast.Import(names=names) if any(name.name == "time" and name.asname for name in names):
                yield node.lineno


def test_what_decides_or_acts_never_reads_the_wall_clock() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for part in DECIDING
        for path in sorted((ROOT / part).rglob("*.py"))
        if path != ROOT / LET_PASS
        for line in wall_clock_uses(path)
    ]
    assert not found


def test_a_use_of_the_wall_clock_would_be_found(tmp_path: Path) -> None:
    for number, line in enumerate(("time.time()", "from time import time", "import time as t", "datetime.now()")):
        path = tmp_path / f"{number}.py"
        path.write_text(f"import time, datetime\n{line}\n")
        assert list(wall_clock_uses(path)) == [2], line
