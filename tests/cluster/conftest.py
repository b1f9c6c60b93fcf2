"""One lab for the session, with everything mended and at home before each scenario.

``LAB_PROVIDER`` says what its machines are (default: namespaces), ``LAB_COUNT`` how many; ``LAB_REPORT`` names the file
into which what was played is drawn.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vagrant.lab.answers import Client
from vagrant.lab.bringing_up import restore, up
from vagrant.lab.claims import View
from vagrant.lab.machines import Lab, LabError
from vagrant.lab.providers import STANDARD, named
from vagrant.lab.report import report

#: Where what was played is kept until the report of it.
RECORDS = tempfile.TemporaryDirectory(prefix="koboshi-lab-records-")
PROVIDER = os.environ.get("LAB_PROVIDER") or STANDARD


def pytest_sessionfinish() -> None:
    """Draw what was played where that is asked for."""
    output = os.environ.get("LAB_REPORT")
    if output and list(Path(RECORDS.name).iterdir()):
        report(Path(RECORDS.name), Path(output))
    RECORDS.cleanup()


class Stage:
    """The lab, and whether a scenario has used it since it was new."""

    def __init__(self, directory: Path) -> None:
        self.lab, self.used = named(PROVIDER, directory), False

    def fresh(self) -> Lab:
        """As it was when it was new; made anew where it cannot be mended."""
        try:
            if self.used:
                restore(self.lab)
        except LabError as error:
            print(f"made anew: {error}")
            self.lab.end()
            self.used = False
        if not self.lab.exists():
            up(self.lab, int(os.environ.get("LAB_COUNT", "2")), print)
        self.used = True
        return self.lab


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("lab") / "lab")
    problems = stage.lab.missing()
    if problems:
        pytest.fail(f"the cluster tests cannot run here: {problems[0]}")
    try:
        yield stage
    finally:
        stage.lab.end()


@pytest.fixture
def view(stage: Stage, tmp_path: Path) -> Iterator[View]:
    lab = stage.fresh()
    client = Client(lab, tmp_path / "client")
    view = View(lab, client)
    try:
        yield view
    finally:
        view.end()
        client.end()
