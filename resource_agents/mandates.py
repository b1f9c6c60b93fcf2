"""A mandate: the cluster's word that the recovery daemon looks after a resource, kept as a file.

``<runtime>/ocf/NAME@TOKEN.json`` holds the request of the start that gave it. A stop takes it away before anything is
signalled, and that reaches a daemon which hangs or is stopped: it looks for its mandate before each decision, each
signal and each start, so that it cannot restart later what the cluster stopped meanwhile. The token makes a mandate
that was given anew another one; a daemon that was killed finds all of them when it comes back.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def folder(runtime: Path) -> Path:
    """Where mandates are."""
    return runtime / "ocf"


def make_folder(runtime: Path) -> None:
    """See that there is a place for mandates, for our own eyes only. Raises ``OSError``."""
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder(runtime).mkdir(mode=0o700, exist_ok=True)


def current(runtime: Path, instance: str) -> Path | None:
    """The mandate for ``instance``; None when there is none."""
    return next((path for name, path in every(runtime) if name == instance), None)


def every(runtime: Path) -> Iterator[tuple[str, Path]]:
    """All instances with a mandate."""
    with suppress(OSError):
        for name in os.listdir(folder(runtime)):
            instance, at, token = name.rpartition("@")
            if at and token.endswith(".json"):
                yield instance, folder(runtime) / name


def give(runtime: Path, instance: str, request: Mapping[str, Any]) -> Path:
    """Give a mandate; one that says the same is kept, any other is replaced. Raises ``OSError``."""
    known = current(runtime, instance)
    if known is not None and read(known) == request:
        return known
    withdraw(runtime, instance)
    make_folder(runtime)
    path = folder(runtime) / f"{instance}@{time.clock_gettime_ns(time.CLOCK_BOOTTIME):x}.json"
    _write(path, request)
    return path


def amend(path: Path, request: Mapping[str, Any]) -> None:
    """Other parameters under the same mandate. Raises ``OSError``."""
    _write(path, request)


def withdraw(runtime: Path, instance: str) -> None:
    """Take the mandate away, and what a monitor would read about it. Raises ``OSError``."""
    for name, path in list(every(runtime)):
        if name == instance:
            path.unlink(missing_ok=True)
    for suffix in ("status", "lease", "drain"):
        (folder(runtime) / f"{instance}.{suffix}").unlink(missing_ok=True)


def leave_lease(runtime: Path, instance: str, interval: float, timeout: float) -> None:
    """Leave word for the daemon that the cluster asked: a monitor every ``interval`` seconds. Raises ``OSError``."""
    words = f"{interval * 1000:.0f} {timeout * 1000:.0f}\n"
    (folder(runtime) / f"{instance}.lease").write_text(words, encoding="ascii")


def drain_wait(runtime: Path, instance: str) -> float:
    """Seconds that a load balancer gets before a stop, as the daemon has left word; 0.0 where nobody has to know."""
    with suppress(OSError, ValueError):
        return max(0.0, float((folder(runtime) / f"{instance}.drain").read_text(encoding="ascii")))
    return 0.0


def read(path: Path) -> dict[str, Any]:
    """What a mandate says; empty when it is gone or cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _write(path: Path, request: Mapping[str, Any]) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(request), encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
