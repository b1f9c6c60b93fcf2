"""What is refused before anything of a lab is made: choices that it could not keep, and places too small for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from vagrant.lab.machines import LabError

#: What can be chosen for Vagrant alone: ``up`` waits for this, as drills need it.
ONLY = {"LAB_SERVERS": "apache,nginx", "LAB_CONFIGURE": "yes"}


def check_choices(provider: str, fences: Sequence[str]) -> None:
    """Raises :class:`LabError` for what the environment chooses and machines of ``provider`` cannot be given."""
    for name, only in ONLY.items():
        chosen = os.environ.get(name) or only
        if set(chosen.split(",")) != set(only.split(",")):
            raise LabError(
                f"{name}={chosen}: this lab comes up with both services or not at all, so leave that out; "
                f"what you chose, LAB_EXPOSE=yes vagrant up makes"
            )
    fence = os.environ.get("LAB_FENCE") or fences[0]
    if fence not in fences:
        raise LabError(f"LAB_FENCE={fence}: machines of {provider} have {', '.join(fences)}")


def check_place(directory: Path) -> None:
    """Raises :class:`LabError` when there cannot be such a directory."""
    place = _standing(directory)
    if not place.is_dir():
        raise LabError(f"{place} is no directory: name another --directory")


def check_disk(directory: Path, needed: int) -> None:
    """Raises :class:`LabError` when fewer than ``needed`` MiB are left there."""
    place = _standing(directory)
    free = shutil.disk_usage(place).free >> 20
    if free < needed:
        remedy = "name another --directory, or take fewer --nodes"
        raise LabError(f"{place} has {free} MiB left, and such a lab needs {needed}: {remedy}")


def _standing(directory: Path) -> Path:
    """It, or of those above it the first that there is."""
    return next(path for path in (directory, *directory.parents) if path.exists())
