"""Vagrant by hand: ``vagrant/Vagrantfile`` sends its words here, to be said in the room where the machines are.

``vagrant up`` where there is no lab is ``script/lab up``; after a ``vagrant destroy`` that left no machine the room is
closed. All else is Vagrant's own, with this terminal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from vagrant.lab.bringing_up import up
from vagrant.lab.machines import Lab, LabError, chosen_count, provider_of
from vagrant.lab.providers import found
from vagrant.machines.boxed import Boxed

#: What ``vagrant up`` takes when nobody says, the first that can be had: machines with a kernel of their own, if so.
PREFERRED = ("libvirt", "lxc")


def lab_of(words: Sequence[str], directory: str = "") -> Lab:
    """The lab that is there, or else the one that these words ask for. Raises :class:`LabError`."""
    asked = _provider(words) or os.environ.get("VAGRANT_DEFAULT_PROVIDER", "")
    lab = found(directory, asked)
    if asked or provider_of(lab.directory):
        return lab
    possible = (found(directory, name) for name in PREFERRED)
    return next((one for one in possible if not one.missing()), found(directory, PREFERRED[-1]))


def by_hand(lab: Lab, words: Sequence[str], prepare: Callable[[Lab, int], None], say: Callable[[str], None]) -> int:
    """Do what ``vagrant WORDS`` asks for; the exit status. Raises :class:`LabError`."""
    if not isinstance(lab, Boxed):
        raise LabError(f"the lab in {lab.directory} is of {lab.provider}, which Vagrant does not know: use script/lab")
    if not lab.exists():
        if words[:1] != ["up"]:
            raise LabError(f"there is no lab in {lab.directory}: vagrant up makes one")
        count = chosen_count()
        prepare(lab, count)
        up(lab, count, say)
        say("vagrant ssh node1 looks inside, vagrant status tells what can be chosen, vagrant destroy -f ends the lab")
        return 0
    environment = {**lab.environment(), "TERM": os.environ.get("TERM", "dumb")}
    if sys.stdout.isatty():
        environment.pop("VAGRANT_NO_COLOR")
    status = _to_its_end([*lab.entry(), "vagrant", *words], environment)
    if words[:1] == ["destroy"] and status == 0 and not any((lab.directory / "machines").rglob("id")):
        lab.end()
        say("the lab is gone")
    return status


def _to_its_end(words: Sequence[str], environment: dict[str, str]) -> int:
    """Run a program with this terminal, which interrupts the program as well; its exit status, once it has ended."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # Not ignored: the program would inherit that.
    before = {number: signal.signal(number, _unmoved) for number in signals}
    try:
        return subprocess.Popen(words, env=environment, cwd="/").wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unmoved(number: int, _: object) -> None:
    """What the program does with the signal counts."""


def _provider(words: Sequence[str]) -> str:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--provider"):
            return word.partition("=")[2] or following
    return ""
