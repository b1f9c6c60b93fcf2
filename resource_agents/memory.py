"""What an action that works without the daemon must know from the one before: which processes are the server's.

The same file as the daemon's (:mod:`cluster_glue.recovery.store`), so that each can go on where the other ended.
Nothing in it is true on another boot, and without it everything is found by looking.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from resource_agents.cgroups import Cgroup, place, tag_of
from resource_agents.families import Remembered
from resource_agents.processes import Identity


def recall(runtime: Path, instance: str) -> Remembered | None:
    """What is remembered of ``instance`` on this boot."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        record = json.loads(_path(runtime, instance).read_text(encoding="utf-8"))
        known = record["remembered"]
        if record["boot"] == _boot() and known is not None:
            sets = tuple((int(number), int(changed)) for number, changed in known["semaphores"])
            main = Identity(int(known["main"]["pid"]), int(known["main"]["start"]))
            return Remembered(main, int(known["session"]), bool(known["grouped"]), sets)
    return None


def keep(runtime: Path, instance: str, remembered: Remembered | None) -> None:
    """Remember; a file that cannot be written is no reason to fail."""
    path = _path(runtime, instance)
    record: dict[str, Any] = {"boot": _boot(), "remembered": None}
    if remembered is not None:
        main = {"pid": remembered.main.pid, "start": remembered.main.start}
        record["remembered"] = {
            "main": main,
            "session": remembered.session,
            "grouped": remembered.grouped,
            "semaphores": remembered.semaphores,
        }
    with suppress(OSError):
        if remembered is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(record), encoding="utf-8")
        fresh.replace(path)


def spent(runtime: Path, instance: str) -> tuple[float, ...]:
    """When the restarts of its budget were made (seconds since this boot): as saved last, else as kept over a stop."""
    for path in (_path(runtime, instance), _spent_path(runtime, instance)):
        with suppress(OSError, ValueError, TypeError, KeyError):
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["boot"] == _boot():
                return tuple(float(time) for time in record["state"]["restarts"])
    return ()


def keep_spent(runtime: Path, instance: str, restarts: tuple[float, ...]) -> None:
    """Remember a budget beyond the stop that ends all other memory; none of it: forget what was kept before."""
    path = _spent_path(runtime, instance)
    with suppress(OSError):
        if not restarts:
            path.unlink(missing_ok=True)
            return
        record = {"boot": _boot(), "state": {"restarts": restarts}}
        path.write_text(json.dumps(record), encoding="utf-8")


def group_of(runtime: Path, instance: str) -> Cgroup | None:
    """The control group that the daemon or an earlier action made for it, else the one that we would make.

    They differ where we run in another group than whoever started the server, as under systemd.
    """
    with suppress(OSError):
        return Cgroup(Path(_group_path(runtime, instance).read_text(encoding="utf-8")))
    return place(tag_of(runtime), instance)


def keep_group(runtime: Path, instance: str, group: Cgroup | None) -> None:
    """Tell later actions where the group is; None: there is none any more."""
    path = _group_path(runtime, instance)
    with suppress(OSError):
        if group is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(str(group.path), encoding="utf-8")


def _spent_path(runtime: Path, instance: str) -> Path:
    return runtime / "ocf" / f"{instance}.spent"


def _group_path(runtime: Path, instance: str) -> Path:
    return runtime / "ocf" / f"{instance}.group"


def _path(runtime: Path, instance: str) -> Path:
    return runtime / "resources" / f"{instance}.json"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
