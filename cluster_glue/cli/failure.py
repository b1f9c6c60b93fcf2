"""How a command fails: an exit code, one sentence, one remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import IO, Any, Final

import click

from cluster_glue.messages import sanitise

FAILED: Final = 1
USAGE: Final = 2
NOT_RUNNING: Final = 3
UNKNOWN: Final = 4
DENIED: Final = 5

#: Documented in ``koboshi --help`` and ``docs/command.rst``; never given another meaning.
CODES: Final = {
    0: "done; or, for status, everything that should be up is up",
    FAILED: "it failed; or, for status, something that should be up is not",
    USAGE: "the command line or the configuration is wrong",
    NOT_RUNNING: "koboshi is not running, or does not answer",
    UNKNOWN: "there is no such resource or incident",
    DENIED: "this user may not do that",
    130: "interrupted",
}


class Failure(click.ClickException):
    """A command that failed, in one sentence with its remedy; ``details`` are lines of their own below it."""

    def __init__(self, code: int, sentence: str, remedy: str = "", details: Iterable[str] = ()) -> None:
        super().__init__(sentence)
        self.code = code
        self.remedy = remedy
        self.details = tuple(details)

    def format_message(self) -> str:
        words = f"{self.message}; {self.remedy}" if self.remedy else self.message
        return "\n".join(sanitise(line, 800) for line in (words, *self.details))

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"koboshi: {self.format_message()}", file=file, err=file is None)


class Internal(Failure):
    """A defect of ours."""

    def __init__(self, error: Exception) -> None:
        super().__init__(
            FAILED,
            f"defect in this command: {type(error).__name__}: {error}",
            "report it with what KOBOSHI_TRACEBACK=1 prints",
        )


class Suggesting(click.Group):
    """A group that knows what was meant by a misspelt command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            close = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            remedy = f"did you mean {close[0]}?" if close else "`koboshi --help` lists them"
            raise Failure(USAGE, f"there is no command {args[0]!r}", remedy)
        return super().resolve_command(ctx, args)


def unknown_resource(name: str, known: list[str]) -> Failure:
    """No such resource; the nearest name, or all."""
    close = difflib.get_close_matches(name, known, 1)
    listed = f"the resources are: {', '.join(sorted(known))}" if known else "none is configured"
    return Failure(UNKNOWN, f"there is no resource {name!r}", f"did you mean {close[0]}?" if close else listed)
