"""The agents as clusters see them: metadata, man pages and help, made from the declarations and nothing else."""

from __future__ import annotations

from dataclasses import fields
from typing import Literal

from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.thresholds import Thresholds
from ocf.declarations import Parameter
from ocf.metadata import Agent, xml
from resource_agents.numbers import REPAIR_TIME
from resource_agents.server import Server, load, names

LAYER = (
    Parameter(
        "local_recovery",
        "boolean",
        "true",
        "repair on this node before the cluster hears of a failure",
        "Whether the recovery daemon watches the server and restarts it here, within the budget below, before a monitor"
        " reports a failure. When false, or whenever the daemon does not answer in time, the actions do their work"
        " alone, with the same verdicts.",
    ),
    Parameter(
        "report_degraded",
        "boolean",
        "false",
        "answer 190 (degraded) while a local repair is under way",
        "While a local repair runs within its budget monitor answers 0, or 190 (OCF_DEGRADED) if this is true.",
        reloadable=True,
    ),
    Parameter(
        "repair_time",
        "string",
        REPAIR_TIME,
        "longest time in which a local repair is left alone",
        "A server that has not served for so long is reported as failed, though its repair goes on until the cluster"
        " stops it. Seconds, or text such as 5m.",
        reloadable=True,
    ),
)

RECOVERY = (
    "A server that died or hangs is restarted on this node within the budget of restart_limit and restart_window,"
    " before the cluster hears of a failure. When that cannot help, monitor says so with the cause; with the meta"
    " attribute migration-threshold=1 the resource then moves."
)

#: Policy fields whose OCF default differs from that of a machine alone.
UNDER_A_CLUSTER = {"on_exhausted": "failover", "lease": ""}

_TYPES: dict[str, Literal["string", "integer", "boolean"]] = {"int": "integer", "float": "string", "str": "string"}


def release() -> str:
    """The version that metadata names."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("koboshi")
    except PackageNotFoundError:
        return "0"


def recovery_parameters() -> tuple[Parameter, ...]:
    """The recovery policy and the sockets' thresholds as OCF parameters. Times are seconds, or text as ``30m``."""
    found = []
    for each in (*fields(Policy), *fields(Thresholds)):
        doc, unit = str(each.metadata["doc"]), str(each.metadata["unit"])
        default = UNDER_A_CLUSTER.get(each.name, f"{each.default:g}" if unit else str(each.default))
        long = f"{doc[0].upper()}{doc[1:]}." + (
            f" Unit: {unit}." if unit else f" One of: {', '.join(each.metadata['choices'])}."
        )
        found.append(Parameter(each.name, _TYPES[str(each.type)], default, doc, long, reloadable=True))
    return tuple(found)


def agent_of(kind: type[Server]) -> Agent:
    """Everything that metadata says of an agent."""
    own = {parameter.name for parameter in kind.parameters}
    common = tuple(each for each in (*LAYER, *recovery_parameters()) if each.name not in own)
    short = f"Manages {kind.title}, with repair on the spot (koboshi)"
    long = "\n\n".join(
        text for text in (f"Starts, watches, repairs and stops {kind.title}.", kind.about, RECOVERY) if text
    )
    return Agent(kind.name, release(), short, long, (*kind.parameters, *common), kind.operations)


def metadata(agent: str) -> str:
    """The metadata of one agent as XML. Raises ``LookupError``."""
    return xml(agent_of(load(agent)))


def every_agent() -> list[str]:
    """The agents there are."""
    return names()
