"""The client of the lab: asks each service again and again and writes down what it got.

``client.py EVERY PATIENCE NAME=ADDRESS...``: every so many seconds one new connection and one GET to each address,
whatever became of the ones before; one that took longer than PATIENCE is bad, as a person would have given up on it. It
ends when its standard input does: whoever started it may be gone, or have no other way to reach it. Each answer is one
line on stdout: when it was asked (seconds of the epoch), how long it took (seconds), the service's name, ``good`` or
``bad``, and the node that answered or the reason.
"""

from __future__ import annotations

import asyncio
import sys
import time


async def ask(address: str, patience: float) -> tuple[str, str]:
    """One request: ``good`` and who answered, or ``bad`` and why."""
    writer = None
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(address, 80)
            writer.write(f"GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except TimeoutError:
        return "bad", "no answer"
    except (OSError, asyncio.IncompleteReadError) as error:
        return "bad", (error.strerror or str(error)).replace(" ", "-") if isinstance(error, OSError) else "cut-off"
    finally:
        if writer is not None:
            writer.close()
    node = next((line.split(":", 1)[1].strip() for line in head if line.lower().startswith("x-node:")), "?")
    status = head[0].split()[1] if len(head[0].split()) > 1 else "nonsense"
    return ("good", node) if status == "200" else ("bad", f"status-{status}")


async def one(name: str, address: str, patience: float) -> None:
    asked, began = time.time(), time.monotonic()
    outcome, who = await ask(address, patience)
    took = time.monotonic() - began
    sys.stdout.write(f"{asked:.3f} {took:.3f} {name} {outcome} {who}\n")
    sys.stdout.flush()


async def main(every: float, patience: float, targets: list[str]) -> None:
    under_way: set[asyncio.Task[None]] = set()
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    while not over.is_set():
        for target in targets:
            name, _, address = target.partition("=")
            task = asyncio.create_task(one(name, address, patience))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.sleep(every)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
