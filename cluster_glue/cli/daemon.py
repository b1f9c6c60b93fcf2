"""The daemon as the commands see it: a request, a reply, or a :class:`Failure` with the right exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from cluster_glue import places
from cluster_glue.cli.failure import DENIED, FAILED, NOT_RUNNING, UNKNOWN, Failure, unknown_resource
from cluster_glue.client import AskError, Refused, ask

Resource = dict[str, Any]
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

#: Phases in which something goes on by itself; what comes next is not known yet.
UNSETTLED = frozenset({"starting", "checking", "asking", "clearing", "stopping", "reloading", "waiting"})


def request(content: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
    """The daemon's reply. Raises :class:`Failure` when there is none, or when it says no."""
    try:
        reply = ask(places.control_socket(), content, timeout)
    except AskError as error:
        raise Failure(DENIED if isinstance(error, Refused) else NOT_RUNNING, str(error), error.remedy) from None
    if not reply["ok"]:
        sentence, remedy = str(reply.get("error") or "koboshi says no"), str(reply.get("remedy") or "")
        errors = reply.get("errors")
        details = [str(line) for line in errors] if isinstance(errors, list) else []
        raise Failure(UNKNOWN if reply.get("unknown") else FAILED, sentence, remedy, details)
    return reply


def status() -> dict[str, Any]:
    """The status reply; its ``resources`` are a list of dictionaries."""
    reply = request({"do": "status"})
    resources = reply.get("resources")
    reply["resources"] = [one for one in resources if isinstance(one, dict)] if isinstance(resources, list) else []
    return reply


def resource(name: str) -> Resource:
    """What the daemon knows of one resource."""
    return pick(status(), name)


def pick(reply: dict[str, Any], name: str) -> Resource:
    """One resource of a status reply."""
    found = [one for one in reply["resources"] if one.get("name") == name]
    if not found:
        raise unknown_resource(name, [str(one.get("name")) for one in reply["resources"]])
    return Resource(found[0])


def healthy(one: Resource) -> bool:
    """Whether it is as it was asked to be: what should be up serves, and nothing was given up."""
    state = one.get("phase")
    if one.get("wanted") == "up":
        return state == "up" or (state in ("checking", "reloading") and bool(one.get("main_pid")))
    return state != "failed"


def complete_resource(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Names for the shell: from the daemon, or from the configuration when it does not run."""
    try:
        names = [str(one.get("name")) for one in ask(places.control_socket(), {"do": "status"}, 0.5)["resources"]]
    except (AskError, KeyError, TypeError, AttributeError):
        names = _configured()
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def _configured() -> list[str]:
    import tomllib

    try:
        document = tomllib.loads(places.config_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    table = document.get("resource")
    return list(table) if isinstance(table, dict) else []


def argument(required: bool = True) -> Callable[[Decorated], Decorated]:
    """The RESOURCE argument of a command."""
    return click.argument("resource", required=required, shell_complete=complete_resource)


JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
