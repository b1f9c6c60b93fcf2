"""What the socket sensor costs at many established connections: ``python -m bench.sockets [CONNECTIONS [SECONDS]]``.

Connections of loopback are held by processes of its own, in a network namespace of its own where it may make one. The
sensor then looks once a second, as in the daemon; its processor time is that of this whole process. Exit status 1: more
than 1 % of a processor.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from cluster_glue.config_model import ResourceConfig
from cluster_glue.recovery.engine import Watch
from cluster_glue.recovery.executor import Executor
from cluster_glue.recovery.model import Phase, State, Wanted
from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.sensors import socket_dump
from cluster_glue.recovery.sensors.sockets import Sockets
from ocf.programs import run
from resource_agents.server import Server, load

#: Connections held by one process, each with both its ends: below the usual limit on open files.
EACH = 2500

#: Percent of a processor that the sensor may take.
BOUND = 1.0


def hold(connections: int) -> tuple[int, list[int]]:
    """Make connections to a listener of ours; its port, and who holds them until our end of their pipe is closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = int(listener.getsockname()[1])
    held, go_on = os.pipe()
    pids = []
    for number in range(-(-connections // EACH)):
        ready, say = os.pipe()
        if not (pid := os.fork()):
            os.close(go_on)
            kept = []
            for _ in range(min(EACH, connections - number * EACH)):
                client = socket.socket()
                client.bind((f"127.0.0.{2 + number % 200}", 0))
                client.connect(("127.0.0.1", port))
                kept += [client, listener.accept()[0]]
            os.write(say, b"x")
            os.read(held, 1)
            os._exit(0)
        pids.append(pid)
        os.read(ready, 1)
    return port, pids


def watched(folder: Path, port: int) -> Watch:
    """A resource that is up; this process is its server."""

    def make() -> Server:
        return load("command")({"start_command": "/bin/sleep 1", "port": f"127.0.0.1:{port}"}, "web")

    config = ResourceConfig("web", "command", {}, Policy())
    executor = Executor(make, None, folder / "out", lambda _: None)
    return Watch(config, make(), executor, None, State(Wanted.UP, Phase.UP))


async def cost(watch: Watch, seconds: float) -> tuple[float, list[str]]:
    """Percent of a processor while the sensor looks for so long, and what it said."""
    said: list[str] = []
    sensor = Sockets(lambda _, event: said.append(str(event)), lambda _, tell: said.append(tell.detail))
    sensor.watch(watch, os.getpid())
    await sensor.look()  # the first one finds what later ones only confirm
    task = asyncio.get_running_loop().create_task(sensor.run())
    began, spent = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    share = 100 * (time.process_time() - spent) / (time.monotonic() - began)
    task.cancel()
    return share, said


def timed(what: object) -> float:
    """Milliseconds of processor time of one call, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        what()  # type: ignore[operator]
        best = min(best, time.thread_time() - began)
    return best * 1000


def main(connections: int = 20000, seconds: float = 30.0) -> int:
    """Measure, print, compare with the bound."""
    if ctypes.CDLL(None).unshare(0x40000000) == 0:  # CLONE_NEWNET
        run(["/sbin/ip", "link", "set", "lo", "up"], 5)
    port, pids = hold(connections)
    with tempfile.TemporaryDirectory() as folder:
        watch = watched(Path(folder), port)
        share, said = asyncio.run(cost(watch, seconds))
    states = socket_dump.STATES.keys()
    rows = {
        "established connections": f"{connections}",
        "seen at the last count": f"{watch.sockets.get('connections')}",
        "load average": "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg()),
        "dump of half-open and closed-by-client, ms": f"{timed(socket_dump.troubled):.2f}",
        "count of everything, ms": f"{timed(lambda: socket_dump.count(states, {port})):.2f}",
        "processor at one look a second, %": f"{share:.2f} (bound {BOUND:g})",
        "said": "; ".join(said) or "nothing",
    }
    for name, value in rows.items():
        print(f"{name:45} {value}")
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return 0 if share <= BOUND else 1


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[1:]]
    sys.exit(main(*([int(numbers[0]), *numbers[1:2]] if numbers else [])))
