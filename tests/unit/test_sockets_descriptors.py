"""What processes have open, and whether it only grows."""

import os
import resource
import socket
import subprocess
import threading

import pytest

from cluster_glue.recovery.sensors.descriptors import Trend, task_limits, usage
from cluster_glue.recovery.sensors.holders import Holders, descends, every_pid, introduce
from resource_agents.processes import look


def test_usage_counts_descriptors_threads_and_limits() -> None:
    before = usage(os.getpid())
    assert before is not None
    files = [open(os.devnull) for _ in range(50)]  # noqa: SIM115 - counted, then closed
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    after = usage(os.getpid())
    done.set()
    thread.join()
    for file in files:
        file.close()
    assert after is not None
    assert after.files >= before.files + 45
    assert after.tasks == before.tasks + 1
    assert after.files_limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert after.uid == os.getuid()


def test_a_process_that_is_gone_uses_nothing() -> None:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    assert usage(child.pid) is None


def test_the_users_own_limit_on_tasks_counts_all_their_processes() -> None:
    mine = usage(os.getpid())
    assert mine is not None
    ours = [each for each in task_limits(os.getpid(), [mine]) if "ulimit -u" in each.name]
    if os.getuid() == 0:
        assert ours == []  # the kernel lets root pass
    else:
        assert ours[0].used >= mine.tasks


@pytest.mark.parametrize(
    ("values", "grows"),
    [([10, 20, 30], True), ([10, 20, 5, 30], False), ([10, 10, 10], False), ([100, 98, 101], True), ([30, 20], False)],
)
def test_only_what_never_falls_grows(values: list[int], grows: bool) -> None:
    trend = Trend()
    for number, value in enumerate(values):
        trend.add(number * 5.0, value)
    assert trend.grows(values[-1]) is grows


def test_a_trend_says_by_how_much_and_since_when() -> None:
    trend = Trend()
    trend.add(100, 10)
    trend.add(101, 11)
    assert trend.growth(40) == (30, 100)


def test_a_listeners_holder_is_found_and_lost_again() -> None:
    holders = Holders()
    asked = []

    def likely() -> list[int]:
        asked.append(1)
        return [os.getpid()]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        inode = os.fstat(listener.fileno()).st_ino
        assert holders.find({inode}, [likely, every_pid])[inode].pid == os.getpid()
        assert holders.find({inode}, [likely, every_pid])[inode].pid == os.getpid()
        assert asked == [1], "a known holder is confirmed without a search"
    assert holders.find({inode}, [likely]) == {}


def test_a_stranger_is_introduced_by_pid_command_and_user() -> None:
    process = look(os.getpid())
    assert process is not None
    words = introduce(process)
    assert words.startswith(f"pid {os.getpid()} (")
    assert "user " in words


def test_descent_is_seen_through_generations() -> None:
    assert descends(os.getpid(), os.getppid())
    assert descends(os.getpid(), os.getpid())
    assert not descends(os.getppid(), os.getpid())
