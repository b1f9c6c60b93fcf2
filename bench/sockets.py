"""What it costs to sense sockets and stalls: ``python -m bench.sockets [CONNECTIONS [SECONDS]]``.

At rest, with one nginx and default settings: what finds a stall (its queue every 0.4 s, a probe every 5 s), everything
that is sensed (its sockets once a second, descriptors and the machine's tables, and the queue), one HTTP probe a second
by koboshi's own code, and one by a plain ``http.client``; each for some seconds in turn, as the processor time of this
whole process, beside the beat that the daemon has anyway (it doubts itself every 0.4 s), whose own cost is told and
subtracted. What finds a stall has to cost less than one probe a second, of either kind.

At many connections: those of loopback are held by processes of its own, in a network namespace of its own where it may
make one. The sensor then looks once a second, as in the daemon; its processor time is that of this whole process, and
at most 1 % of a processor. Exit status 1: a bound was missed.
"""

from __future__ import annotations

import asyncio
import ctypes
import http.client
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import families
from bench.asking import answers
from bench.sites import nginx
from bench.stage import Stage, launch, sweep, until
from cluster_glue.config_model import ResourceConfig
from cluster_glue.recovery.attendance import LOOK
from cluster_glue.recovery.executor import Executor
from cluster_glue.recovery.model import Phase, State, Wanted
from cluster_glue.recovery.policy import Policy
from cluster_glue.recovery.sensors import socket_dump
from cluster_glue.recovery.sensors.listen_table import ListenTable
from cluster_glue.recovery.sensors.probe import ask, to_event
from cluster_glue.recovery.sensors.queues import Queues
from cluster_glue.recovery.sensors.sockets import Sockets
from cluster_glue.recovery.watch import Watch
from ocf.programs import run
from resource_agents.families import layout_of
from resource_agents.layouts import Request
from resource_agents.server import Server, load

#: Connections held by one process, each with both its ends: below the usual limit on open files.
EACH = 2500

#: Seconds for which each is measured before it is another one's turn.
WINDOW = 5.0

#: Seconds more, so that what is done every 5 s is done in each window.
SLACK = 0.2

#: Percent of a processor that the sensor may take.
BOUND = 1.0


@dataclass(frozen=True, slots=True)
class Rest:
    """Percent of a processor while nothing happens: the beat alone, and what each of the others adds to it."""

    beat: float
    stalls: float
    everything: float
    probe: float
    client: float


def at_rest(folder: Path, seconds: float) -> Rest:
    """What sensing one nginx costs, and one probe a second by koboshi, and one by ``http.client``."""
    stage = Stage(folder, quick=True)
    site = nginx(stage, "asked")
    server = launch(site.foreground, folder / "out")
    try:
        until(lambda: answers(site.port), 10.0, "nginx")
        watch = watched(folder, lambda: load(site.agent)(site.parameters, "web"))
        return asyncio.run(_in_turn(watch, server.pid, site.port, seconds))
    finally:
        families.end([server], [site.port])
        sweep(folder)


async def _in_turn(watch: Watch, main: int, port: int, seconds: float) -> Rest:
    """Each of the four for a while, in turn, so that what else the machine does meets all of them."""
    table = ListenTable()
    sensor, queues = Sockets(lambda *_: None, lambda *_: None, table), Queues(table.look)
    sensor.watch(watch, main)
    queues.watch("web", layout_of(watch.server).addresses)
    request = Request(f"http://127.0.0.1:{port}/ok")

    async def beat(*looks: Callable[[], object]) -> None:
        """As :class:`cluster_glue.recovery.attendance.Sensors` beats."""
        while True:
            await asyncio.sleep(LOOK)
            for look in looks:
                look()

    async def nothing() -> None:
        await beat()

    async def stalls() -> None:
        await asyncio.gather(beat(queues.look), probe(Policy().probe_interval))

    async def everything() -> None:
        await asyncio.gather(beat(queues.look), sensor.run())

    async def probes() -> None:
        await asyncio.gather(beat(), probe(1.0))

    async def probe(every: float) -> None:
        while True:
            await asyncio.sleep(every)
            to_event(await ask(request, connect_timeout=1.0, timeout=2.0))

    async def client() -> None:
        beating = asyncio.get_running_loop().create_task(beat())
        try:
            while True:
                await asyncio.sleep(1.0)
                plain(port)
        finally:
            beating.cancel()

    await sensor.look()  # the first one finds what later ones only confirm
    spent = [0.0] * 5
    rounds = max(1, round(seconds / WINDOW))
    for _ in range(rounds):
        for number, what in enumerate((nothing, stalls, everything, probes, client)):
            task = asyncio.get_running_loop().create_task(what())
            before = time.process_time()
            await asyncio.sleep(WINDOW + SLACK)
            spent[number] += time.process_time() - before
            task.cancel()
    table.close()
    bare, *others = (100 * each / (rounds * (WINDOW + SLACK)) for each in spent)
    return Rest(bare, *(each - bare for each in others))


def plain(port: int) -> None:
    """One request, as a script would make it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/ok", headers={"Connection": "close"})
    connection.getresponse().read()
    connection.close()


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


def watched(folder: Path, make: Callable[[], Server]) -> Watch:
    """A resource that is up."""
    config = ResourceConfig("web", "command", {}, Policy())
    executor = Executor(make, None, folder / "out", lambda _: None)
    return Watch(config, make(), executor, None, State(Wanted.UP, Phase.UP))


async def cost(watch: Watch, seconds: float) -> tuple[float, list[str]]:
    """Percent of a processor while the sensor looks for so long, and what it said."""
    said: list[str] = []
    table = ListenTable()
    sensor = Sockets(lambda _, event: said.append(str(event)), lambda _, tell: said.append(tell.detail), table)
    sensor.watch(watch, os.getpid())
    await sensor.look()  # the first one finds what later ones only confirm
    task = asyncio.get_running_loop().create_task(sensor.run())
    began, spent = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    share = 100 * (time.process_time() - spent) / (time.monotonic() - began)
    task.cancel()
    table.close()
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
    """Measure, print, compare with the bounds."""
    folder = Path(tempfile.mkdtemp(prefix="koboshi-bench-"))
    folder.chmod(0o755)
    try:
        rest = at_rest(folder, seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if ctypes.CDLL(None).unshare(0x40000000) == 0:  # CLONE_NEWNET
        run(["/sbin/ip", "link", "set", "lo", "up"], 5)
    port, pids = hold(connections)
    where = f"127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as place:
        watch = watched(Path(place), lambda: load("command")({"start_command": "/bin/sleep 1", "port": where}, "web"))
        share, said = asyncio.run(cost(watch, seconds))
    states = socket_dump.STATES.keys()
    rows = {
        "at rest, the daemon's beat alone, %": f"{rest.beat:.3f}",
        "at rest, what finds a stall, %": f"{rest.stalls:.3f} (bound {min(rest.probe, rest.client):.3f})",
        "one probe a second by koboshi, %": f"{rest.probe:.3f}",
        "one probe a second by http.client, %": f"{rest.client:.3f}",
        "at rest, everything that is sensed, %": f"{rest.everything:.3f}",
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
    return 0 if share <= BOUND and rest.stalls <= min(rest.probe, rest.client) else 1


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[1:]]
    sys.exit(main(int(numbers[0]) if numbers else 20000, numbers[1] if len(numbers) > 1 else 30.0))
