"""One row of the matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.causes.stage import Stage


@dataclass(frozen=True)
class Fault:
    """``right`` are the names that are right; ``spare``: a restart is wrong. ``impossible`` says why it is not made.

    ``warned``: it serves on, so that a warning which names the cause is all that can be right.
    """

    name: str
    server: str
    make: Callable[[Stage], None]
    right: tuple[str, ...]
    spare: bool = False
    impossible: str = ""
    warned: bool = False
