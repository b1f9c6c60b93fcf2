"""How long the threads of a process waited for a processor, which tells computing from sleeping on a busy machine."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from cluster_glue.diagnosis.evidence import try_text

#: Threads of one process that are looked at, at most: each costs some microseconds.
THREADS: Final = 300


def waited(pid: int) -> float:
    """Seconds that its living threads were ready to run and had no processor (``schedstat``, sched-stats.rst).

    0 where the kernel does not count them, where there are too many threads, and when the process is gone.
    """
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir(f"/proc/{pid}/task")
    if len(names) > THREADS:
        return 0.0
    words = (try_text(f"/proc/{pid}/task/{name}/schedstat", 128).split() for name in names)
    return sum(int(each[1]) for each in words if len(each) == 3 and each[1].isdigit()) / 1e9
