"""The checkout as tests of the house see it: its files, and programs run in it."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from ocf.programs import PLAIN_ENVIRONMENT, Finished, run

ROOT = Path(__file__).resolve().parents[1]

#: The agent that the recipe in CONTRIBUTING.rst adds.
RECIPE_AGENT = "pyhttp"


def text_of(name: str) -> str:
    """The text of a file of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def setup_cfg() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / "setup.cfg", encoding="utf-8")
    return parsed


def shell(*argv: str, timeout: float = 120.0) -> Finished:
    """Run a program in the checkout, with a plain environment."""
    return run(argv, timeout, PLAIN_ENVIRONMENT, cwd=str(ROOT))


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language, without their indentation."""
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:(?:    .*)?\n)+)", page + "\n")
    return [re.sub(r"(?m)^    ", "", block).strip() + "\n" for block in found]
