"""``koboshi status``."""

from __future__ import annotations

from typing import Any, Final

import click

from cluster_glue.cli import daemon, words
from cluster_glue.cli.failure import FAILED
from cluster_glue.messages import sanitise


@click.command()
@daemon.argument(required=False)
@daemon.JSON
def status(resource: str | None, as_json: bool) -> int:
    """Show how each resource is, or one in detail.

    Exits with 0 when everything that should be up is up, else with 1.
    """
    reply = daemon.status()
    if resource is not None:
        reply["resources"] = [daemon.pick(reply, resource)]
    if as_json:
        words.show_json(reply)
    elif resource is not None:
        click.echo(_detail(reply["resources"][0]))
    elif reply["resources"]:
        head = ["RESOURCE", "AGENT", "STATE", "SINCE", "PID", "RESTARTS", "WHY"]
        click.echo(words.table([head, *(_row(one) for one in reply["resources"])], colour_column=2))
    else:
        click.echo("koboshi runs and watches nothing: no [resource.NAME] table is configured")
    return 0 if all(daemon.healthy(one) for one in reply["resources"]) else FAILED


def _row(one: daemon.Resource) -> list[str]:
    return [
        str(one.get("name")),
        str(one.get("agent")),
        _state(one),
        words.span(_number(one.get("since"))),
        str(one.get("main_pid") or "-"),
        f"{one.get('restarts', 0)}/{one.get('restart_limit', '?')}",
        "" if one.get("phase") == "up" and not one.get("cause") else str(one.get("reason") or ""),
    ]


def _state(one: daemon.Resource) -> str:
    state = str(one.get("phase"))
    notes = ["slow"] if one.get("slow") else []
    paused = _number(one.get("paused_for"))
    if paused is not None:
        notes.append(f"paused for {words.span(paused)}")
    return f"{state} ({', '.join(notes)})" if notes else state


def _detail(one: daemon.Resource) -> str:
    window = _number(one.get("restart_window"))
    lines = {
        "resource": f"{one.get('name')} ({one.get('agent')})",
        "state": f"{_state(one)} for {words.span(_number(one.get('since')))}",
        "wanted": str(one.get("wanted")),
        "why": str(one.get("reason") or "-"),
        "cause": str(one.get("cause") or "-"),
        "main process": str(one.get("main_pid") or "-"),
        "restarts": f"{one.get('restarts', 0)} of {one.get('restart_limit', '?')} within {words.span(window)}",
    }
    if one.get("next_try_in") is not None:
        lines["next try"] = f"in {words.span(_number(one['next_try_in']))}"
    if one.get("incident"):
        lines["incident"] = f"{one['incident']} (`koboshi why {one['incident']}`)"
    return "\n".join(f"{name + ':':14}{sanitise(text)}" for name, text in lines.items())


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


COMMANDS: Final = (status,)
