"""Run the project's checks one after another, and end everything that they started.

usage: script/test [--quick] [--only STEP]... [--lab PROVIDER] [--list]

Everything CI runs: lint, types, import walls, unit tests with coverage, live tests with real servers, the
demonstration, the documentation. Prepares the checkout first (script/setup test).

  --quick      what answers within a minute or two: lint, types, walls, unit tests without coverage
  --only STEP  this step alone (may be given several times); --list names them
  --lab PROVIDER
               nothing but the whole set of cluster scenarios, on machines of that kind: namespaces, lxc, libvirt (real
               kernels; nearly two hours where two processors emulate them); the report is left in
               koboshi-lab-report.html
  --list       name the steps and end

The last line counts: each test is one, each other step is one. Exit status: 0 all passed; 1 something failed;
2 wrong usage; 128 + N ended by signal N.
"""

from __future__ import annotations

import configparser
import os
import shutil
import signal
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from children import become_subreaper, call, end_all

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
#: What a lab can be made of, and where the report of --lab goes.
PROVIDERS, REPORT = ("namespaces", "lxc", "libvirt"), "koboshi-lab-report.html"
#: Where the lab's boxes stay for the next lab, on a machine that has had one.
BOXES = Path("/var/cache/koboshi-lab")
#: Seconds that what a step leaves running may take to end by itself.
LINGER = 5.0


@dataclass(frozen=True)
class Step:
    """One check: ``commands`` are run in order, all within ``limit`` seconds, until one fails."""

    name: str
    title: str
    commands: tuple[tuple[str, ...], ...]
    limit: float
    quick: bool = False
    root: bool = False  # needs root
    settings: tuple[tuple[str, str], ...] = ()  # of its environment


class Ended(BaseException):
    """A signal asks us to end."""


class Late(Exception):
    """The step is over its time."""


def steps(quick: bool, scratch: str) -> list[Step]:
    """All steps; with ``quick`` the unit tests are not measured."""
    python = str(BIN / "python")
    sphinx = (python, "-m", "sphinx", "-q", "-W", "--keep-going")
    pytest = ("-m", "pytest", "-q", "-n", str(min(os.cpu_count() or 2, 4)), "-o", "faulthandler_timeout=180")
    coverage = (python, "-m", "coverage")

    def tests(name: str, *arguments: str) -> tuple[str, ...]:
        return (*pytest, f"--junitxml={scratch}/{name}.xml", f"--basetemp={scratch}/{name[0]}", *arguments)

    unit = tests("unit", "-m", "not live and not cluster")
    live = tests("live", "--dist", "loadgroup", "-m", "live")
    cluster = tests("cluster", "-n", "0", "-m", "cluster")  # one lab for all
    return [
        Step("lint", "ruff check", ((str(BIN / "ruff"), "check", "."),), 60, quick=True),
        Step("format", "ruff format --check", ((str(BIN / "ruff"), "format", "--check", "."),), 60, quick=True),
        Step("types", "mypy", ((str(BIN / "mypy"),),), 300, quick=True),
        Step("walls", "lint-imports", ((str(BIN / "lint-imports"),),), 120, quick=True),
        Step("unit", "unit tests", ((python, *unit),), 600, quick=True)
        if quick
        else Step("unit", "unit tests, measured", ((*coverage, "run", *unit),), 900),
        Step("coverage", "coverage: all, then 100 % of the pure core", (
            (*coverage, "combine", "-q"),
            (*coverage, "report", "--skip-covered"),
            (*coverage, "report", "--show-missing", "--fail-under=100", f"--include={','.join(pure_core())}"),
        ), 60),
        Step("live", "live tests: real servers", ((python, *live),), 1200, root=True),
        Step("cluster", "cluster tests: a real Pacemaker in namespaces", ((python, *cluster),), 2400, root=True),
        Step("demo", "script/demo", ((str(ROOT / "script" / "demo"),),), 240),
        Step("docs", "documentation, warnings are errors", (
            (*sphinx, "-b", "html", "-d", f"{scratch}/doctrees", "docs", f"{scratch}/html"),
            (*sphinx, "-b", "man", "-d", f"{scratch}/doctrees", "docs", f"{scratch}/man"),
        ), 240),
    ]  # fmt: skip


def rehearsal(provider: str, scratch: str) -> Step:
    """All scenarios on machines of one kind, and the report."""
    python, report = str(BIN / "python"), str(ROOT / REPORT)
    pytest = (python, "-m", "pytest", "-v", "-n", "0", "-m", "cluster", f"--junitxml={scratch}/lab.xml")
    boxes = os.environ.get("LAB_BOXES") or str(BOXES)
    settings = (("LAB_PROVIDER", provider), ("LAB_REPORT", report), ("LAB_BOXES", boxes))
    # First, as they make labs of their own.
    own = [str(path) for path in (ROOT / "tests" / "cluster").glob(f"test_{provider}_lab.py")]
    command = (*pytest, f"--basetemp={scratch}/c", *own, "tests/cluster/test_scenarios.py")
    return Step("lab", f"the scenarios on {provider}", (command,), 10800, root=True, settings=settings)


