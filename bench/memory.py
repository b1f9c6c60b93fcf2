"""Row ``memory``: what a keeper of two servers, Apache and nginx, takes of memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.asking import first_answer, now
from bench.figures import Line
from bench.keepers import Koboshi, Monit, Supervisord
from bench.sites import SITES, knock_over
from bench.stage import Stage, Unavailable

#: MiB that koboshi may have resident.
BOUND = 45.0


def memory(stage: Stage) -> Iterator[Line]:
    """Resident (RSS) and proportional (PSS) size of the keeper itself, before and after a repair of each server."""
    own: Line | None = None
    for way in (Koboshi, Supervisord, Monit):
        try:
            sites = [SITES["apache-event"](stage, way.name), SITES["nginx"](stage, way.name)]
            with way(stage, sites) as keeper:
                stage.say(way.name)
                began = now()
                for site in sites:
                    keeper.ready(site, began)
                time.sleep(stage.count(8, 2))  # the first probes have been made
                settled = sizes(keeper.process.pid)
                for site in sites:
                    _, inode = knock_over(site, "all")
                    answered = first_answer(site.port, inode, 12.0)
                    keeper.ready(site, answered or now())
                time.sleep(stage.count(8, 2))
                repaired = sizes(keeper.process.pid)
        except Unavailable as why:
            yield Line("memory", "Apache and nginx", way.name, "MiB", note=str(why))
            continue
        line = Line("memory", "RSS after a repair", way.name, "MiB", [repaired[0] / 1024])
        if way is Koboshi:
            own, line.bounds, line.bound = line, {"p50": BOUND}, f"{BOUND:g}"
        elif own is not None:
            line.compare(own, "koboshi")
        yield Line("memory", "RSS before a repair", way.name, "MiB", [settled[0] / 1024])
        yield line
        yield Line("memory", "PSS after a repair", way.name, "MiB", [repaired[1] / 1024])


def sizes(pid: int) -> tuple[float, float]:
    """Resident and proportional set size of a process, KiB (proc(5), ``smaps_rollup``). Raises :class:`Unavailable`."""
    sizes: dict[str, float] = {}
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
            name, value, *_ = line.split()
            sizes[name] = float(value)
        return sizes["Rss:"], sizes["Pss:"]
    except (OSError, KeyError, ValueError) as error:
        raise Unavailable(f"the memory of pid {pid} cannot be read: {error}") from None
