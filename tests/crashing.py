"""koboshi that dies by SIGKILL at one moment of its own: ``python -m tests.crashing FILE koboshi run ...``.

A moment is passed before and after each thing that leaves a trace: a state saved, an order carried out, a server
stopped or spawned, a hand-over noted, a command of the clusterware run. While ``FILE`` is there, moments are counted,
and the one whose number it holds is the last; the next ``FILE`` counts anew. The name of each moment that was passed is
in ``FILE.passed``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any


class Moments:
    """Counts, and strikes."""

    def __init__(self, file: Path) -> None:
        self._file, self._log = file, file.with_name(f"{file.name}.passed")
        self._lock = threading.Lock()
        self._counted, self._for = 0, ""

    def passed(self, name: str) -> None:
        """One moment; maybe the last one."""
        with self._lock:
            try:
                fatal = self._file.read_text()
            except FileNotFoundError:
                self._counted = 0
                return
            self._counted = self._counted + 1 if fatal == self._for else 1
            self._for = fatal
            with self._log.open("a") as log:
                log.write(f"{name}\n")
            if str(self._counted) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str, words: Callable[..., str]) -> None:
        """Pass a moment before and after each call of ``owner.name``."""
        inner = getattr(owner, name)

        @wraps(inner)
        def outer(*given: Any, **named: Any) -> Any:
            self.passed(f"before {words(*given)}")
            result = inner(*given, **named)
            self.passed(f"after {words(*given)}")
            return result

        setattr(owner, name, outer)


def main(argv: list[str]) -> None:
    """Run koboshi with moments."""
    from cluster_glue.cli import main as koboshi
    from cluster_glue.connectors import carrying, runner
    from cluster_glue.recovery import engine, executor, store
    from resource_agents import starting

    moments = Moments(Path(argv[0]))
    moments.around(store.Store, "save", lambda *given: f"{given[2].phase.value} was saved")
    moments.around(engine.Engine, "_obey", lambda *given: f"order {type(given[2]).__name__}")
    moments.around(executor, "stop", lambda *_: "the stop")
    moments.around(executor, "start", lambda *_: "the start")
    moments.around(starting, "spawn", lambda *_: "the spawn")
    moments.around(runner.Connectors, "_note", lambda *_: "the note of a hand-over")
    moments.around(carrying, "run", lambda *given: f"{given[0][0]}")
    sys.argv = argv[1:]
    koboshi()


if __name__ == "__main__":
    main(sys.argv[1:])
