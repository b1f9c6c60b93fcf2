"""``bench/run``: takes the rows in turn, prints one table and writes the samples as JSON.

The process that is started first only keeps the house: it is a child subreaper, so that whatever was orphaned by a
measurement is reaped at once (servers look at the pids of their dead), and ended with the run however it ended. The
measuring is done by a second process below it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bench.figures import Line

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"

ROWS = {
    "outage": "kill -9 to the first 200 of a new server, against the server's own cold start",
    "detection": "kill -9 to the engine having the event",
    "peers": "the same outages under systemd, supervisord and monit",
    "stall": "SIGSTOP of the workers or of everything, with a busy and with a quiet client",
    "idle": "CPU and memory of watching 1, 10, 100 and 1000 sleeping processes",
    "memory": "memory of keeping Apache and nginx, beside supervisord and monit",
    "ocf": "the OCF executables beside ocf:heartbeat:apache",
}


def rows() -> dict[str, Callable[[Any], Iterator[Line]]]:
    """What measures each row; imported only when something is measured."""
    from bench import detection, idle, memory, ocf, outage, stall

    return {
        "outage": outage.outage,
        "detection": detection.detection,
        "peers": outage.peers,
        "stall": stall.stall,
        "idle": idle.idle,
        "memory": memory.memory,
        "ocf": ocf.ocf,
    }


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Measures koboshi beside its peers: one table on stdout, the samples as JSON in bench/results/.",
        epilog="Exit status: 0 measured (whatever the figures are), 1 broken off, 2 wrong usage, 130 interrupted.",
    )
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW", help="only this row; may be repeated")
    parser.add_argument("--quick", action="store_true", help="few samples: shows that it works, proves nothing")
    parser.add_argument("--list", action="store_true", help="list the rows and measure nothing")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Both processes begin here: the one with a folder measures."""
    asked = parse(arguments)
    if asked.list:
        width = max(map(len, ROWS))
        print("\n".join(f"{name:{width}}  {words}" for name, words in ROWS.items()))
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)  # SIGINT too: a shell lets its background jobs ignore it
    try:
        return measure(asked) if asked.folder else keep_house(arguments)
    except KeyboardInterrupt:
        if not asked.folder:
            print("\ninterrupted: nothing was written", file=sys.stderr)
        return 130


def keep_house(arguments: Sequence[str]) -> int:
    """Run the measuring process, and clear up behind it."""
    from bench.stage import sweep
    from script.children import become_subreaper, call, end_all

    become_subreaper()
    folder = Path(tempfile.mkdtemp(prefix="koboshi-bench-"))
    folder.chmod(0o755)
    try:
        command = [sys.executable, "-E", "-s", "-m", "bench", *arguments, "--folder", str(folder)]
        return call(command, os.environ, ROOT)
    finally:
        end_all(3.0, ask=True)
        sweep(folder)
        shutil.rmtree(folder, ignore_errors=True)


def measure(asked: argparse.Namespace) -> int:
    """Take the rows in turn; what was measured is shown and kept even when a later row breaks off."""
    from bench.stage import Stage
    from bench.table import about, notes, record, rst

    run = {"began": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "quick": asked.quick, **machine()}
    run["load"] = {"before": os.getloadavg()[0]}
    lines: list[Line] = []
    stage = Stage(asked.folder, asked.quick)
    broken = 0
    for name, take in rows().items():
        if asked.only and name not in asked.only:
            continue
        stage.row = name
        try:
            for line in take(stage):
                line.load = os.getloadavg()[0]
                lines.append(line)
        except Exception as error:
            lines.append(Line(name, "broken off", "bench", "", note=f"{type(error).__name__}: {error}"))
            broken = 1
        finally:
            stage.quiet()
    run["load"]["after"] = os.getloadavg()[0]
    run["lines"] = [record(line) for line in lines]
    print(f"{about(run)}\n{rst(lines)}{notes(lines)}")
    print(f"The samples are in {write(run)}")
    return broken


def write(run: dict[str, Any]) -> Path:
    """Keep a run under the time when it began, and as ``latest.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{run['began'].replace(':', '')}.json"
    path.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(path, RESULTS / "latest.json")
    return path.relative_to(ROOT)


def machine() -> dict[str, Any]:
    """Where this is measured, and with which versions."""
    from cluster_glue.daemon import release
    from ocf.programs import run

    questions = {
        "apache2": ["apache2", "-v"],
        "nginx": ["nginx", "-v"],
        "systemd": ["systemd-nspawn", "--version"],
        "supervisord": ["supervisord", "--version"],
        "monit": ["monit", "--version"],
    }
    programs = {}
    for name, question in questions.items():
        path = shutil.which(question[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if path:
            said = run([path, *question[1:]], 10.0).output.replace("/", " ").split()
            programs[name] = next((word.rstrip(".") for word in said if word[0].isdigit()), "of unknown version")
    model = platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(": ")[2] for line in cpuinfo if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "koboshi": release(),
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "model": model,
            "memory": f"{memory:.0f} GiB",
            "kernel": platform.release(),
            "python": platform.python_version(),
            "programs": programs,
        },
    }


def _interrupted(number: int, _: object) -> NoReturn:
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
