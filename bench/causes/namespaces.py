"""Network namespaces of a stage's own: what needs other settings of the kernel is made there.

koboshi and the server run in the first; the second, joined to it by a pair of Ethernet devices, has the other end.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.causes.stage import Stage
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]

#: Addresses of the server and of the other end.
HERE, THERE = "10.211.0.1", "10.211.0.2"


def joined(stage: Stage, *settings: str) -> tuple[str, str]:
    """Two network namespaces that reach each other, the first with settings below /proc/sys/net; koboshi runs there."""
    here, there = _alone(stage), _alone(stage)
    peer = there.split("/")[2]
    within(here, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", peer)
    for name, device, address in ((here, "v0", HERE), (there, "v1", THERE)):
        for words in (f"addr add {address}/16 dev {device}", f"link set {device} up", "link set lo up"):
            within(name, "ip", *words.split())
    for setting in settings:
        file, _, value = setting.partition("=")
        within(here, "sh", "-c", f"echo '{value}' >/proc/sys/net/{file}")
    stage.inside = ("/usr/bin/nsenter", f"--net={here}")
    return here, there


def _alone(stage: Stage) -> str:
    """A network namespace that lasts as long as the stage: its path."""
    keeper = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], start_new_session=True)
    stage.undo.callback(keeper.wait)
    stage.undo.callback(keeper.kill)
    path = Path(f"/proc/{keeper.pid}/ns/net")
    ours = Path("/proc/self/ns/net").readlink()
    eventually(lambda: path.readlink() != ours, what="the namespace")
    return str(path)


def within(name: str, *words: str) -> None:
    subprocess.run(["nsenter", f"--net={name}", *words], check=True)


def peer(stage: Stage, name: str, *words: str) -> None:
    """A program at the other end, until the stage is closed."""
    argv = ["nsenter", f"--net={name}", sys.executable, "-m", "bench.causes.peers", *words]
    program = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    stage.undo.callback(program.wait)
    stage.undo.callback(program.kill)
    assert program.stdout is not None
    assert program.stdout.readline() == b"ready\n"


def move(stage: Stage, old: str, new: str) -> None:
    """Let the server listen elsewhere, and koboshi ask there."""
    stage.edit(old, new)
    stage.config = stage.config.replace(old, new)
