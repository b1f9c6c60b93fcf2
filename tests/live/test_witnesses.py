"""What we read from the kernel ourselves, beside what well-kept libraries read: psutil and pyroute2 as witnesses.

The daemon imports neither (memory, and the time of an OCF action), so that their part is to disagree where we err.
"""

import os
import socket
import subprocess
import sys

import psutil
import pytest
from pyroute2 import DiagSocket
from pyroute2.netlink.diag import SS_LISTEN

from resource_agents.listeners import listening, owners
from resource_agents.processes import look
from tests.waiting import eventually

pytestmark = pytest.mark.live


def test_psutil_sees_the_same_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        witness = psutil.Process(child.pid)
        eventually(lambda: witness.cmdline()[1:2] == ["-c"], what="the child's own program")
        ours = look(child.pid)
        assert ours is not None
        assert ours.ppid == witness.ppid() == os.getpid()
        assert list(ours.argv) == witness.cmdline()
        assert ours.exe == witness.exe()
        assert ours.uid == witness.uids().effective
        assert ours.sid == ours.pgid == child.pid
        started = psutil.boot_time() + ours.start / os.sysconf("SC_CLK_TCK")
        assert abs(started - witness.create_time()) < 1.0
    finally:
        child.kill()
        child.wait()
    gone = look(child.pid)
    assert gone is None or gone.identity != ours.identity


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_pyroute2_sees_the_same_listeners_and_queues(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listener, socket.socket(family) as client:
        listener.bind((host, 0))
        listener.listen(7)
        port = listener.getsockname()[1]
        client.connect((host, port))
        (ours,) = eventually(
            lambda: [each for each in listening() if each.port == port and each.depth == 1],
            what="the waiting connection",
        )
        with DiagSocket() as diag:
            diag.bind()
            told = [
                each
                for each in diag.get_sock_stats(states=1 << SS_LISTEN, family=family)
                if each["idiag_sport"] == port
            ]
        (witness,) = told
        assert (ours.inode, ours.depth, ours.limit) == (
            witness["idiag_inode"],
            witness["idiag_rqueue"],
            witness["idiag_wqueue"],
        )
        assert ours.host == host
        assert [process.pid for process in owners([ours])] == [os.getpid()]
