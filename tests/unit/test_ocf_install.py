"""The executables stand on their own: fixed interpreter, everybody may run them, and they can be taken away."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cluster_glue.cli import koboshi
from cluster_glue.ocf_agents import every_agent, metadata
from cluster_glue.ocf_install import interpreter
from ocf.programs import run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An OCF root, installed by the command with a narrow umask."""
    home = tmp_path_factory.mktemp("installed")
    mask = os.umask(0o077)
    try:
        done = CliRunner().invoke(koboshi, ["install-agents", "--ocf-root", f"{home}/ocf"], standalone_mode=False)
    finally:
        os.umask(mask)
    assert done.exit_code == 0, done.output
    yield home / "ocf"


def test_the_interpreter_is_a_real_program_and_no_shim() -> None:
    path = Path(interpreter())
    assert path.is_absolute()
    assert not path.is_symlink()
    assert path.read_bytes()[:4] == b"\x7fELF"
    assert Path(sys.prefix) not in path.parents or sys.prefix == sys.base_prefix


def test_every_agent_is_installed_for_everybody(root: Path) -> None:
    found = {path.name: path for path in (root / "resource.d/koboshi").iterdir()}
    assert set(found) == set(every_agent())
    for path in found.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
        assert interpreter() in path.read_text()
    for path in (root / "lib/koboshi").rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044, path
    for path in (root, root / "lib", root / "resource.d", root / "resource.d/koboshi"):
        assert path.stat().st_mode & 0o005 == 0o005, path


@pytest.mark.parametrize("agent", every_agent())
def test_meta_data_needs_no_environment(root: Path, agent: str) -> None:
    ended = run([str(root / "resource.d/koboshi" / agent), "meta-data"], 20, {})
    assert ended.ok
    assert ended.output == metadata(agent)


def test_an_action_finds_its_packages_beside_it_and_not_in_the_checkout(root: Path) -> None:
    script = root / "resource.d/koboshi/lighttpd"
    ended = run([str(script), "no-such-action"], 20, {"PYTHONPATH": "/nonexistent", "PYTHONHOME": "/nonexistent"})
    assert ended.status == 3, ended.output


def test_a_destination_is_not_part_of_what_is_written(tmp_path: Path) -> None:
    runner = CliRunner()
    words = ["install-agents", "--ocf-root", "/usr/lib/ocf", "--destdir", str(tmp_path)]
    assert runner.invoke(koboshi, words, standalone_mode=False).exit_code == 0
    script = tmp_path / "usr/lib/ocf/resource.d/koboshi/apache"
    assert str(tmp_path) not in script.read_text()
    assert runner.invoke(koboshi, [*words, "--remove"], standalone_mode=False).exit_code == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_script_is_one_that_every_shell_reads(root: Path) -> None:
    for path in (root / "resource.d/koboshi").iterdir():
        for shell in ("sh", "bash"):
            ended = run([shell, "-n", str(path)], 20)
            assert ended.ok, ended.output
