"""Addresses of names, asked of the resolver in threads of their own: dead name servers delay nothing else.

A lookup cannot be called off, and takes tens of seconds where no name server answers (resolv.conf(5): 5 s for each, 2
attempts). So there is never more than one for a name: who asks meanwhile shares it. In the pool of threads of asyncio
a few of them would keep every other sensor waiting, and the daemon from its end.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from resource_agents.http_target import Endpoint, Target, resolve

_Found = list[Endpoint] | OSError

_asked: dict[tuple[str, int], asyncio.Future[_Found]] = {}


async def find(target: Target) -> list[Endpoint]:
    """The endpoints of a target. Raises ``OSError`` when its name has none, or nobody knows."""
    loop, key = asyncio.get_running_loop(), (target.host, target.port)
    future = _asked.get(key)
    if future is None or future.get_loop() is not loop:
        future = loop.create_future()
        threading.Thread(target=_look_up, args=(target, future), name="resolver", daemon=True).start()
        _asked[key] = future  # only what is under way: nobody may wait for a thread that was not to be had
    found = await asyncio.shield(future)
    if isinstance(found, OSError):
        raise found
    return found


def _look_up(target: Target, future: asyncio.Future[_Found]) -> None:
    found: _Found
    try:
        found = resolve(target)
    except OSError as error:
        found = error
    except Exception as error:  # whatever it is, somebody waits for an answer
        found = OSError(f"{type(error).__name__}: {error}")

    def finish() -> None:
        if _asked.get((target.host, target.port)) is future:
            del _asked[target.host, target.port]
        future.set_result(found)

    with suppress(RuntimeError):  # the loop has ended meanwhile
        future.get_loop().call_soon_threadsafe(finish)
