"""``koboshi clusterpro ...``: what CLUSTERPRO's scripts call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cluster_glue.cli import daemon
from cluster_glue.cli.acting import _seconds, _settled
from cluster_glue.cli.failure import Failure
from cluster_glue.cli.glue import CONFIG, scripted_resource
from cluster_glue.cli.scripts import HURRY, complain, echo, limit, tell

if TYPE_CHECKING:
    from cluster_glue.scripted import Scripted
    from ocf.conditions import Verdict


@click.group("clusterpro")
def clusterpro() -> None:
    """What CLUSTERPRO's scripts call."""


@clusterpro.command("start")
@click.argument("resource")
@CONFIG
@limit("70s")
def clusterpro_start(resource: str, file: Path | None, timeout: float) -> int:
    """Start.sh: start the resource and wait until it serves."""
    from cluster_glue.connectors import clusterpro as clp

    plan = clp.to_start(os.environ)
    if plan.said:
        echo(plan.said)
    if not plan.act:
        return plan.status
    return _clusterpro(file, resource, lambda one: _start(one, timeout * 0.9))


def _start(one: Scripted, within: float) -> Verdict:
    from cluster_glue.connectors.carrying import absent

    if problem := absent(one.ware, one.subject):
        complain(problem)
    return one.start(within)


@clusterpro.command("stop")
@click.argument("resource")
@CONFIG
@limit("90s")
def clusterpro_stop(resource: str, file: Path | None, timeout: float) -> int:
    """Stop.sh: stop the resource, until nothing is left of it."""
    from cluster_glue.connectors import clusterpro as clp

    plan = clp.to_stop(os.environ)
    echo(plan.said)
    if not plan.act:
        return plan.status
    within = min(timeout * 0.9, HURRY) if plan.urgent else timeout * 0.9
    return _clusterpro(file, resource, lambda one: one.stop(within, plan.urgent, plan.keeps), started=True)


@clusterpro.command("monitor")
@click.argument("resource")
@CONFIG
@limit("30s")
@click.option("--interval", callback=_seconds, default="30s", show_default=True, metavar="TIME", help="Of the monitor.")
def clusterpro_monitor(resource: str, file: Path | None, timeout: float, interval: float) -> int:
    """Genw.sh: healthy or under repair (0), or beyond repair here (1)."""
    from cluster_glue.scripted import given

    try:
        if not given(resource):
            echo(f"{resource}: not active on this server")
            return 0
        one = scripted_resource(file, resource, "clusterpro", started=True)
        if one.maintenance():
            echo(f"{resource}: in maintenance")
            return 0
        verdict = one.monitor(timeout, interval)
    except Failure as failure:
        complain(failure.format_message())
        return 1
    tell(resource, verdict)
    return one.ware.asked[verdict.condition]


@clusterpro.command("recover")
@click.argument("resource")
@limit("120s")
def clusterpro_recover(resource: str, timeout: float) -> int:
    """Preaction.sh: restart the resource, when that is the action."""
    from cluster_glue.connectors import clusterpro as clp

    plan = clp.to_recover(os.environ)
    echo(plan.said)
    if not plan.act:
        return plan.status
    try:
        end = time.monotonic() + timeout
        daemon.request({"do": "restart", "resource": resource})
        after = _settled(resource, end)
    except Failure as failure:
        complain(failure.format_message())
        return 1
    echo(f"{resource}: {after.get('phase')}: {after.get('reason')}")
    return 0 if after.get("phase") == "up" else 1


@clusterpro.command("suspend")
@click.argument("resource")
@click.option("--for", "seconds", callback=_seconds, default="30m", show_default=True, metavar="TIME", help="So long.")
def clusterpro_suspend(resource: str, seconds: float) -> int:
    """Suspend CLUSTERPRO's monitor of the resource, and pause koboshi."""
    daemon.request({"do": "pause", "resource": resource, "for": seconds, "reason": "monitor suspended"})
    return _monitor_control("-s", resource)


@clusterpro.command("resume")
@click.argument("resource")
def clusterpro_resume(resource: str) -> int:
    """Resume CLUSTERPRO's monitor of the resource, and koboshi."""
    daemon.request({"do": "resume", "resource": resource})
    return _monitor_control("-r", resource)


def _monitor_control(way: str, resource: str) -> int:
    from cluster_glue.connectors.carrying import asked, problem_of
    from cluster_glue.connectors.clusterware import Request, load

    words = ("clpmonctrl", way, "-h", os.uname().nodename, "-m", f"genw-{resource}")
    finished = asked(Request(words, 30.0, again=False), load("clusterpro"))
    echo(finished.output.strip() or problem_of(finished))
    return 0 if finished.ok else 1


def _clusterpro(file: Path | None, resource: str, act: Callable[[Scripted], Verdict], started: bool = False) -> int:
    try:
        one = scripted_resource(file, resource, "clusterpro", started)
        verdict = act(one)
    except Failure as failure:
        complain(failure.format_message())
        return 1
    tell(resource, verdict)
    echo("EXIT")
    return one.ware.asked[verdict.condition]


COMMANDS: Final = (clusterpro,)
