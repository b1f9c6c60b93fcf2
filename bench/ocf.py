"""Row ``ocf``: what the OCF executables cost, beside ``ocf:heartbeat:apache`` on an Apache of the same making."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Line, figures
from bench.stage import Stage, Unavailable, found, free_port, until
from cluster_glue.ocf_check.peers import apache
from cluster_glue.ocf_install import install, interpreter
from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents.processes import alive, look

HEARTBEAT = Path("/usr/lib/ocf/resource.d/heartbeat/apache")

#: Milliseconds for a monitor of a stopped resource, and seconds for a stop of a stopped Apache with 20 s to do it.
STOPPED, HUNG = 50.0, 6.0


@dataclass(frozen=True)
class Run:
    """How one action went; times in seconds, ``cpu`` with all children that it waited for."""

    code: int
    wall: float
    cpu: float


class Agent:
    """An agent with an Apache of its own."""

    def __init__(self, stage: Stage, who: str, path: Path) -> None:
        self.who, self.path = who, path
        home = stage.place(who)
        self.pidfile = home / "httpd.pid"
        self._env = {
            **PLAIN_ENVIRONMENT,
            "OCF_ROOT": "/usr/lib/ocf",
            "OCF_RA_VERSION_MAJOR": "1",
            "OCF_RA_VERSION_MINOR": "1",
            "OCF_RESOURCE_INSTANCE": "bench",
            "HA_LOGFACILITY": "none",
            "OCF_RESKEY_CRM_meta_timeout": "20000",
            "KOBOSHI_RUNTIME_DIR": str(home / "run"),
            "KOBOSHI_STATE_DIR": str(home / "state"),
            "KOBOSHI_CLUSTER_PATH": str(home),
            **{f"OCF_RESKEY_{name}": value for name, value in apache(home, free_port()).items()},
        }
        self.status = home / "run/ocf/bench.status"
        self._lock = home / "run/control.sock.lock"

    def act(self, action: str, interval: int = 0, before: tuple[str, ...] = ()) -> Run:
        """Run one action; ``interval`` in seconds, ``before`` are words in front of the command line."""
        more = {"OCF_RESKEY_CRM_meta_interval": str(interval * 1000)} if interval else {}
        return run([*before, str(self.path), action], {**self._env, **more})

    def must(self, action: str, *codes: int, interval: int = 0) -> Run:
        """The same, when it gave one of ``codes``. Raises :class:`Unavailable`."""
        ended = self.act(action, interval)
        if ended.code not in codes:
            raise Unavailable(f"{self.who}: {action} gave {ended.code}")
        return ended

    def freeze(self) -> None:
        """SIGSTOP to the main process."""
        os.kill(int(self.pidfile.read_text()), signal.SIGSTOP)

    def end(self) -> None:
        """Stop it, and the daemon that it woke."""
        self.act("stop")
        with suppress(OSError, ValueError):
            daemon = look(int(self._lock.read_text()))
            if daemon is not None:
                os.kill(daemon.pid, signal.SIGTERM)
                until(lambda: not alive(daemon.identity), 5.0, "the daemon's end")


def run(argv: list[str], env: Mapping[str, str]) -> Run:
    """Run a program to its end and count what it took."""
    began = time.perf_counter()
    null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0)
    actions = [null, (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
    pid = os.posix_spawn(argv[0], argv, dict(env), file_actions=actions, setpgroup=0)
    _, status, usage = os.wait4(pid, 0)
    return Run(os.waitstatus_to_exitcode(status), time.perf_counter() - began, usage.ru_utime + usage.ru_stime)


def ocf(stage: Stage) -> Iterator[Line]:
    """Monitors, meta-data and stops of both agents, in turn."""
    if not HEARTBEAT.exists():
        yield Line("ocf", "ocf:heartbeat:apache", "peer", "", note="package resource-agents is not installed")
        return
    root = stage.place("root") / "ocf"
    install(root, Path("/"))
    ours = Agent(stage, "koboshi", root / "resource.d/koboshi/apache")
    peer = Agent(stage, "heartbeat", HEARTBEAT)
    try:
        yield from _stopped(stage, ours, peer)
        for agent in (ours, peer):
            agent.must("start", 0)
        until(ours.status.exists, 5.0, "the status file")
        yield from _monitor(stage, ours, peer)
        yield from _loaded(stage, ours, peer)
        yield from _forks(ours, peer)
        yield from _meta_data(stage, ours, peer)
        yield from _hung(stage, ours, peer)
    finally:
        ours.end()
        peer.end()


def _stopped(stage: Stage, ours: Agent, peer: Agent) -> Iterator[Line]:
    mine = [1000 * ours.must("monitor", 7, interval=10).wall for _ in range(stage.count(40, 5))]
    theirs = [1000 * peer.must("monitor", 7, interval=10).wall for _ in range(stage.count(3, 1))]
    line = Line("ocf", "monitor, stopped", ours.who, "ms", mine, {"p50": STOPPED}, f"{STOPPED:g} ms")
    yield from _pair(line, Line("ocf", "monitor, stopped", peer.who, "ms", theirs))


def _monitor(stage: Stage, ours: Agent, peer: Agent) -> Iterator[Line]:
    count = stage.count(200, 10)
    theirs = [1000 * peer.must("monitor", 0, interval=10).cpu for _ in range(count)]
    mine = [1000 * ours.must("monitor", 0, interval=10).cpu for _ in range(count)]
    other = Line("ocf", "monitor 0: CPU", peer.who, "ms", theirs)
    limit = (other.median or 0.0) / 4
    yield from _pair(Line("ocf", "monitor 0: CPU", ours.who, "ms", mine, {"p50": limit}, "1/4 of the peer"), other)
    asked = [1000 * ours.must("monitor", 0).cpu for _ in range(stage.count(40, 5))]
    line = Line("ocf", "monitor 0 that asks the daemon: CPU", ours.who, "ms", asked)
    line.compare(other, peer.who)
    yield line


def _loaded(stage: Stage, ours: Agent, peer: Agent) -> Iterator[Line]:
    """Under eight processes that want all of the CPU."""
    spin = [sys.executable, "-I", "-S", "-c", "while True: pass"]
    hogs = [subprocess.Popen(spin, stdin=subprocess.DEVNULL) for _ in range(8)]
    try:
        count = stage.count(200, 5)
        both = {agent.who: [agent.act("monitor", 10) for _ in range(count)] for agent in (ours, peer)}
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    lines = [Line("ocf", "monitor 0, 8 hogs: wall", who, "ms", [1000 * run.wall for run in runs])
             for who, runs in both.items()]  # fmt: skip
    for line in lines:
        late = sum(run.wall > 20 for run in both[line.who])
        wrong = sum(run.code != 0 for run in both[line.who])
        line.note = f"{late} over 20 s, {wrong} not 0"
    lines[0].bounds, lines[0].bound = {"p99": figures(lines[1].samples)["p99"]}, "the peer's p99"
    yield from _pair(*lines)


def _forks(ours: Agent, peer: Agent) -> Iterator[Line]:
    try:
        strace = found("strace")
    except Unavailable as why:
        yield Line("ocf", "monitor 0: forks", ours.who, "", note=str(why))
        return
    for agent in (ours, peer):
        trace = agent.pidfile.with_name("trace")
        agent.act("monitor", 10, (strace, "-f", "-qq", "-o", str(trace), "-e", "trace=process"))
        forks = len(re.findall(r"\b(?:fork|vfork|clone3?)\(.*\) = \d", trace.read_text()))
        bounds = {"p50": 0.0} if agent is ours else {}
        yield Line("ocf", "monitor 0: forks", agent.who, "", [float(forks)], bounds, "0" if bounds else "")


def _meta_data(stage: Stage, ours: Agent, peer: Agent) -> Iterator[Line]:
    count = stage.count(50, 5)
    bare = [1000 * run([interpreter(), "-I", "-S", "-c", "pass"], PLAIN_ENVIRONMENT).wall for _ in range(count)]
    start = Line("ocf", "bare isolated interpreter start", "python", "ms", bare)
    limit = 1.5 * (start.median or 0.0)
    mine = [1000 * ours.must("meta-data", 0).wall for _ in range(count)]
    theirs = [1000 * peer.must("meta-data", 0).wall for _ in range(count)]
    line = Line("ocf", "meta-data", ours.who, "ms", mine, {"p50": limit}, "1.5 x a bare start")
    yield start
    yield from _pair(line, Line("ocf", "meta-data", peer.who, "ms", theirs))


def _hung(stage: Stage, ours: Agent, peer: Agent) -> Iterator[Line]:
    for agent in (ours, peer):
        samples, codes = [], set()
        for _ in range(stage.count(3, 1)):
            agent.must("start", 0)
            agent.freeze()
            ended = agent.act("stop")
            samples.append(ended.wall)
            codes.add(ended.code)
            agent.act("stop")
        bounds = {"p99": HUNG} if agent is ours else {}
        note = f"it gave {', '.join(map(str, sorted(codes)))}"
        yield Line(
            "ocf",
            "stop, SIGSTOPped, 20 s",
            agent.who,
            "s",
            samples,
            bounds,
            f"0 in {HUNG:g} s" if bounds else "",
            note=note,
        )


def _pair(ours: Line, peer: Line) -> Iterator[Line]:
    ours.compare(peer, peer.who)
    yield ours
    yield peer
