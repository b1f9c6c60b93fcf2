"""The command for people (and their scripts): ``koboshi``.

It asks the daemon over the control socket and reads the journal of incidents; ``koboshi run`` is the daemon itself.
Whatever goes wrong is one sentence on stderr that names the thing and the remedy, and an exit code (see
:mod:`cluster_glue.cli.failure`). Heavy imports happen inside the commands that need them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from cluster_glue.cli import acting, asking, clusterpro, diagnosis, glue, ocf, running, serviceguard, stories
from cluster_glue.cli.failure import CODES, Failure, Internal, Suggesting

EXIT_CODES = "Exit codes:\n" + "".join(f"\n{code:5}  {meaning}" for code, meaning in CODES.items()).lstrip("\n")


@click.group(
    cls=Suggesting,
    epilog=f"\b\n{EXIT_CODES}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def koboshi() -> None:
    """Keeps web servers up: sees why one fell, gets it back up, and tells you.

    Start with `koboshi status`; after a fall, `koboshi why` tells the story.
    """


for command in (
    *running.COMMANDS,
    *asking.COMMANDS,
    *acting.COMMANDS,
    *stories.COMMANDS,
    *diagnosis.COMMANDS,
    *ocf.COMMANDS,
    *glue.COMMANDS,
    *clusterpro.COMMANDS,
    *serviceguard.COMMANDS,
):
    koboshi.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: runs the command and ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a terminal of the 1980s shall not end us
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(_code(arguments))


def _code(arguments: Sequence[str] | None) -> int:
    try:
        result = koboshi.main(arguments, prog_name="koboshi", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.code if isinstance(error, Failure) else error.exit_code
    except click.Abort:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains when it flushes at its end
        return 1
    except Exception as error:
        if os.environ.get("KOBOSHI_TRACEBACK"):
            raise
        Internal(error).show()
        return 1
    return result if isinstance(result, int) else 0
