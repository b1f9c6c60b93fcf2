"""``koboshi ocf-check``: exit status 0 when no case failed, 1 when some did, 2 when nothing could be checked."""

from __future__ import annotations

import os
import re
import shutil
import sys

import click

from cluster_glue.ocf_check.agent import OCF_ROOT, AgentNotFound, Subject, resolve
from cluster_glue.ocf_check.registry import Case, Outcome, Verdict, every_case
from cluster_glue.ocf_check.report import as_json, table

COLOURS: dict[Verdict, str] = {"ok": "green", "failed": "red", "skipped": "yellow"}

#: Our own recovery daemon, which an agent of ours may start.
OUR_DAEMON = r"\bkoboshi\b.* run\b|\bcluster_glue\.\S+"


class CannotCheck(click.ClickException):
    exit_code = 2


@click.command("ocf-check")
@click.argument("agent", required=False)
@click.option("-o", "options", metavar="NAME=VALUE", multiple=True, help="A parameter of the agent; repeatable.")
@click.option("--ocf-root", default=OCF_ROOT, show_default=True, help="Where agents are found, and their OCF_ROOT.")
@click.option("--timeout", default=20.0, show_default=True, type=click.FloatRange(min=1), help="Seconds per action.")
@click.option("--only", metavar="CASE", multiple=True, help="Play this case only; repeatable.")
@click.option("--list", "list_only", is_flag=True, help="Say what the cases are, and play none.")
@click.option("--json", "json_output", is_flag=True, help="Write JSON instead of a table.")
@click.option("--jobs", default=min(4, os.cpu_count() or 1), show_default=True, type=click.IntRange(min=1))
@click.option("--configfile-parameter", default="", help="The parameter that names the configuration file.")
@click.option("--configfile", default="", help="The configuration file, where no parameter names it.")
@click.option("--pidfile", default="", help="The pid file, where it does not hold the main process's pid.")
@click.option("--helper", "helpers", multiple=True, help="Command lines (regular expression) that are no service.")
def ocf_check(
    agent: str | None,
    options: tuple[str, ...],
    ocf_root: str,
    timeout: float,
    only: tuple[str, ...],
    list_only: bool,
    json_output: bool,
    jobs: int,
    configfile_parameter: str,
    configfile: str,
    pidfile: str,
    helpers: tuple[str, ...],
) -> None:
    """Check an OCF resource agent beyond what ocf-tester does.

    AGENT is a path or ocf:provider:type. Each case plays in its own PID, mount and network namespaces: servers are
    killed, frozen and misconfigured there, and nothing of it reaches this machine. Needs root.
    """
    cases = _chosen(only)
    if list_only:
        for case in cases:
            click.echo(f"{case.name:30} {case.promise}")
        return
    if agent is None:
        raise click.UsageError("which AGENT?")
    try:
        path, provider, kind = resolve(agent, ocf_root)
    except AgentNotFound as error:
        raise click.UsageError(str(error)) from None
    subject = Subject(
        path=path,
        provider=provider,
        type=kind,
        root=ocf_root,
        parameters=_parameters(options),
        timeout=timeout,
        configfile_parameter=configfile_parameter,
        configfile=configfile,
        pidfile=pidfile,
        helpers=_expressions(helpers) or (OUR_DAEMON,),
    )
    outcomes = _play(subject, cases, jobs)
    if json_output:
        click.echo(as_json(subject.name, outcomes))
    else:
        width = shutil.get_terminal_size((120, 24)).columns
        click.echo(table(outcomes, width, _paint if sys.stdout.isatty() else lambda text, _: text))
    sys.exit(1 if any(outcome.verdict == "failed" for outcome in outcomes) else 0)


def _play(subject: Subject, cases: list[Case], jobs: int) -> list[Outcome]:
    """Play, with one line of progress on a terminal. Raises :class:`CannotCheck`."""
    import asyncio

    from cluster_glue.ocf_check.namespaces import Unable, play_all

    done = 0
    terminal = sys.stderr.isatty()

    def progress(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if terminal:
            line = f"{done}/{len(cases)} {outcome.case}: {outcome.verdict}"
            click.echo(f"\r\x1b[K{line}" if done < len(cases) else "\r\x1b[K", err=True, nl=False)

    try:
        return asyncio.run(play_all(subject, cases, jobs, progress))
    except Unable as error:
        raise CannotCheck(str(error)) from None


def _paint(text: str, verdict: Verdict) -> str:
    return click.style(text, fg=COLOURS[verdict])


def _chosen(only: tuple[str, ...]) -> list[Case]:
    known = every_case()
    for name in only:
        if name not in known:
            raise click.UsageError(f"there is no case {name!r}; --list says which there are")
    return [case for name, case in known.items() if not only or name in only]


def _parameters(options: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise click.UsageError(f"-o {option}: write NAME=VALUE")
        found[name] = value
    return found


def _expressions(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        try:
            re.compile(text)
        except re.error as error:
            raise click.UsageError(f"--helper {text}: {error}") from None
    return texts


if __name__ == "__main__":
    ocf_check()
