"""``koboshi run``, and what needs no daemon: check-config, version, completion."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cluster_glue import places
from cluster_glue.cli import daemon, words
from cluster_glue.cli.failure import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from cluster_glue.config import Config, ConfigErrors

FILE = click.Path(path_type=Path)

#: The colour of a line by the group of its message id.
GROUPS: Final = {"1": "red", "2": "yellow", "3": "green", "4": "red", "9": "blue"}


@click.command()
@click.option("-c", "--config", "file", type=FILE, help="The configuration, in place of the usual one.")
@click.option("--check", is_flag=True, help="Only check the configuration.")
@click.option("--under-cluster", is_flag=True, help="A cluster brings the resources: no configuration is needed.")
def run(file: Path | None, check: bool, under_cluster: bool) -> int:
    """Run koboshi in the foreground.

    SIGTERM ends it and leaves the servers running; SIGHUP makes it reread its configuration.
    """
    path = file or places.config_file()
    if check:
        _checked(path)
        return 0
    from cluster_glue import daemon as service
    from cluster_glue.config import ConfigErrors
    from cluster_glue.control import ControlError

    try:
        return service.main(path, echo=_echo, under_cluster=under_cluster)
    except ConfigErrors as errors:
        raise _wrong(errors) from None
    except (ControlError, places.PlaceError) as error:
        raise Failure(FAILED, str(error)) from None


@click.command("check-config")
@click.argument("file", type=FILE, required=False)
@daemon.JSON
def check_config(file: Path | None, as_json: bool) -> int:
    """Tell every error of a configuration at once."""
    path = file or places.config_file()
    if not as_json:
        config = _checked(path)
        names = ", ".join(config.resources) or "none"
        click.echo(f"{path}: no error; resources: {names}")
        return 0
    from cluster_glue.config import ConfigErrors, load

    try:
        words.show_json({"ok": True, "path": str(path), "resources": list(load(path).resources), "errors": []})
    except ConfigErrors as errors:
        told = [
            {"line": error.line, "name": error.name, "problem": error.problem, "remedy": error.remedy}
            for error in errors.errors
        ]
        words.show_json({"ok": False, "path": str(path), "resources": [], "errors": told})
        return USAGE
    return 0


@click.command()
@daemon.JSON
def version(as_json: bool) -> None:
    """Tell koboshi's version."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        found = installed("koboshi")
    except PackageNotFoundError:
        found = "unknown"
    words.show_json({"version": found}) if as_json else click.echo(f"koboshi {found}")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), required=False)
def completion(shell: str | None) -> None:
    """Print the completion script of a shell.

    For bash: koboshi completion bash > /etc/bash_completion.d/koboshi
    """
    from click.shell_completion import get_completion_class

    from cluster_glue.cli import koboshi

    name = shell or Path(os.environ.get("SHELL", "bash")).name
    kind = get_completion_class(name)
    if kind is None:
        raise Failure(USAGE, f"there is no completion for {name}", "name one of bash, zsh, fish")
    click.echo(kind(koboshi, {}, "koboshi", "_KOBOSHI_COMPLETE").source())


def _checked(path: Path) -> Config:
    from cluster_glue.config import ConfigErrors, load

    try:
        return load(path)
    except ConfigErrors as errors:
        raise _wrong(errors) from None


def _wrong(errors: ConfigErrors) -> Failure:
    count = len(errors.errors)
    sentence = f"the configuration has {count} {'error' if count == 1 else 'errors'}, so it is not taken"
    return Failure(USAGE, sentence, details=str(errors).splitlines())


def _echo(line: str) -> None:
    now = time.time()
    stamp = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"
    group = re.search(r"\[KOB(\d)", line)
    click.echo(f"{stamp} {words.paint(line, GROUPS.get(group[1] if group else '', 'white'))}")


COMMANDS: Final = (run, check_config, version, completion)
