"""Generated scripts, looked at by those who know shell best: the shell itself, and shellcheck."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cluster_glue.connectors.clusterware import Generated
from tests.house import shell


def write(folder: Path, made: tuple[Generated, ...]) -> list[Path]:
    """The generated files below ``folder``; the paths of those that are scripts."""
    scripts = []
    for each in made:
        path = folder / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(each.text)
        if each.text.startswith("#!"):
            path.chmod(0o755)
            scripts.append(path)
    return scripts


def assert_sound(script: Path) -> None:
    """It is shell, and nothing in it is doubtful."""
    parsed = shell("sh", "-n", str(script))
    assert parsed.ok, parsed.output
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not here")
    checked = shell("shellcheck", str(script))
    assert checked.ok, checked.output
