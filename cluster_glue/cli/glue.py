"""What joins koboshi with a clusterware: ``scaffold``, ``watch``, ``alert``, ``standalone``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cluster_glue import places
from cluster_glue.cli.acting import _seconds
from cluster_glue.cli.failure import FAILED, UNKNOWN, USAGE, Failure
from cluster_glue.cli.scripts import complain, echo

if TYPE_CHECKING:
    from cluster_glue.config_model import Config, ResourceConfig
    from cluster_glue.connectors.clusterware import Generated
    from cluster_glue.scripted import Scripted

FILE = click.Path(path_type=Path)
CONFIG = click.option("-c", "--config", "file", type=FILE, help="The configuration, in place of the usual one.")


@click.command()
@click.argument("clusterware")
@click.argument("resource", default="web")
@CONFIG
@click.option("--agent", default="apache", show_default=True, help="The agent, for a resource that is not configured.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of the agent; may be repeated.")
@click.option("--form", type=click.Choice(["crm", "pcs"]), default="crm", show_default=True, help="For Pacemaker.")
@click.option("--ip", default="", help="The service address that moves along, for Pacemaker.")
@click.option("--cmcluster-conf", "conf", type=FILE, default="/etc/cmcluster.conf", help="Where Serviceguard is.")
@click.option("--command", "program", default="", help="The path of koboshi on the cluster's nodes.")
@click.option("-o", "--output", type=FILE, help="Write the files below this directory in place of printing them.")
def scaffold(
    clusterware: str, resource: str, file: Path | None, agent: str, given: tuple[str, ...], form: str, ip: str,
    conf: Path, program: str, output: Path | None,
) -> None:  # fmt: skip
    """Generate what a clusterware needs to run a resource: scripts and configuration, commented, ready to apply.

    CLUSTERWARE is pacemaker, clusterpro or serviceguard. A RESOURCE of the configuration brings its own parameters;
    without one, it is a complete example for a resource called web.
    """
    from cluster_glue import scripted
    from cluster_glue.connectors.clusterware import ScaffoldError, Sketch, load, names

    try:
        ware = load(clusterware)
    except LookupError:
        raise Failure(USAGE, f"there is no clusterware {clusterware!r}", f"there is: {', '.join(names())}") from None
    configured = _resource(file, resource, agent, given)
    options = {"form": form, "ip": ip, "cmcluster.conf": _text(conf)}
    try:
        made = ware.scaffold(Sketch(configured, configured.glue, program or scripted.command(), options))
    except ScaffoldError as error:
        raise Failure(USAGE, str(error)) from None
    if output is None:
        click.echo("\n".join(f"# ---- {each.path}\n{each.text}" for each in made), nl=False)
        return
    for each in made:
        click.echo(str(_write(output, each)))


def _resource(file: Path | None, name: str, agent: str, given: tuple[str, ...]) -> ResourceConfig:
    """The resource as configured, with what was ``given`` besides; or a new one of ``agent``."""
    from dataclasses import replace

    from cluster_glue.config_model import NAME, ResourceConfig
    from cluster_glue.recovery.policy import Policy
    from ocf.declarations import ParameterError
    from resource_agents.server import load

    if not NAME.fullmatch(name):
        raise Failure(USAGE, f"a resource cannot be called {name!r}", "letters, digits, dots, underscores, hyphens")
    more = dict(word.split("=", 1) for word in given if "=" in word)
    if len(more) != len(given):
        raise Failure(USAGE, "a parameter is given as NAME=VALUE, and once")
    path = file or places.config_file()
    known = configuration(path).resources.get(name) if file or path.exists() else None
    resource = known or ResourceConfig(name, agent, {}, Policy())
    resource = replace(resource, values={**resource.values, **more})
    try:
        load(resource.agent)(resource.values, name)
    except LookupError:
        raise Failure(USAGE, f"there is no agent {resource.agent!r}") from None
    except ParameterError as error:
        raise Failure(USAGE, f"{name}: {error}", "name what is missing with --set NAME=VALUE") from None
    return resource


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _write(output: Path, each: Generated) -> Path:
    path = output / each.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(each.text, encoding="utf-8")
        path.chmod(0o755 if each.executable else 0o644)
    except OSError as error:
        raise Failure(FAILED, f"{path}: {error.strerror}", "name another directory with -o") from None
    return path


@click.command()
@click.argument("resource")
@CONFIG
@click.option("--clusterware", default="", help="Whose watcher it is, in place of the configured one.")
@click.option("--interval", callback=_seconds, default="1s", show_default=True, metavar="TIME", help="Look so often.")
def watch(resource: str, file: Path | None, clusterware: str, interval: float) -> int:
    """Stay as long as a resource can be kept up here, and end when it cannot.

    For a clusterware that watches a process: Serviceguard's service_cmd, CLUSTERPRO's resident process.
    """
    from cluster_glue.watcher import Watcher, isolate

    isolate()
    one = scripted_resource(file, resource, clusterware, started=True)
    return Watcher(one, max(0.1, interval), echo).watch()


@click.command()
def alert() -> None:
    """Bring an alert of Pacemaker's into the timeline of the resource's incident.

    For the alert agent that `koboshi scaffold pacemaker` writes; reads CRM_alert_* variables.
    """
    import os

    from cluster_glue import alerts

    alerts.send(places.runtime_dir(uid=0), alerts.read(os.environ))


@click.group()
def standalone() -> None:
    """For a machine without a clusterware."""


@standalone.command()
@CONFIG
def check(file: Path | None) -> int:
    """Prove the way to a reboot without going it."""
    from cluster_glue.config_model import Settings
    from cluster_glue.connectors.reboot import Rebooter

    path = file or places.config_file()
    settings = configuration(path).settings if file or path.exists() else Settings()
    steps = Rebooter(places.state_dir(), places.runtime_dir()).check(settings)
    for good, words in steps:
        click.echo(f"{'ok' if good else 'NO':3} {words}")
    return 0 if all(good for good, _ in steps) else FAILED


def configuration(file: Path | None) -> Config:
    """The configuration. Raises :class:`Failure`."""
    from cluster_glue.config import ConfigErrors, load

    try:
        return load(file or places.config_file())
    except ConfigErrors as errors:
        raise Failure(USAGE, "the configuration is wrong", "", str(errors).splitlines()) from None


def scripted_resource(file: Path | None, name: str, connector: str = "", started: bool = False) -> Scripted:
    """A resource of the configuration, as its clusterware's scripts see it. Raises :class:`Failure`.

    ``started``: one that may run already. It is not worse for a configuration that was broken since, and can be stopped
    as what it was started as.
    """
    from cluster_glue.connectors.clusterware import names
    from cluster_glue.scripted import Scripted, Unknown, handed

    if connector and connector not in names():
        raise Failure(USAGE, f"there is no clusterware {connector!r}", f"there is: {', '.join(names())}")
    try:
        try:
            return Scripted(configuration(file), name, connector)
        except (Failure, Unknown) as error:
            known = handed(name) if started else None
            if known is None:
                raise
            complain(f"{error}; {name} is taken as what it was started as (koboshi check-config tells more)")
            return Scripted(known, name, connector)
    except Unknown as error:
        raise Failure(UNKNOWN, str(error)) from None


COMMANDS: Final = (scaffold, watch, alert, standalone)
