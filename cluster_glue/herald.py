"""Everything koboshi says, said once: to syslog, to the journal, and to the terminal of ``koboshi run``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from cluster_glue.journal import Journal
from cluster_glue.messages import render
from cluster_glue.recovery.model import Tell
from cluster_glue.syslog import Syslog


class Herald:
    """The one mouth. Nothing here blocks or raises: a full disk or a missing syslog must not cost an outage."""

    def __init__(self, syslog: Syslog, echo: Callable[[str], None]) -> None:
        self.journal: Journal | None = None
        self._syslog = syslog
        self._echo = echo

    def tell(self, resource: str, told: Tell) -> None:
        """Say what happened to a resource (empty: to koboshi itself)."""
        self._syslog.tell(resource, told)
        if self.journal is not None:
            self.journal.tell(resource, told)
        with suppress(OSError):  # the terminal is gone
            self._echo(render(resource, told))
