"""What a clusterware is to koboshi: two tables and a few functions without side effects.

Each connector says, in the words of its clusterware: the exit code for what we know (:attr:`Clusterware.asked`), the
exit status of a foreground watcher (:attr:`Clusterware.foreground`), how to ask whether we may act and how to read the
answer, the command lines that ask for a failover and that take it back, and the files that it generates. It runs
nothing and reads nothing; :mod:`cluster_glue.connectors.runner` does.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

from cluster_glue.config_model import ResourceConfig, Settings
from cluster_glue.glue_model import Glue
from cluster_glue.messages import Message
from ocf.conditions import CONDITIONS
from ocf.programs import Finished

#: Seconds that a command which only tells may take.
PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Subject:
    """What is spoken about: a resource, this node by the cluster's name, the resource's glue, koboshi's settings.

    ``called`` is the resource by the cluster's name, where ours is another: ``web:0`` is kept as ``web_0``.
    """

    resource: str
    node: str = ""
    glue: Glue = field(default_factory=Glue)
    settings: Settings = field(default_factory=Settings)
    called: str = ""

    @property
    def there(self) -> str:
        """The resource as the cluster's own commands know it."""
        return self.called or self.resource

    @property
    def package(self) -> str:
        """The cluster's name for what holds the resource: CLUSTERPRO's group, Serviceguard's package."""
        return self.glue.package or self.resource


@dataclass(frozen=True, slots=True)
class Request:
    """A command line for the clusterware, with its deadline in seconds.

    ``again``: it says the same however often it is said, so it may be repeated when it failed.
    """

    argv: tuple[str, ...]
    timeout: float = PATIENCE
    again: bool = True


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated file: its path below the directory that the user names."""

    path: str
    text: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is to be scaffolded. ``command`` is the absolute path of koboshi's command, ``options`` words by name."""

    resource: ResourceConfig
    glue: Glue = field(default_factory=Glue)
    command: str = "/usr/local/bin/koboshi"
    options: Mapping[str, str] = field(default_factory=dict)


class ScaffoldError(ValueError):
    """Nothing sound can be generated from this; the message says why and what to do."""


class Clusterware:
    """A machine without a clusterware, and the pattern for all others."""

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""

    #: What ``on_exhausted`` may say here.
    escalations: ClassVar[tuple[str, ...]] = ("report",)

    #: From a condition (:mod:`ocf.conditions`) to the exit code that says it to this clusterware.
    asked: ClassVar[Mapping[str, int]] = {name: row.code for name, row in CONDITIONS.items()}

    #: From a condition to the exit status of a foreground watcher; with any other condition it goes on watching.
    foreground: ClassVar[Mapping[str, int]] = {"exhausted": 1, "hopeless": 1, "misconfigured": 1, "missing": 1}

    #: Whether a watcher may be there before the resource is; else what nobody started is a failure.
    waits: ClassVar[bool] = False

    #: Where its commands are besides the usual directories.
    places: ClassVar[tuple[str, ...]] = ()

    def identify(self) -> tuple[str, ...]:
        """The command line that prints this node's name in the cluster; empty: the host's name is the node's."""
        return ()

    def question(self, subject: Subject) -> tuple[str, ...]:  # noqa: ARG002
        """The command line whose output shows whether we may act; empty: nobody to ask."""
        return ()

    def authority(self, subject: Subject, answer: Finished) -> str:  # noqa: ARG002
        """Why we may not act, from the answer to :meth:`question`; empty when we may."""
        return ""

    def brakes(self, subject: Subject) -> tuple[str, ...]:  # noqa: ARG002
        """Files that forbid every act of ours as long as they exist."""
        return ()

    def told(self, subject: Subject, how: str, reason: str) -> tuple[Request, ...]:  # noqa: ARG002
        """What asks for the hand-over ``how`` at once; empty: the next answer alone says it."""
        return ()

    def withdrawn(self, subject: Subject, by_operator: bool) -> tuple[Request, ...]:  # noqa: ARG002
        """What takes back what was told, when the resource may run here again."""
        return ()

    def announced(self, subject: Subject, message: Message, line: str) -> tuple[Request, ...]:  # noqa: ARG002
        """What brings a line of ours into the clusterware's own log."""
        return ()

    def reminder(self, subject: Subject) -> str:  # noqa: ARG002
        """What a person has to do after the hand-over, before the resource can come back; empty: nothing special."""
        return ""

    def scaffold(self, sketch: Sketch) -> tuple[Generated, ...]:
        """The files that bring ``sketch`` into the cluster. Raises :class:`ScaffoldError`."""
        raise ScaffoldError(f"there is nothing to generate for {self.name}: {sketch.resource.name} needs no cluster")


@cache
def load(name: str) -> Clusterware:
    """The connector ``connectors/<name>.py``. Raises ``LookupError`` when there is none."""
    if name not in names():
        raise LookupError(name)
    connector = importlib.import_module(f"cluster_glue.connectors.{name}").CONNECTOR
    assert isinstance(connector, Clusterware)
    return connector


def names() -> list[str]:
    """All connectors there are, found by looking."""
    here = Path(__file__).parent
    return sorted(
        path.stem
        for path in here.glob("[a-z]*.py")
        if re.search(r"(?m)^CONNECTOR(: [A-Za-z\[\]]+)? = ", path.read_text(encoding="utf-8"))
    )
