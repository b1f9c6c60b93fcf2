"""Deaths are told at once, with the status from whoever knows it; orphans are reaped and nobody's status is stolen."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from cluster_glue.recovery.sensors.death import Death, Deaths, Orphans, become_subreaper, describe_status
from cluster_glue.recovery.sensors.orphans import LEADER_PATIENCE
from ocf.faults import Kind
from resource_agents.processes import Identity, look, state_of
from tests.waiting import LONG, eventually


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", "1000"])


def identity_of(pid: int) -> Identity:
    process = look(pid)
    assert process is not None
    return process.identity


async def death_of(identity: Identity, kill: int = 0, hint: int | None = None) -> tuple[Death, list[Death]]:
    """Watch, kill, and wait; the death and what was told later."""
    loop = asyncio.get_running_loop()
    deaths = Deaths(loop, lambda pid: hint)
    died: asyncio.Future[Death] = loop.create_future()
    later: list[Death] = []
    deaths.watch(identity, died.set_result, later.append)
    if kill:
        os.kill(identity.pid, kill)
    try:
        return await asyncio.wait_for(died, LONG), later
    finally:
        deaths.close()


@pytest.mark.parametrize(("code", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -SEGV $$", -11), ("kill -9 $$", -9)])
def test_how_our_own_child_ended_is_known_at_once(code: str, status: int) -> None:
    child = subprocess.Popen(["/bin/sh", "-c", f"read wait; {code}"], stdin=subprocess.PIPE)
    identity = identity_of(child.pid)

    async def main() -> Death:
        asyncio.get_running_loop().call_later(0.05, child.stdin.close)  # type: ignore[union-attr]
        return (await death_of(identity))[0]

    death = asyncio.run(main())
    assert (death.identity, death.status, death.source) == (identity, status, "waitid")
    assert state_of(identity) == "", "a watched child is reaped"
    child.wait()


def test_a_death_before_the_watch_is_told_as_well() -> None:
    child = sleeper()
    identity = identity_of(child.pid)
    child.kill()
    eventually(lambda: state_of(identity) == "Z", what="the zombie")
    death, _ = asyncio.run(death_of(identity))
    assert death.status == -9
    child.wait()


def test_who_is_gone_for_good_is_told_without_a_status() -> None:
    child = sleeper()
    identity = identity_of(child.pid)
    child.kill()
    child.wait()
    assert asyncio.run(death_of(identity))[0].status is None


def test_a_recycled_pid_is_not_taken_for_the_server() -> None:
    child = sleeper()
    try:
        former = Identity(child.pid, 1)
        death, _ = asyncio.run(death_of(former))
        assert death.status is None
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def foster() -> Iterator[tuple[subprocess.Popen[str], Identity]]:
    """A process that is not our child; its own parent reaps it when told to (a line on standard input)."""
    code = (
        "import subprocess, sys; child = subprocess.Popen(['/bin/sleep', '1000']); print(child.pid, flush=True);"
        "sys.stdin.readline(); child.wait(); sys.stdin.readline()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert parent.stdout is not None
    identity = identity_of(int(parent.stdout.readline()))
    yield parent, identity
    with suppress(ProcessLookupError):
        os.kill(identity.pid, signal.SIGKILL)
    parent.kill()
    parent.communicate()


def test_the_death_of_a_foreign_process_is_told_at_once_and_explained_when_it_is_reaped(
    foster: tuple[subprocess.Popen[str], Identity],
) -> None:
    parent, identity = foster

    async def main() -> tuple[Death, list[Death]]:
        loop = asyncio.get_running_loop()
        deaths = Deaths(loop)
        died: asyncio.Future[Death] = loop.create_future()
        explained: asyncio.Future[Death] = loop.create_future()
        deaths.watch(identity, died.set_result, explained.set_result)
        os.kill(identity.pid, signal.SIGTERM)
        first = await asyncio.wait_for(died, LONG)
        assert not explained.done()
        assert parent.stdin is not None
        parent.stdin.write("\n")
        with suppress(TimeoutError):
            await asyncio.wait_for(explained, 3)  # an older kernel keeps no status for us
        assert deaths.pids == set() or not explained.done()
        deaths.close()
        return first, [explained.result()] if explained.done() and not explained.cancelled() else []

    first, later = asyncio.run(main())
    assert (first.identity, first.status) == (identity, None)
    release = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])
    if release >= (6, 15):
        assert [(death.status, death.source) for death in later] == [(-15, "pidfd")]


def test_who_else_saw_the_death_is_asked(foster: tuple[subprocess.Popen[str], Identity]) -> None:
    death, later = asyncio.run(death_of(foster[1], signal.SIGKILL, hint=-9))
    assert (death.status, death.source, later) == (-9, "connector", [])


def test_a_process_that_is_watched_no_more_is_not_told_of() -> None:
    child = sleeper()
    identity = identity_of(child.pid)

    async def main() -> list[Death]:
        told: list[Death] = []
        deaths = Deaths(asyncio.get_running_loop())
        before = len(os.listdir("/proc/self/fd"))
        deaths.watch(identity, told.append)
        deaths.watch(identity, told.append)
        assert deaths.pids == {child.pid}
        deaths.forget(identity)
        assert len(os.listdir("/proc/self/fd")) == before
        child.kill()
        await asyncio.to_thread(child.wait)
        await asyncio.sleep(0.05)
        return told

    assert asyncio.run(main()) == []


def test_a_thousand_are_watched_and_each_death_is_told_once() -> None:
    children = [subprocess.Popen(["/bin/sleep", "1000"]) for _ in range(50)]

    async def main() -> list[int]:
        told: list[int] = []
        deaths = Deaths(asyncio.get_running_loop())
        for child in children:
            deaths.watch(identity_of(child.pid), lambda death: told.append(death.identity.pid))
        for child in children:
            child.kill()
        end = time.monotonic() + LONG
        while len(told) < len(children) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        deaths.close()
        return told

    assert sorted(asyncio.run(main())) == sorted(child.pid for child in children)
    for child in children:
        child.wait()


# ---- orphans ---------------------------------------------------------------------------------------------------------

IN_A_SUBREAPER = """if True:
    import os, subprocess, sys, time
    from cluster_glue.recovery.sensors.orphans import Orphans, become_subreaper
    from resource_agents.processes import Identity, children, look
    become_subreaper()
    orphans = Orphans()
    def zombies():
        found = [look(pid) for pid in children(os.getpid())]
        return sorted(p.pid for p in found if p and p.state == "Z")
    def until(condition):
        end = time.monotonic() + 30
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        assert condition()
"""


def in_a_subreaper(code: str) -> None:
    """Run it in a process of its own: this one must not become anybody's subreaper."""
    done = subprocess.run([sys.executable, "-c", IN_A_SUBREAPER + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_orphans_fall_to_the_subreaper_and_are_reaped_with_their_status() -> None:
    in_a_subreaper(
        """
    shell = subprocess.run(["/bin/sh", "-c", "(sleep 0.2; exit 7) & echo $!"], capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, start_new_session=True)
    orphan = int(shell.stdout)
    until(lambda: orphan in zombies())
    assert orphans.reap(spare=[orphan]) == {}
    assert orphans.reap() == {orphan: 7}
    assert orphans.reap() == {}
"""
    )


def test_a_status_that_somebody_waits_for_is_not_stolen() -> None:
    in_a_subreaper(
        """
    program = subprocess.Popen(["/bin/sh", "-c", "exit 5"], start_new_session=True)
    until(lambda: program.pid in zombies())
    assert orphans.reap() == {}
    assert program.wait() == 5
"""
    )


def test_a_zombie_that_nobody_wants_is_reaped_in_the_end() -> None:
    in_a_subreaper(
        f"""
    now = 0.0
    orphans = Orphans(clock=lambda: now)
    program = subprocess.Popen(["/bin/sh", "-c", "exit 5"], start_new_session=True)
    until(lambda: program.pid in zombies())
    assert orphans.reap() == {{}}
    now = {LEADER_PATIENCE} + 1
    assert orphans.reap() == {{program.pid: 5}}
"""
    )


def test_who_was_handed_over_is_reaped_as_soon_as_it_is_dead() -> None:
    in_a_subreaper(
        """
    program = subprocess.Popen(["/bin/sh", "-c", "exit 5"], start_new_session=True)
    orphans.take(look(program.pid).identity)
    until(lambda: program.pid in zombies())
    assert orphans.reap(spare=[program.pid]) == {}
    assert orphans.reap() == {program.pid: 5}
    other = subprocess.Popen(["/bin/sh", "-c", "exit 6"], start_new_session=True)
    orphans.take(Identity(other.pid, 1))
    until(lambda: other.pid in zombies())
    assert orphans.reap() == {}
    assert other.wait() == 6
"""
    )


def test_reaping_without_children_is_harmless() -> None:
    in_a_subreaper("    assert orphans.reap() == {}\n")
    assert callable(become_subreaper) and Orphans


# ---- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cause", "words"),
    [
        (-9, "killed", "the main process was killed by SIGKILL"),
        (-15, "killed", "the main process was killed by SIGTERM"),
        (-11, "crashed", "the main process crashed with SIGSEGV"),
        (-6, "crashed", "the main process crashed with SIGABRT"),
        (-40, "killed", "the main process was killed by signal 40"),
        (3, "exited", "the main process exited with status 3"),
        (0, "exited", "the main process exited with status 0 although nobody asked it to stop"),
        (None, "unknown", "the main process is gone; nobody could tell how it ended"),
    ],
)
def test_a_status_is_told_in_words(status: int | None, cause: str, words: str) -> None:
    fault = describe_status(status)
    assert (fault.cause, fault.kind, fault.reason) == (cause, Kind.RESOURCE, words)
