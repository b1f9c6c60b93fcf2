"""The kernel's own process connector: what it tells in the initial namespaces, and that it is found out elsewhere."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cluster_glue.recovery.model import Failed
from cluster_glue.recovery.sensors.children import ChildDeath, ChildDeaths
from cluster_glue.recovery.sensors.connector import Exit, ProcessConnector, Unavailable
from cluster_glue.recovery.sensors.queues import Queues
from resource_agents.processes import children
from tests.waiting import LONG, eventually

pytestmark = pytest.mark.live


@pytest.fixture
def connector() -> Iterator[ProcessConnector]:
    try:
        made = ProcessConnector(ack_timeout=5.0)
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield made
    made.close()


def run(code: str) -> int:
    child = subprocess.Popen(["/bin/sh", "-c", code])
    child.wait()
    return child.pid


@pytest.mark.parametrize(("code", "status"), [("exit 7", 7), ("kill -9 $$", -9), ("kill -SEGV $$", -11)])
def test_a_death_is_told_with_its_status(connector: ProcessConnector, code: str, status: int) -> None:
    pid = run(code)
    assert eventually(lambda: connector.status_of(pid), what="the exit event") == status


def test_a_good_end_and_the_end_of_a_thread_do_not_wake_us(connector: ProcessConnector) -> None:
    seen: list[Exit] = []
    code = "import threading\nfor _ in range(20):\n    t = threading.Thread(target=int); t.start(); t.join()\n"

    async def main() -> None:
        connector.attach(asyncio.get_running_loop(), seen.append, lambda: None)
        good = subprocess.Popen([sys.executable, "-c", code])
        assert await asyncio.to_thread(good.wait) == 0
        marker = await asyncio.to_thread(run, "exit 9")
        end = time.monotonic() + LONG
        while marker not in [exit_.pid for exit_ in seen] and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert good.pid not in [exit_.pid for exit_ in seen]
        assert {exit_.parent for exit_ in seen if exit_.pid == marker} == {os.getpid()}
        assert all(exit_.status != 0 for exit_ in seen)

    asyncio.run(main())


def test_a_crash_loop_of_real_children_is_a_fault(connector: ProcessConnector) -> None:
    code = "import os, signal\nwhile True:\n    if os.fork() == 0:\n        signal.pause()\n    os.wait()\n"
    faults: list[Failed] = []
    notes: list[ChildDeath] = []
    main_process = subprocess.Popen([sys.executable, "-c", code], process_group=0)
    deaths = ChildDeaths(lambda name, event: faults.append(event), notes.append, connected=True)
    deaths.watch("web", main_process.pid, limit=3, window=60.0)

    async def main() -> None:
        connector.attach(asyncio.get_running_loop(), deaths.seen, deaths.lost)
        end = time.monotonic() + LONG
        while not faults and time.monotonic() < end:
            for pid in children(main_process.pid):
                os.kill(pid, signal.SIGABRT)
            await asyncio.sleep(0.02)

    try:
        asyncio.run(main())
    finally:
        os.killpg(main_process.pid, signal.SIGKILL)  # the last child as well; the leader is not reaped yet
        main_process.wait()
        for note in notes:
            assert note.signal == signal.SIGABRT
    assert faults[0].fault.cause == "child-crash-loop"
    assert "SIGABRT" in faults[0].fault.reason


def test_events_that_the_kernel_had_to_drop_are_noticed(connector: ProcessConnector) -> None:
    lost: list[bool] = []
    storm = "i=0; while [ $i -lt 4000 ]; do (exit 1); i=$((i+1)); done"

    async def main() -> None:
        connector.attach(asyncio.get_running_loop(), lambda exit_: None, lambda: lost.append(True))
        subprocess.run(["/bin/sh", "-c", storm], check=False)  # blocks the loop: nobody drains meanwhile
        end = time.monotonic() + LONG
        while not lost and time.monotonic() < end:
            await asyncio.sleep(0.01)
        pid = await asyncio.to_thread(run, "exit 8")
        while connector.status_of(pid) != 8 and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert connector.status_of(pid) == 8, "it goes on after a loss"

    asyncio.run(main())
    assert lost


@pytest.mark.parametrize("namespaces", [["--net"], ["--pid", "--fork"], ["--user"]])
def test_in_other_namespaces_it_is_unavailable_and_says_why(namespaces: list[str]) -> None:
    code = (
        "from cluster_glue.recovery.sensors.connector import ProcessConnector, Unavailable\n"
        "try:\n    ProcessConnector()\n    print('there')\n"
        "except Unavailable as reason:\n    print('unavailable:', reason)\n"
    )
    done = subprocess.run(["unshare", *namespaces, sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("unavailable: the process connector"), done


def test_queues_are_those_of_our_own_network_namespace() -> None:
    code = """if True:
        import socket, subprocess
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        from cluster_glue.recovery.sensors.queues import Queues
        from resource_agents.layouts import Address
        queues = Queues()
        queues.watch("web", [Address("", 80)])
        with socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
            held = [socket.create_connection(("127.0.0.1", 80)) for _ in range(2)]
            queues.look()
            print([suspicion.name for suspicion in queues.look()], queues.nobody_listens(Address("127.0.0.1", 80)))
    """
    done = subprocess.run(["unshare", "--net", sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "['web'] False\n", done
    assert Queues().look() == []
