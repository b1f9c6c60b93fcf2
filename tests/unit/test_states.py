"""What a look at processes tells: stopped, dead and blocked are facts after two looks, and never another's."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_glue.recovery.model import Died, Failed
from cluster_glue.recovery.sensors.states import BLOCKED_AFTER, CHILDREN_EVERY, REMIND_AFTER, Sighting, States
from ocf.faults import Kind
from resource_agents.processes import Identity, children, look, state_of
from tests.waiting import eventually

FAMILY = """if True:
    import os, signal, sys, time
    for _ in range(int(sys.argv[1])):
        if os.fork() == 0:
            signal.pause()
    print("ready", flush=True)
    while True:
        signal.pause()
"""


class Family:
    """A main process with children of its own kind, and perhaps a helper of another."""

    def __init__(self, size: int) -> None:
        self.program = subprocess.Popen([sys.executable, "-c", FAMILY, str(size)], stdout=subprocess.PIPE, text=True)
        assert self.program.stdout is not None
        self.program.stdout.readline()
        process = look(self.program.pid)
        assert process is not None
        self.main = process.identity
        self.children = children(self.main.pid)

    def signal(self, number: int, *pids: int) -> None:
        for pid in pids:
            os.kill(pid, number)
            if number == signal.SIGSTOP:
                eventually(lambda pid=pid: _letter(pid) == "T", what="the stop")
            if number == signal.SIGCONT:
                eventually(lambda pid=pid: _letter(pid) != "T", what="the going on")

    def end(self) -> None:
        for pid in (*self.children, self.program.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.program.communicate()


def _letter(pid: int) -> str:
    process = look(pid)
    return process.state if process else ""


@pytest.fixture
def family() -> Iterator[Family]:
    made = Family(3)
    yield made
    made.end()


def watching(*names: str, main: Identity, **options: object) -> States:
    states = States(**options)
    for name in names:
        states.watch(name, main)
    return states


def looks(states: States, number: int, suspects: tuple[str, ...] = ()) -> list[Sighting]:
    return [sighting for _ in range(number) for sighting in states.look(suspects)]


def test_a_healthy_family_gives_no_news(family: Family) -> None:
    found: list[set[int]] = []
    states = watching("web", main=family.main, children_found=lambda name, pids: found.append(set(pids)))
    assert looks(states, 3 * CHILDREN_EVERY) == []
    assert found == [set(family.children)] * 3
    states.close()


def test_a_stopped_main_process_is_a_hard_fact_at_the_second_look(family: Family) -> None:
    states = watching("web", main=family.main)
    family.signal(signal.SIGSTOP, family.main.pid)
    assert looks(states, 1) == []
    (sighting,) = looks(states, 3)
    assert isinstance(sighting.event, Failed)
    assert sighting.event.hard and sighting.fault.cause == "stopped"
    assert f"state T of pid {family.main.pid}" in sighting.fault.proof


def test_a_stop_of_a_moment_is_no_fact(family: Family) -> None:
    states = watching("web", main=family.main)
    for _ in range(3):
        family.signal(signal.SIGSTOP, family.main.pid)
        assert looks(states, 1) == []
        family.signal(signal.SIGCONT, family.main.pid)
        assert looks(states, 1) == []


def test_a_fact_that_lasts_is_told_again_now_and_then(family: Family) -> None:
    now = [0.0]
    states = watching("web", main=family.main, clock=lambda: now[0])
    family.signal(signal.SIGSTOP, family.main.pid)
    assert len(looks(states, 10)) == 1
    now[0] += REMIND_AFTER + 1
    assert len(looks(states, 10)) == 1
    family.signal(signal.SIGCONT, family.main.pid)
    assert looks(states, 1) == []
    family.signal(signal.SIGSTOP, family.main.pid)
    assert len(looks(states, 10)) == 1


def test_stopped_children_are_found_within_two_rounds_by_themselves_and_at_once_when_suspect(family: Family) -> None:
    family.signal(signal.SIGSTOP, *family.children)
    (sighting,) = looks(watching("web", main=family.main), CHILDREN_EVERY + 1)
    assert isinstance(sighting.event, Failed)
    assert sighting.event.hard and sighting.fault.cause == "stopped"
    assert "all 3 working children" in sighting.fault.reason
    (sighting,) = looks(watching("web", main=family.main), 2, suspects=("web",))
    assert sighting.fault.cause == "stopped"


def test_one_child_that_works_is_enough(family: Family) -> None:
    family.signal(signal.SIGSTOP, *family.children[1:])
    assert looks(watching("web", main=family.main), 3, suspects=("web",)) == []


def test_helpers_of_another_program_do_not_count_as_work() -> None:
    code = "import subprocess\nsubprocess.Popen(['/bin/sleep', '1000'])\n"
    program = subprocess.Popen([sys.executable, "-c", code + FAMILY, "2"], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        program.stdout.readline()
        process = look(program.pid)
        assert process is not None
        pids = children(program.pid)
        assert len(pids) == 3
        workers = [pid for pid in pids if (child := look(pid)) and child.exe == process.exe]
        states = watching("web", main=process.identity)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
            eventually(lambda pid=pid: _letter(pid) == "T", what="the stop")
        (sighting,) = looks(states, 2, suspects=("web",))
        assert "all 2 working children" in sighting.fault.reason
    finally:
        for pid in children(program.pid):
            os.kill(pid, signal.SIGKILL)
        program.kill()
        program.communicate()


def test_a_server_without_children_is_never_short_of_them() -> None:
    family = Family(0)
    try:
        assert looks(watching("web", main=family.main), 3 * CHILDREN_EVERY, suspects=("web",)) == []
    finally:
        family.end()


def test_a_main_process_that_hangs_in_the_kernel_is_evidence_and_no_fact(tmp_path: Path) -> None:
    """The parent of a vfork(2) waits so until its child executes; a FIFO without a writer holds that up."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = (
        "import os, sys; os.posix_spawn('/bin/true', ['true'], {},"
        " file_actions=[(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)])"
    )
    program = subprocess.Popen([sys.executable, "-c", code, str(fifo)])
    try:
        eventually(lambda: _letter(program.pid) == "D", what="the uninterruptible sleep")
        process = look(program.pid)
        assert process is not None
        states = watching("web", main=process.identity)
        assert looks(states, BLOCKED_AFTER - 1) == []
        (sighting,) = looks(states, 5)
        assert (sighting.event, sighting.fault.cause, sighting.fault.kind) == (None, "blocked", Kind.HOST)
        assert f"state D of pid {program.pid}, waits in " in sighting.fault.proof
    finally:
        fifo.open("w").close()
        program.wait()