def pure_core() -> list[str]:
    """The files behind the wall of the pure core, as ``setup.cfg`` names them."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    modules = settings["importlinter:contract:pure"]["source_modules"].split()
    return [module.replace(".", "/") + ".py" for module in modules]


def environment(scratch: str) -> dict[str, str]:
    """Ours, without what could tie a test to this machine's own koboshi or service manager."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KOBOSHI_", "COVERAGE_", "PYTEST_", "PYTHON"))
        and name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    }
    path = f"{BIN}:{kept.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    if "LAB_BOXES" not in kept and not BOXES.exists():
        kept["LAB_BOXES"] = f"{scratch}/boxes"  # built for the tests, and thrown away with all else
    return kept | {"PATH": path, "TMPDIR": scratch, "COVERAGE_FILE": f"{scratch}/coverage"}


def run(step: Step, scratch: str) -> str:
    """Why the step failed; empty when it passed."""
    problem = ""
    signal.setitimer(signal.ITIMER_REAL, step.limit)
    try:
        for command in step.commands:
            status = call(command, environment(scratch) | dict(step.settings), ROOT)
            if status:
                problem = f"{Path(command[0]).name} ended with {status}"
                break
    except Late:
        problem = f"it took longer than {step.limit:g} s"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    killed = end_all(LINGER, ask=bool(problem))
    if killed and not problem:
        problem = f"it left {len(killed)} processes running (ended now): " + "; ".join(killed[:5])
    return problem


# ---- counting and telling --------------------------------------------------------------------------------------------


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    broken: list[str] = field(default_factory=list)  # tests, by name, each with why

    def add(self, step: Step, problem: str, scratch: str) -> None:
        """Count the step's tests where it has some, else the step itself."""
        try:
            suite = ElementTree.parse(f"{scratch}/{step.name}.xml").getroot().find("testsuite")
        except (OSError, ElementTree.ParseError):
            suite = None
        broken = 0
        if suite is not None:
            broken = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped = int(suite.get("skipped", 0))
            self.passed += int(suite.get("tests", 0)) - broken - skipped
            self.failed += broken
            self.skipped += skipped
            self.broken += [_named(case, why) for case in suite for why in (*case.iter("failure"), *case.iter("error"))]
        elif not problem:
            self.passed += 1
        if problem and not broken:
            self.failed += 1


def _named(case: ElementTree.Element, why: ElementTree.Element) -> str:
    """A failed test in one line: its name, and the first line of why."""
    reason = (why.get("message") or "").partition("\n")[0]
    return f"{case.get('classname')}::{case.get('name')}: {reason[:200]}"


def check(chosen: list[Step], scratch: str) -> bool:
    """Run the steps and tell of each; whether all passed."""
    began = time.monotonic()
    count, lines = Count(), []
    for step in chosen:
        print(f"\n== {step.title}", flush=True)
        if step.root and os.geteuid() != 0:
            print("left out: it needs root")
            lines.append(f"{'':>8}    left out  {step.title}: it needs root")
            continue
        at = time.monotonic()
        problem = run(step, scratch)
        took = time.monotonic() - at
        count.add(step, problem, scratch)
        print(f"== {step.title}: {'FAILED, ' + problem if problem else 'passed'} ({took:.1f} s)", flush=True)
        lines.append(f"{took:8.1f} s  {f'FAILED    {step.title}: {problem}' if problem else f'passed    {step.title}'}")
    print("\n" + "\n".join(lines + [f"{'':>8}    FAILED    {each}" for each in count.broken]))
    print(
        f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return count.failed == 0


def choose(arguments: list[str], scratch: str) -> list[Step] | None:
    """The steps that the command line asks for; None when it cannot be understood."""
    if arguments[:1] == ["--lab"]:
        return [rehearsal(arguments[1], scratch)] if len(arguments) == 2 and arguments[1] in PROVIDERS else None
    quick = "--quick" in arguments
    every = [step for step in steps(quick, scratch) if step.quick or not quick]
    if not (ROOT / "script" / "demo").exists():
        every = [step for step in every if step.name != "demo"]
    words = [word for word in arguments if word != "--quick"]
    names: list[str] = []
    while words:
        if words[0] != "--only" or len(words) < 2 or words[1] not in {step.name for step in every}:
            return None
        names.append(words[1])
        words = words[2:]
    return [step for step in every if not names or step.name in names]


def main(arguments: list[str]) -> int:
    if "--list" in arguments:
        for step in steps("--quick" in arguments, ""):
            print(f"{step.name:10}{step.title}")
        return 0

    def end(number: int, _frame: object) -> None:
        raise Ended(number)

    def late(_number: int, _frame: object) -> None:
        raise Late

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    signal.signal(signal.SIGALRM, late)
    if not become_subreaper():
        print("this kernel has no child subreaper; what a test leaves running cannot be found", file=sys.stderr)
    scratch = tempfile.mkdtemp(prefix="k-")  # short: Unix socket paths end at 107 bytes
    os.chmod(scratch, 0o711)  # servers under test run as other users
    try:
        chosen = choose(arguments, scratch)
        if chosen is None:
            print((__doc__ or "").partition("\n\n")[2], file=sys.stderr)
            return 2
        return 0 if check(chosen, scratch) else 1
    except Ended as ended:
        return 128 + int(ended.args[0])
    finally:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        end_all(LINGER, ask=True)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
