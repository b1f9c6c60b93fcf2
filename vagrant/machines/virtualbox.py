"""VirtualBox: Vagrant makes the lab's machines there, and that is all of it.

VirtualBox keeps its machines and networks in the machine's own kernel modules and not in namespaces, so that no room
could hold such a lab and end with nothing left. What ``script/lab`` is asked for is refused with what helps.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import ClassVar

from vagrant.lab.machines import Lab, LabError, check_count

REMEDY = "with VirtualBox, Vagrant alone makes the lab and ends it: vagrant up --provider virtualbox"


class Boxes(Lab):
    """No lab of ``script/lab``'s."""

    provider: ClassVar[str] = "virtualbox"

    def missing(self) -> list[str]:
        here = "" if shutil.which("VBoxManage") else "VirtualBox is not installed here (no VBoxManage); "
        return [here + REMEDY]

    def exists(self) -> bool:
        return False

    def begin(self, count: int, say: Callable[[str], None]) -> None:
        check_count(count)
        say("VirtualBox is looked for")
        raise LabError(self.missing()[0])

    def end(self) -> bool:
        return False

    @property
    def nodes(self) -> list[str]:
        raise self._none()

    def ask(self, words: str) -> str:
        raise self._none(words)

    def entry(self, node: str = "") -> list[str]:
        raise self._none(node)

    def read(self, node: str, path: str) -> str:
        raise self._none(f"{node}:{path}")

    def _none(self, what: str = "") -> LabError:
        return LabError(f"{what}{': ' * bool(what)}there is no lab in {self.directory}: script/lab up makes one")
