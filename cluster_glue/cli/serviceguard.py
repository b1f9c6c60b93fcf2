"""``koboshi serviceguard ...``: what Serviceguard's scripts call."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cluster_glue.cli.failure import Failure
from cluster_glue.cli.glue import CONFIG, configuration, scripted_resource
from cluster_glue.cli.scripts import HURRY, complain, echo, limit, tell

if TYPE_CHECKING:
    from cluster_glue.scripted import Scripted
    from ocf.conditions import Verdict


@click.group("serviceguard")
def serviceguard() -> None:
    """What Serviceguard's scripts call."""


@serviceguard.command("start")
@click.argument("resource")
@CONFIG
@limit("70s")
def serviceguard_start(resource: str, file: Path | None, timeout: float) -> int:
    """Start the resource: 0 it serves, 1 no node can run it, 2 another node may."""
    return _serviceguard(file, resource, lambda one: one.start(timeout * 0.9))


@serviceguard.command("stop")
@click.argument("resource")
@CONFIG
@limit("90s")
def serviceguard_stop(resource: str, file: Path | None, timeout: float) -> int:
    """Stop the resource: 0 nothing is left of it, 1 something is.

    SG_HALT_REASON=failure makes it short: another node waits.
    """
    from cluster_glue.connectors import serviceguard as sg

    hurried = sg.hurried(os.environ)
    within = min(timeout * 0.9, HURRY) if hurried else timeout * 0.9

    def stop(one: Scripted) -> Verdict:
        verdict = one.stop(within, hurried)
        if hurried:
            echo(f"{resource}: {one.ware.reminder(one.subject)}")
        return verdict

    return _serviceguard(file, resource, stop, started=True)


@serviceguard.command("validate")
@click.argument("resource")
@CONFIG
@limit("60s")
@click.option("--service-cmd", default="", help="The package's service commands, to look for ours among them.")
def serviceguard_validate(resource: str, file: Path | None, timeout: float, service_cmd: str) -> int:
    """Check that the resource could run here, and that the package has our watcher as a service."""
    from cluster_glue.connectors import serviceguard as sg

    if service_cmd.strip() and f"watch --clusterware=serviceguard {resource}" not in " ".join(service_cmd.split()):
        complain(f"no service of the package is our watcher: koboshi watch --clusterware=serviceguard {resource}")
        return sg.NOWHERE
    return _serviceguard(file, resource, lambda one: one.validate(timeout))


@serviceguard.command("status")
@CONFIG
def serviceguard_status(file: Path | None) -> int:
    """Show what Serviceguard says of the packages of our resources, and where each is barred."""
    from cluster_glue.connectors import cmviewcl
    from cluster_glue.connectors.carrying import asked, problem_of
    from cluster_glue.connectors.clusterware import Request, load

    ware = load("serviceguard")
    config = configuration(file)
    finished = asked(Request(("cmviewcl", "-v", "-f", "line"), 20.0, again=False), ware)
    if not finished.ok:  # releases before A.11.18 know no line format
        finished = asked(Request(("cmviewcl", "-v"), 20.0), ware)
    if not finished.ok:
        complain(f"cmviewcl: {problem_of(finished)}")
        return 1
    found = cmviewcl.read(finished.output)
    for name, resource in config.resources.items():
        package = found.get(resource.glue.package or name)
        if package is None:
            echo(f"{name}: Serviceguard has no package {resource.glue.package or name}")
            continue
        barred = f"; barred on {', '.join(package.barred)}" if package.barred else ""
        where = f" on {package.owner}" if package.owner else ""
        echo(f"{name}: package {package.name} is {package.status} {package.state}{where}{barred}")
    return 0


def _serviceguard(file: Path | None, resource: str, act: Callable[[Scripted], Verdict], started: bool = False) -> int:
    from cluster_glue.connectors import serviceguard as sg

    try:
        one = scripted_resource(file, resource, "serviceguard", started)
        verdict = act(one)
    except Failure as failure:
        complain(failure.format_message())
        return sg.ELSEWHERE
    tell(resource, verdict)
    return sg.status_of(verdict.condition, one.resource.glue)


COMMANDS: Final = (serviceguard,)
