"""A control socket that is served by a thread, for tests that ask as the command does."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster_glue.control import Answer, Control
from tests.waiting import LONG


@contextmanager
def serving(path: Path, answer: Answer, **options: Any) -> Iterator[Control]:
    """A control socket at ``path`` until the block ends. Raises what its start raises."""
    ready: threading.Event = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        found["loop"], found["end"] = asyncio.get_running_loop(), asyncio.Event()
        control = Control(path, answer, **options)
        try:
            await control.start()
        except Exception as error:
            found["error"] = error
            return
        finally:
            found["control"] = control
            ready.set()
        await found["end"].wait()
        await control.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(LONG)
    try:
        if "error" in found:
            raise found["error"]
        yield found["control"]
    finally:
        if "error" not in found:
            found["loop"].call_soon_threadsafe(found["end"].set)
        thread.join(LONG)
        assert not thread.is_alive()
