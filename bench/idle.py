"""Row ``idle``: what it costs to watch 1, 10, 100 and 1000 sleeping processes with probes off."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.figures import Line
from bench.keepers import Koboshi
from bench.memory import sizes
from bench.stage import Stage, Unavailable, until
from resource_agents.processes import Identity

#: How much each further resource may cost: percent of a core, KiB.
CPU, MEMORY = 0.01, 60.0

#: Resources that a growth is told from: with fewer it drowns in what the first one brings along.
FEWEST = 100

#: Seconds until all resources have to be up.
LONGEST_START = 400.0

_TABLE = """\
[resource.{name}]
agent = "command"
start_command = "/bin/sleep {seconds}"
probe_interval = 0
"""


class Sleepers(Koboshi):
    """koboshi with many resources that do nothing."""

    def __init__(self, stage: Stage, count: int) -> None:
        self.resources = [f"sleeper{number}" for number in range(count)]
        tables = (_TABLE.format(name=name, seconds=100_000 + at) for at, name in enumerate(self.resources))
        super().__init__(stage, [], "".join(table + self.PATIENCE for table in tables))

    def start(self) -> Identity:
        process = super().start()
        _, most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (min(most, 65536), most))
        waiting = set(self.resources)

        def all_up() -> bool:
            waiting.difference_update([name for name in waiting if self.saved(name).get("phase") == "up"])
            return not waiting

        self.process = process
        until(all_up, LONGEST_START, f"the start of {len(self.resources)} resources", 0.2)
        return process

    def main(self, name: str) -> Identity:
        """The main process of a resource, as koboshi saved it."""
        remembered = self.record(name)["remembered"]
        return Identity(**remembered["main"])


def idle(stage: Stage) -> Iterator[Line]:
    """CPU in windows of a second, and memory at the end, for each number of resources."""
    baseline: tuple[float, float] | None = None
    for count in (1, 10, 100) if stage.quick else (1, 10, 100, 1000):
        windows = Line("idle", f"{count} resources, CPU", "koboshi", "% of a core")
        try:
            with Sleepers(stage, count) as keeper:
                stage.say(f"{count} resources")
                time.sleep(stage.count(3, 1))
                began, used = time.monotonic(), cpu_seconds(keeper.process.pid)
                for _ in range(stage.count(20, 4)):
                    before, at = cpu_seconds(keeper.process.pid), time.monotonic()
                    time.sleep(1.0)
                    spent = cpu_seconds(keeper.process.pid) - before
                    windows.samples.append(spent / (time.monotonic() - at) * 100)
                percent = (cpu_seconds(keeper.process.pid) - used) / (time.monotonic() - began) * 100
                rss, pss = sizes(keeper.process.pid)
        except Unavailable as why:
            windows.note = str(why)
            yield windows
            continue
        yield windows
        yield Line("idle", f"{count} resources, RSS", "koboshi", "MiB", [rss / 1024])
        yield Line("idle", f"{count} resources, PSS", "koboshi", "MiB", [pss / 1024])
        if baseline is None:
            baseline = percent, rss
        if count < FEWEST:
            continue
        yield _growth(f"CPU per resource, 1 to {count}", "% of a core", (percent - baseline[0]) / (count - 1), CPU)
        yield _growth(f"RSS per resource, 1 to {count}", "KiB", (rss - baseline[1]) / (count - 1), MEMORY)


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, as the scheduler counts it (proc(5), ``schedstat``)."""
    total = 0
    with suppress(FileNotFoundError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):
                total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9


def _growth(subject: str, unit: str, value: float, limit: float) -> Line:
    return Line("idle", subject, "koboshi", unit, [value], {"p50": limit}, f"{limit:g}")
