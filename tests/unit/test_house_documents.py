"""The documentation builds, and what it says is true."""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path

import docutils.core
import docutils.utils
import pytest

from cluster_glue.cli import koboshi
from cluster_glue.config import parse
from cluster_glue.recovery.policy import Policy, PolicyError
from tests.house import ROOT, blocks, setup_cfg, shell, text_of


@pytest.mark.parametrize("builder", ["html", "man"])
def test_the_documentation_builds_without_a_warning(builder: str, tmp_path: Path) -> None:
    built = shell(
        *(sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", builder),
        *("-d", str(tmp_path / "doctrees"), "docs", str(tmp_path / "out")),
    )
    assert built.ok, built.output
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"html": {"index.html"}, "man": {"koboshi.8", "koboshi.toml.5"}}[builder] <= there


@pytest.mark.parametrize("page", ["README.rst", "CONTRIBUTING.rst", "CHANGELOG.rst"])
def test_a_page_outside_the_documentation_is_plain_restructured_text(page: str) -> None:
    """A forge renders it with docutils alone."""
    docutils.core.publish_doctree(
        text_of(page), settings_overrides={"halt_level": docutils.utils.Reporter.WARNING_LEVEL, "report_level": 5}
    )


def test_the_examples_in_the_documentation_are_true() -> None:
    for page in sorted((ROOT / "docs").rglob("*.rst")):
        flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE
        result = doctest.testfile(str(page), module_relative=False, optionflags=flags, encoding="utf-8")
        assert result.failed == 0, page


def test_the_refusal_in_the_documentation_says_what_the_code_says() -> None:
    with pytest.raises(PolicyError, match=r"cannot hold its own restarts: .* = 1642\.5 s"):
        Policy(restart_limit=8, restart_window=600)


@pytest.mark.parametrize("page", ["README.rst", "docs/usage.rst", "docs/man/koboshi.toml.rst"])
def test_a_sample_configuration_is_accepted(page: str) -> None:
    samples = blocks(text_of(page), "toml")
    assert samples
    for sample in samples:
        assert parse(sample, page).resources


@pytest.mark.parametrize("page", ["README.rst", "docs/usage.rst", "docs/installation.rst", "docs/policy.rst"])
def test_every_command_that_is_shown_exists(page: str) -> None:
    """Command lines in literal blocks and in double back quotes: the command, and its options."""
    literal = "\n".join(re.findall(r"::\n\n((?:    .*\n|\n)+)", text_of(page)))
    shown = re.findall(r"(?m)^    koboshi ([a-z-]+)([^\n#]*)", literal)
    shown += re.findall(r"``koboshi ([a-z-]+)([^`\n]*)", text_of(page))
    assert shown
    for name, rest in shown:
        assert name in koboshi.commands, f"{page}: koboshi {name}"
        options = {option for parameter in koboshi.commands[name].params for option in parameter.opts}
        for word in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest):
            assert word in options, f"{page}: koboshi {name} {word}"


def test_the_license_is_the_one_that_is_named() -> None:
    assert setup_cfg()["metadata"]["license"] == "Apache-2.0"
    assert "Apache License" in text_of("LICENSE")
