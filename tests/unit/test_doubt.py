"""What koboshi missed because it was not there itself is not held against a server."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import pytest

from cluster_glue.recovery.model import Answered, Failed
from cluster_glue.recovery.sensors.doubt import Asked, Doubt
from cluster_glue.recovery.sensors.probe import ask, to_event
from ocf.faults import Fault, Kind
from resource_agents.layouts import Request
from tests.scripted import hang, read_head, scripted
from tests.waiting import LONG, eventually

MUTE = Failed(Fault("mute", Kind.RESOURCE, "it said nothing"))


@dataclass
class Clock:
    """A clock that stands still until told; ``asleep`` is what only CLOCK_BOOTTIME counts."""

    now: float = 100.0
    asleep: float = 0.0

    def doubt(self) -> Doubt:
        return Doubt(lambda: self.now, lambda: self.now + self.asleep)

    def pass_(self, seconds: float, doubt: Doubt, tick: float = 0.5) -> None:
        """Time passes and every tick is kept."""
        end = self.now + seconds
        while self.now + tick <= end:
            self.now += tick
            doubt.beat(self.now + tick)
        self.now = end


def void(event: object) -> bool:
    return isinstance(event, Failed) and event.fault.cause == "probe-void" and event.fault.kind is Kind.OURS


def test_a_failure_counts_when_we_were_there_all_the_time() -> None:
    clock = Clock()
    doubt = clock.doubt()
    doubt.beat(clock.now + 0.5)
    clock.pass_(2.0, doubt)
    assert doubt.judge(MUTE, Asked(100.0, 100.0, 102.0, 2.0)) is MUTE


def test_a_failure_is_void_when_a_tick_came_late_meanwhile() -> None:
    clock = Clock()
    doubt = clock.doubt()
    doubt.beat(100.5)
    clock.now = 102.0
    assert doubt.beat(102.5) == pytest.approx(1.5)
    event = doubt.judge(MUTE, Asked(100.0, 100.0, 102.0, 2.0))
    assert void(event)
    assert isinstance(event, Failed) and "void" in event.fault.reason and "it said nothing" in event.fault.reason


def test_a_failure_is_void_when_the_tick_is_late_still() -> None:
    clock = Clock()
    doubt = clock.doubt()
    doubt.beat(100.5)
    clock.now = 102.0
    assert void(doubt.judge(MUTE, Asked(100.0, 100.0, 102.0, 2.0)))


def test_a_failure_is_void_when_the_probe_ended_long_after_its_own_deadline() -> None:
    clock = Clock()
    doubt = clock.doubt()
    doubt.beat(105.0)
    clock.now = 104.0
    assert void(doubt.judge(MUTE, Asked(100.0, 100.0, 104.0, 2.0)))


def test_a_failure_is_void_when_the_probe_began_long_after_it_was_due() -> None:
    clock = Clock()
    doubt = clock.doubt()
    doubt.beat(105.0)
    assert void(doubt.judge(MUTE, Asked(98.0, 100.0, 101.0, 2.0)))


def test_a_failure_is_void_when_the_machine_was_suspended_meanwhile() -> None:
    clock = Clock()
    doubt = clock.doubt()
    doubt.beat(100.5)
    clock.now, clock.asleep = 100.5, 3600.0
    doubt.beat(101.0)
    assert void(doubt.judge(MUTE, Asked(100.0, 100.0, 101.0, 2.0)))
    clock.pass_(10.0, doubt)
    assert doubt.judge(MUTE, Asked(105.0, 105.0, 107.0, 2.0)) is MUTE


def test_an_old_absence_does_not_excuse_a_new_failure() -> None:
    clock = Clock()
    doubt = clock.doubt()
    doubt.beat(100.5)
    clock.now = 110.0
    doubt.beat(110.5)
    clock.pass_(5.0, doubt)
    assert doubt.judge(MUTE, Asked(111.0, 111.0, 113.0, 2.0)) is MUTE


def test_a_little_lateness_excuses_nothing() -> None:
    clock = Clock()
    doubt = clock.doubt()
    doubt.beat(100.5)
    clock.now = 100.7
    doubt.beat(101.0)
    clock.pass_(2.0, doubt, tick=0.3)
    assert doubt.judge(MUTE, Asked(100.0, 100.0, 102.0, 2.0)) is MUTE


def test_our_own_absence_is_no_part_of_an_answers_time() -> None:
    clock = Clock()
    doubt = clock.doubt()
    doubt.beat(100.5)
    clock.now = 105.0
    doubt.beat(105.5)
    assert doubt.judge(Answered(4.6), Asked(100.4, 100.4, 105.0, 9.0)) == Answered(pytest.approx(0.1))


def test_what_is_ours_already_stays_as_it_is() -> None:
    clock = Clock()
    doubt = clock.doubt()
    clock.now = 110.0
    ours = Failed(Fault("probe-impossible", Kind.OURS, "no descriptors"))
    assert doubt.judge(ours, Asked(100.0, 100.0, 110.0, 2.0)) is ours


async def probe_beside_a_tick(url: str, timeout: float, block: float = 0.0) -> Answered | Failed:
    """One probe beside the recurring timer, as the engine has them; the loop may be blocked on the way."""
    loop = asyncio.get_running_loop()
    doubt = Doubt()

    def tick() -> None:
        due = loop.time() + 0.05
        doubt.beat(due)
        loop.call_at(due, tick)

    tick()
    if block:
        loop.call_later(0.1, time.sleep, block)
    began = loop.time()
    answer = await ask(Request(url), connect_timeout=timeout, timeout=timeout)
    return doubt.judge(to_event(answer), Asked(began, began, loop.time(), timeout))


def test_a_loop_that_was_really_blocked_voids_its_probe() -> None:
    with scripted(hang) as url:
        assert void(asyncio.run(probe_beside_a_tick(url, timeout=1.0, block=2.0)))


def test_a_probe_of_a_stopped_and_continued_koboshi_is_void() -> None:
    code = (
        "import asyncio, sys; from tests.unit.test_doubt import probe_beside_a_tick;"
        "event = asyncio.run(probe_beside_a_tick(sys.argv[1], 3.0)); print(event.fault.cause)"
    )
    asked = threading.Event()

    def silent(connection: socket.socket) -> None:
        read_head(connection)
        asked.set()
        hang(connection)

    with scripted(silent) as url:
        program = subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True)
        try:
            assert asked.wait(LONG)
            os.kill(program.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, program.pid, os.WSTOPPED)
            stopped = time.monotonic()
            eventually(lambda: time.monotonic() - stopped > 4, LONG, "four seconds", every=0.1)
            os.kill(program.pid, signal.SIGCONT)
            assert program.communicate(timeout=LONG)[0] == "probe-void\n"
        finally:
            program.kill()
            program.wait()
