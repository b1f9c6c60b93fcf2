"""``python -m bench.causes``: every fault several times, the matrix, and its two rates. Leaves nothing behind."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.causes.fault import Fault
from bench.causes.faults import FAULTS
from bench.causes.stage import SYMPTOMS, Stage, staged

#: Seconds until a fault must have been named, and for which a server that should be spared is watched.
NAMED, SPARED = 45.0, 4.0


@dataclass
class Run:
    """One run: ``outcome`` is right, unnamed, wrong or broken (the bench's own failure)."""

    fault: str
    server: str
    outcome: str
    cause: str
    reason: str
    restarts: int = 0
    evidence_seconds: float = 0.0
    evidence_bytes: int = 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.causes", description=__doc__)
    parser.add_argument("--times", type=int, default=5, metavar="N")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name or server holds this")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="runs at the same time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")
    given = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("it needs root: signals, namespaces and mounts of its own")
    chosen = [fault for fault in FAULTS if given.only in f"{fault.name} ({fault.server})"]
    work = [fault for fault in chosen if not fault.impossible for _ in range(given.times)]
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = list(pool.map(one_run, work))
    report(chosen, runs)
    if given.json:
        summary = {"load": os.getloadavg(), "runs": [asdict(run) for run in runs]}
        given.json.write_text(json.dumps(summary, indent=1) + "\n")
    return 1 if any(run.outcome in ("wrong", "broken") for run in runs) else 0


def one_run(fault: Fault) -> Run:
    """Make the fault once, and hear what koboshi says."""
    with tempfile.TemporaryDirectory(prefix="koboshi-causes-") as folder:
        os.chmod(folder, 0o755)
        try:
            with staged(Path(folder), fault.server) as stage:
                run = _told(fault, stage)
        except Exception as error:  # the matrix goes on without it
            run = Run(fault.name, fault.server, "broken", "", f"{type(error).__name__}: {error}"[:2000])
    print(f"{run.outcome:8} {fault.server:7} {fault.name}: {run.cause or '-'}", file=sys.stderr, flush=True)
    return run


def _told(fault: Fault, stage: Stage) -> Run:
    fault.make(stage)
    cause, reason = stage.verdict(SPARED * 2 if fault.right == ("",) else NAMED, fault.right, fault.warned)
    if fault.spare:
        time.sleep(SPARED)
    right = cause in fault.right and (cause == "" or stage.must_say in reason)
    outcome = "right" if right else "unnamed" if cause in SYMPTOMS else "wrong"
    if stage.foretold() - set(fault.right):
        outcome, reason = "wrong", f"it warned of {', '.join(sorted(stage.foretold()))}; {reason}"
    run = Run(fault.name, fault.server, outcome, cause, reason[:500], stage.restarts())
    index = stage.folder / "state/evidence/web-1/index.json"
    if index.exists():
        items: dict[str, Any] = json.loads(index.read_text())["items"]
        run.evidence_seconds = round(sum(item["took"] for item in items.values()), 3)
        run.evidence_bytes = sum(path.stat().st_size for path in index.parent.iterdir())
    return run


def report(chosen: list[Fault], runs: list[Run]) -> None:
    """The matrix, then the rates."""
    print(f"{'fault':42} {'server':8} {'right':>6} {'unnamed':>8} {'wrong':>6} {'restarts':>9}  named")
    for fault in chosen:
        mine = [run for run in runs if (run.fault, run.server) == (fault.name, fault.server)]
        counts = {word: sum(run.outcome == word for run in mine) for word in ("right", "unnamed", "wrong", "broken")}
        names = ", ".join(sorted({run.cause or "nothing" for run in mine if run.outcome != "broken"}))
        if fault.impossible:
            names = f"not made: {fault.impossible}"
        elif counts["broken"]:
            names += f" ({counts['broken']} runs broke)"
        restarts = max((run.restarts for run in mine), default=0)
        row = f"{counts['right']:6} {counts['unnamed']:8} {counts['wrong']:6} {restarts:9}"
        print(f"{fault.name:42} {fault.server:8} {row}  {names}")
    counted = [run for run in runs if run.outcome != "broken"]
    if not counted:
        return
    spared = [run for run in counted if any(fault.spare and fault.name == run.fault for fault in chosen)]
    took = [run.evidence_seconds for run in counted if run.evidence_bytes]
    made = len({(run.fault, run.server) for run in counted})
    print(f"\nfaults made: {made}, runs: {len(counted)}, load {os.getloadavg()}")
    for words, number in (
        ("cause named right", sum(run.outcome == "right" for run in counted) / len(counted)),
        ("cause named wrong", sum(run.outcome == "wrong" for run in counted) / len(counted)),
        ("no restart where one is wrong", sum(not run.restarts for run in spared) / len(spared) if spared else 1.0),
        (
            "evidence within 2 s and 5 MiB",
            sum(run.evidence_seconds <= 2 and run.evidence_bytes <= 5 << 20 for run in counted) / len(counted),
        ),
    ):
        print(f"{words:32} {number:7.1%}")
    if took:
        print(f"{'evidence, median':32} {statistics.median(took):7.3f} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
