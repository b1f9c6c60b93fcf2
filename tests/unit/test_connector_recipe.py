"""The recipe for a new connector in docs/connectors.rst, carried out on a copy of the tree."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from ocf.programs import PLAIN_ENVIRONMENT, Finished, run
from tests.house import ROOT, blocks, text_of


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the tree with the one new file."""
    page = text_of("docs/connectors.rst")
    named = re.search(r"``(cluster_glue/connectors/\w+\.py)``:\n\n\.\. code-block:: python\n", page)
    assert named, "the page does not say which file to write"
    for name in ("ocf", "resource_agents", "cluster_glue"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "ruff.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    assert not (tmp_path / named[1]).exists()
    (tmp_path / named[1]).write_text(blocks(page, "python")[0], encoding="utf-8")
    return tmp_path


def in_copy(copy: Path, *argv: str) -> Finished:
    return run([sys.executable, "-P", *argv], 180.0, {**PLAIN_ENVIRONMENT, "PYTHONPATH": str(copy)}, cwd=str(copy))


def test_one_file_makes_a_connector(copy: Path) -> None:
    (copy / "koboshi.toml").write_text(
        '[koboshi]\nconnector = "keepalived"\n[resource.web]\nagent = "apache"\non_exhausted = "failover"\n'
    )
    command = "from cluster_glue.cli import main; main()"
    checked = in_copy(copy, "-c", command, "check-config", "koboshi.toml")
    assert checked.ok and "no error" in checked.output, checked.output
    made = in_copy(copy, "-c", command, "scaffold", "keepalived", "web", "-c", "koboshi.toml")
    assert made.ok and "track_file web {" in made.output, made.output
    (copy / "koboshi.toml").write_text(
        '[resource.web]\nagent = "apache"\nconnector = "keepalived"\non_exhausted = "reboot"\n'
    )
    refused = in_copy(copy, "-c", command, "check-config", "koboshi.toml")
    assert "keepalived cannot do 'reboot'" in refused.output


def test_the_file_of_the_recipe_is_clean(copy: Path) -> None:
    file = "cluster_glue/connectors/keepalived.py"
    checked = in_copy(copy, "-m", "ruff", "check", "--no-cache", "--ignore", "ARG002", file)
    assert checked.ok, checked.output
    typed = in_copy(copy, "-m", "mypy", "--cache-dir", str(copy / "cache"), file)
    assert typed.ok, typed.output


@pytest.mark.parametrize("page", ["connectors", "standalone", "balancer"])
def test_a_sample_configuration_is_accepted(page: str) -> None:
    from cluster_glue.config import parse

    samples = blocks(text_of(f"docs/{page}.rst"), "toml")
    assert samples
    for sample in samples:
        assert parse(sample, page).resources


@pytest.mark.parametrize("page", ["connectors", "pacemaker", "clusterpro", "serviceguard", "standalone", "balancer"])
def test_every_command_and_setting_that_is_shown_exists(page: str) -> None:
    import click

    from cluster_glue.cli import koboshi
    from cluster_glue.config_resource import GLUE

    text = text_of(f"docs/{page}.rst")
    for name, below in re.findall(r"``koboshi ([a-z-]+)(?: ([a-z-]+))?", text):
        command = koboshi.commands[name]
        if isinstance(command, click.Group):
            assert below in command.commands, f"koboshi {name} {below}"
    known = text_of("docs/configuration.rst")
    for name in re.findall(r"``([a-z]+_[a-z_]+)(?: = [^`]+)?``", text):
        if not name.startswith(("service_", "external_", "customer_")):
            assert f"``{name}``" in known, name
    assert GLUE
