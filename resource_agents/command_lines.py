"""Files that a process was told about on its command line."""

from __future__ import annotations

import os

from resource_agents.processes import Process


def real(process: Process, word: str) -> str:
    """The real path of a file named on the process's command line; a relative one counts from its working directory."""
    if not word.startswith("/"):
        try:
            word = os.path.join(os.readlink(f"/proc/{process.pid}/cwd"), word)
        except OSError:
            return ""
    return os.path.realpath(word)
