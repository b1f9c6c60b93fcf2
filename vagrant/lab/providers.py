"""The kinds of machines that a lab can be made of, by name."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from vagrant.lab.machines import DEFAULT, Lab, LabError, provider_of

#: The word after ``--provider`` to the class; imported when it is asked for, as each brings its own needs.
PROVIDERS = {
    "namespaces": "vagrant.namespaces.lab:Namespaces",
    "lxc": "vagrant.machines.lxc:Containers",
    "libvirt": "vagrant.machines.libvirt:Domains",
    "virtualbox": "vagrant.machines.virtualbox:Boxes",
}
STANDARD = "namespaces"


def named(provider: str, directory: str | Path = "") -> Lab:
    """The lab of that kind in ``directory``. Raises :class:`LabError` for a name that is none."""
    if provider not in PROVIDERS:
        raise LabError(f"there is no provider {provider!r}; there are {', '.join(PROVIDERS)}")
    module, _, name = PROVIDERS[provider].partition(":")
    kind: type[Lab] = getattr(importlib.import_module(module), name)
    return kind(directory)


def found(directory: str | Path = "", provider: str = "") -> Lab:
    """The lab that is in ``directory``, whatever it is made of; where there is none, one of ``provider`` to be made.

    Raises :class:`LabError` when another provider's lab is there.
    """
    place = Path(directory or os.environ.get("LAB_DIR") or DEFAULT).absolute()
    there = provider_of(place)
    if there and provider and there != provider:
        raise LabError(f"the lab in {place} is made of {there}, not {provider}: leave --provider out, or end it first")
    return named(there or provider or STANDARD, place)
