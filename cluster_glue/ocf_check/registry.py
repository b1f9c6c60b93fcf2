"""Cases and verdicts: a case is a function that returns when its promise is kept, and raises when it is not."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cluster_glue.ocf_check.stage import Stage

Verdict = Literal["ok", "failed", "skipped"]
Play = Callable[["Stage"], str]


class Failed(Exception):
    """The agent broke the promise; the text says what was seen."""


class Skipped(Exception):
    """The case cannot be played with this agent; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Case:
    """``promise`` is what a good agent does, in one line; ``reaps`` whether PID 1 of the namespace reaps orphans."""

    name: str
    group: str
    promise: str
    play: Play
    reaps: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended: ``seen`` is what happened, ``seconds`` how long it took."""

    case: str
    promise: str
    verdict: Verdict
    seen: str
    seconds: float


_cases: dict[str, Case] = {}


def case(promise: str, *, reaps: bool = True) -> Callable[[Play], Play]:
    """Register a function as a case. Its name is the function's, with dashes. Raises ``ValueError`` when taken."""

    def register(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        if name in _cases:
            raise ValueError(f"two cases are called {name}")
        _cases[name] = Case(name, play.__module__.rpartition(".")[2], promise, play, reaps)
        return play

    return register


def every_case() -> dict[str, Case]:
    """All cases by name, in the order of their modules."""
    package = importlib.import_module("cluster_glue.ocf_check.cases")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(_cases)