def test_a_zombie_and_a_vanished_main_process_are_dead(family: Family) -> None:
    states = watching("web", main=family.main)
    os.kill(family.main.pid, signal.SIGKILL)
    eventually(lambda: state_of(family.main) == "Z", what="the zombie")
    (sighting,) = looks(states, 3)
    assert isinstance(sighting.event, Died)
    assert "zombie" in sighting.fault.reason
    again = watching("web", main=family.main)
    family.program.wait()
    (sighting,) = looks(again, 3)
    assert isinstance(sighting.event, Died)


def test_another_process_with_the_same_number_is_not_taken_for_the_server(family: Family) -> None:
    states = watching("web", main=Identity(family.main.pid, 1))
    (sighting,) = looks(states, 2)
    assert isinstance(sighting.event, Died)


def test_watching_the_same_process_again_keeps_the_counts_and_the_descriptors(family: Family) -> None:
    states = watching("web", main=family.main)
    before = len(os.listdir("/proc/self/fd"))
    family.signal(signal.SIGSTOP, family.main.pid)
    states.look()
    states.watch("web", family.main)
    assert len(looks(states, 1)) == 1
    assert len(os.listdir("/proc/self/fd")) == before
    states.forget("web")
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert states.look() == []


def test_many_families_are_looked_at_in_turn(family: Family) -> None:
    found: list[str] = []
    names = tuple(f"web{number}" for number in range(8))
    states = watching(*names, main=family.main, children_found=lambda name, pids: found.append(name))
    states.look()
    assert 0 < len(found) < len(names)
    looks(states, CHILDREN_EVERY - 1)
    assert sorted(found) == sorted(names)
    states.close()
