"""What must outlive the daemon, one small file per resource in the runtime directory.

Written before the orders it leads to are carried out: into a new file, then renamed over the old one, so that a kill at
any moment leaves the old or the new. It holds the boot id, for nothing in it is true after a reboot.
"""

from __future__ import annotations

import dataclasses
import json
import types
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from cluster_glue.recovery.model import State
from resource_agents.families import Remembered


def boot_id() -> str:
    """This boot's name (proc(5), /proc/sys/kernel/random/boot_id)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class Store:
    """The saved states of all resources of one daemon."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._boot = boot_id()

    def save(self, resource: str, state: State, remembered: Remembered | None) -> None:
        """Replace what is saved of ``resource``. Raises ``OSError``."""
        path = self._path(resource)
        fresh = path.with_suffix(".new")
        record = {"boot": self._boot, "state": plain(state), "remembered": plain(remembered)}
        fresh.write_text(json.dumps(record), encoding="utf-8")
        fresh.replace(path)

    def load(self, resource: str) -> tuple[State, Remembered | None] | None:
        """What was saved on this boot; None when there is nothing, or nothing that can be read."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            record = json.loads(self._path(resource).read_text(encoding="utf-8"))
            if record["boot"] == self._boot:
                return revive(State, record["state"]), revive(Remembered | None, record["remembered"])
        return None

    def forget(self, resource: str) -> None:
        """Forget a resource that is no longer configured."""
        self._path(resource).unlink(missing_ok=True)

    def _path(self, resource: str) -> Path:
        return self._directory / f"{resource}.json"


def plain(value: Any) -> Any:
    """A dataclass, enum or tuple of such as what JSON can carry."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return value


def revive(kind: Any, value: Any) -> Any:
    """The inverse of :func:`plain` for the declared type ``kind``. Raises what wrong data raises."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return revive(next(each for each in arguments if each is not type(None)), value)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return tuple(revive(arguments[0], each) for each in value)
        return tuple(revive(each, item) for each, item in zip(arguments, value, strict=True))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{name: revive(hints[name], item) for name, item in value.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return kind(value) if kind in (int, float, str, bool) else value
