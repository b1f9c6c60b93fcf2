"""Programs that take away what is half made when they are told to end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def child(words: Sequence[str], *, stdout: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A program while it is waited for. Whoever leaves before it has ended tells it to end, and waits until it has.

    It is told once, by us: it has a session of its own, as a second signal, the terminal's, would end its clearing up.
    """
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=None if stdout is None else subprocess.STDOUT,
        text=True, errors="replace", cwd="/", start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
