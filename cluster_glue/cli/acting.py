"""What an operator asks for: start, stop, restart, reload, pause, resume, clear.

The first four wait until the resource has settled; the daemon goes on whether anybody waits or not.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import click

from cluster_glue import values
from cluster_glue.cli import daemon, words
from cluster_glue.cli.failure import FAILED, USAGE, Failure
from cluster_glue.conversation import LONGEST_PAUSE
from cluster_glue.messages import sanitise


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Seconds, from text such as ``30m``."""
    try:
        return values.duration(value)
    except values.ValueWrong as error:
        raise click.BadParameter(str(error), ctx, param) from None


NO_WAIT = click.option("--no-wait", is_flag=True, help="Do not wait until it is done.")
WITHIN = click.option(
    "--timeout", "within", callback=_seconds, default="10m", show_default=True, metavar="TIME", help="Wait so long."
)

#: Poll intervals, in seconds, of a command that waits: soon at first, then with less haste.
SOON, SELDOM = 0.02, 0.5


@click.command()
@daemon.argument()
@NO_WAIT
@WITHIN
@daemon.JSON
def start(resource: str, no_wait: bool, within: float, as_json: bool) -> None:
    """Start a resource and keep it up from now on."""
    _act("start", resource, no_wait, within, as_json, "up")


@click.command()
@daemon.argument()
@NO_WAIT
@WITHIN
@daemon.JSON
def stop(resource: str, no_wait: bool, within: float, as_json: bool) -> None:
    """Stop a resource and keep it down from now on."""
    _act("stop", resource, no_wait, within, as_json, "idle")


@click.command()
@daemon.argument()
@NO_WAIT
@WITHIN
@daemon.JSON
def restart(resource: str, no_wait: bool, within: float, as_json: bool) -> None:
    """Restart a resource.

    The server's own configuration test comes first; when that fails, what runs goes on running. A restart that is
    asked for costs nothing of the budget.
    """
    _act("restart", resource, no_wait, within, as_json, "up")


@click.command()
@daemon.argument(required=False)
@NO_WAIT
@WITHIN
@daemon.JSON
def reload(resource: str | None, no_wait: bool, within: float, as_json: bool) -> None:
    """Let a server reread its configuration.

    Without RESOURCE, koboshi itself rereads its own and changes only what changed.
    """
    if resource is None:
        _reload_koboshi(as_json)
        return
    before = daemon.resource(resource)
    if before.get("phase") != "up":
        sentence = f"{resource} is {before.get('phase')}, and only what is up can be reloaded"
        raise Failure(FAILED, sentence, f"`koboshi status {resource}` tells why")
    _act("reload", resource, no_wait, within, as_json, "up")


@click.command()
@daemon.argument()
@click.option(
    "--for", "seconds", callback=_seconds, default="30m", show_default=True, metavar="TIME", help="Such as 30m or 2h."
)
@click.option("--reason", default="", help="Why, for those who come by.")
@daemon.JSON
def pause(resource: str, seconds: float, reason: str, as_json: bool) -> None:
    """Only observe a resource for a while.

    The pause ends by itself. What an operator asks for is done all the same.
    """
    if not 0 < seconds <= LONGEST_PAUSE:
        raise Failure(USAGE, f"a pause lasts more than 0 and at most {words.span(LONGEST_PAUSE)}")
    daemon.resource(resource)
    reply = daemon.request({"do": "pause", "resource": resource, "for": seconds, "reason": reason})
    _say(reply, f"{resource} is paused for {words.span(seconds)}; `koboshi resume {resource}` ends it early", as_json)


@click.command()
@daemon.argument()
@daemon.JSON
def resume(resource: str, as_json: bool) -> None:
    """End a pause."""
    daemon.resource(resource)
    reply = daemon.request({"do": "resume", "resource": resource})
    _say(reply, f"{resource} is not paused (any more)", as_json)


@click.command()
@daemon.argument()
@daemon.JSON
def clear(resource: str, as_json: bool) -> None:
    """Let koboshi try again.

    Spent restarts and a hand-over are forgotten; a server that should be up is started.
    """
    known = daemon.status()
    handed = resource in (known.get("handed") or [])
    if not handed:
        daemon.pick(known, resource)
    reply = daemon.request({"do": "clear", "resource": resource})
    more = "; the cluster is told that it may run here again" if handed else ""
    _say(reply, f"{resource} has its whole restart budget again{more}", as_json)


def _act(verb: str, name: str, no_wait: bool, within: float, as_json: bool, goal: str) -> None:
    began = time.monotonic()
    daemon.resource(name)  # an unknown name is told with the nearest one
    reply = daemon.request({"do": verb, "resource": name})
    if no_wait:
        _say(reply, f"{verb} of {name} is on its way; `koboshi status {name}` shows it", as_json)
        return
    after = _settled(name, began + within)
    took = time.monotonic() - began
    kept = verb in ("restart", "reload") and str(after.get("reason", "")).startswith("kept running")
    if as_json:
        words.show_json({"ok": after.get("phase") == goal and not kept, "resource": after})
    if after.get("phase") in daemon.UNSETTLED:
        sentence = f"{name} is still {after['phase']} after {words.span(within)}"
        raise Failure(FAILED, sentence, f"koboshi goes on; `koboshi status {name}` shows it")
    if after.get("phase") != goal or kept:
        sentence = f"{verb} of {name} failed: it is {after.get('phase')}: {after.get('reason')}"
        raise Failure(FAILED, sentence, f"`koboshi why {name}` tells more")
    if not as_json:
        click.echo(f"{name} is {'down' if goal == 'idle' else 'up'} ({words.span(took)})")


def _settled(name: str, deadline: float) -> daemon.Resource:
    """The resource when nothing goes on any more, or at the deadline (a reading of the monotonic clock)."""
    pause_for = SOON
    terminal = sys.stderr.isatty()
    while True:
        one = daemon.resource(name)
        if one.get("phase") not in daemon.UNSETTLED or time.monotonic() >= deadline:
            break
        if terminal:
            line = sanitise(f"{name}: {one.get('phase')}: {one.get('reason')}", 78)
            click.echo(f"\r\x1b[K{line}", err=True, nl=False)
        time.sleep(pause_for)
        pause_for = min(SELDOM, pause_for * 1.5)
    if terminal:
        click.echo("\r\x1b[K", err=True, nl=False)
    return one


def _reload_koboshi(as_json: bool) -> None:
    try:
        reply = daemon.request({"do": "reload-config"}, 60.0)
    except Failure as failure:
        if failure.code != FAILED:
            raise
        sentence = "koboshi's new configuration is wrong" if failure.details else failure.message
        remedy = "mend it and reload; koboshi goes on with the configuration it had"
        raise Failure(USAGE, sentence, remedy, failure.details) from None
    _say(reply, "koboshi took its configuration anew", as_json)


def _say(reply: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        words.show_json(reply)
    else:
        click.echo(sentence)


COMMANDS: Final = (start, stop, restart, reload, pause, resume, clear)
