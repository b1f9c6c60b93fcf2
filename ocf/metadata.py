"""Agent metadata as XML, in the one form that everybody accepts.

``ocf-tester`` validates against a DTD of OCF 1.0, Pacemaker's tools and pcs read OCF 1.1. A DOCTYPE with a small
internal subset, declaring what 1.1 added, satisfies both; ``unique`` and ``unique-group`` are both given, since some
tools read the one and some the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ocf.declarations import Parameter

_HEAD = """<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd" [
<!ATTLIST parameter unique-group CDATA #IMPLIED reloadable (0|1) "0">
<!ATTLIST action name NMTOKEN #REQUIRED>
]>
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """An action that an agent advertises. ``timeout`` and ``interval`` are seconds; ``depth`` is the check level."""

    name: str
    timeout: int
    interval: int = 0
    depth: int | None = None


#: What an agent advertises unless it says otherwise; a monitor for each depth at an interval of its own, since
#: Pacemaker tells operations apart by name and interval.
DEFAULT_OPERATIONS = (
    Operation("start", 40),
    Operation("stop", 60),
    Operation("status", 30),
    Operation("monitor", 20, 10, 0),
    Operation("monitor", 30, 30, 10),
    Operation("monitor", 45, 60, 20),
    Operation("reload", 40),
    Operation("reload-agent", 20),
    Operation("meta-data", 5),
    Operation("validate-all", 20),
)


@dataclass(frozen=True, slots=True)
class Agent:
    """What metadata says of an agent. ``long`` is paragraphs divided by empty lines."""

    name: str
    version: str
    short: str
    long: str
    parameters: tuple[Parameter, ...]
    operations: tuple[Operation, ...]


def xml(agent: Agent) -> str:
    """The agent's metadata; ends with a newline."""
    lines = [
        f'<resource-agent name="{escaped(agent.name)}" version="{escaped(agent.version)}">',
        "<version>1.1</version>",
        _described("longdesc", agent.long),
        _described("shortdesc", agent.short),
        "<parameters>",
        *_parameters(agent.parameters),
        "</parameters>",
        "<actions>",
        *(_operation(operation) for operation in agent.operations),
        "</actions>",
        "</resource-agent>",
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _described(tag: str, text: str) -> str:
    return f'<{tag} lang="en">{escaped(text.strip())}</{tag}>'


def escaped(text: str) -> str:
    """Text as XML content or inside double quotes. (``xml.sax.saxutils`` costs 30 ms to import.)"""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text


def _parameters(parameters: Iterable[Parameter]) -> Iterable[str]:
    for each in parameters:
        unique = f' unique="{int(each.unique)}"' + (f' unique-group="{escaped(each.name)}"' if each.unique else "")
        flags = f'{unique} required="{int(each.required)}" reloadable="{int(each.reloadable)}"'
        yield f'<parameter name="{escaped(each.name)}"{flags}>'
        yield _described("longdesc", each.long or each.short)
        yield _described("shortdesc", each.short)
        default = f' default="{escaped(each.default)}"' if each.default else ""
        yield f'<content type="{each.type}"{default}/>'
        yield "</parameter>"


def _operation(operation: Operation) -> str:
    depth = f' depth="{operation.depth}"' if operation.depth is not None else ""
    interval = f' interval="{operation.interval}s"' if operation.interval else ""
    return f'<action name="{operation.name}" timeout="{operation.timeout}s"{interval}{depth}/>'
