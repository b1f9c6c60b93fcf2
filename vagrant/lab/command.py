"""The lab: a real Pacemaker cluster on this machine, in namespaces that vanish without a trace.

usage: script/lab [--directory DIR] up [--nodes N]      make it (10 to 15 s): Apache and nginx behind two addresses
       script/lab [--directory DIR] status              what runs, and where
       script/lab [--directory DIR] exec NODE COMMAND   run a command in a node (a shell, when none is given);
                                                        NODE "client": the room from which clients ask
       script/lab [--directory DIR] logs [NODE]         what Pacemaker, corosync and the console of a node said
       script/lab [--directory DIR] drill [NAME]        rehearse a failure and watch; without NAME, list them
       script/lab [--directory DIR] down                end it: no process, mount or interface is left

--directory   where the lab keeps its things; default: $LAB_DIR, else /run/koboshi-lab. One lab per directory.
--nodes       2 to 8 machines; default 2
--provider    what the machines are; only "namespaces" so far

Exit status: 0 done; 1 it failed; 2 wrong usage; 130 interrupted (an interrupted "up" leaves nothing).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vagrant.lab.answers import SERVICES, Client
from vagrant.lab.bringing_up import restore, up
from vagrant.lab.claims import View
from vagrant.lab.cluster import Cluster
from vagrant.lab.scenario import Line, Scenario, ScenarioError, Untrue, every, play
from vagrant.lab.timeline import Event, events, tell
from vagrant.namespaces.lab import CHECKOUT, LEAST, Lab, LabError, check_count, environment, missing

#: Seconds between two looks at what happened, while a person watches.
LOOK = 0.5
#: Seconds by which the logs of three sides may be behind each other.
BEHIND = 0.7


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SystemExit(_complain(f"{message}; script/lab --help tells more", 2))


def _complain(sentence: str, status: int = 1) -> int:
    print(f"lab: {sentence}", file=sys.stderr)
    return status


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line. Raises ``SystemExit``."""
    common = _Parser(add_help=False)
    common.add_argument("--directory", default=argparse.SUPPRESS)
    common.add_argument("--provider", choices=["namespaces"], default=argparse.SUPPRESS)
    parser = _Parser(prog="script/lab", parents=[common], usage=argparse.SUPPRESS)
    words = parser.add_subparsers(dest="word", required=True, parser_class=_Parser, metavar="WORD")
    made = words.add_parser("up", parents=[common])
    made.add_argument("--nodes", type=int, default=LEAST)
    words.add_parser("down", parents=[common])
    words.add_parser("status", parents=[common])
    run = words.add_parser("exec", parents=[common])
    run.add_argument("node")
    run.add_argument("command", nargs=argparse.REMAINDER)
    words.add_parser("logs", parents=[common]).add_argument("node", nargs="?", default="")
    words.add_parser("drill", parents=[common]).add_argument("name", nargs="?", default="")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """One word of the lab's; the exit status."""
    if not arguments or any(word in ("-h", "--help", "help") for word in arguments[:1]):
        print(__doc__)
        return 0 if arguments else 2
    asked = parse(arguments)
    lab = Lab(getattr(asked, "directory", ""))
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGHUP, _interrupted)
    try:
        match asked.word:
            case "up":
                prepare(asked.nodes)
                up(lab, asked.nodes, print_now)
                print_now("script/lab drill shows what can be rehearsed; script/lab down ends the lab")
                return 0
            case "down":
                print_now("the lab is gone" if lab.end() else f"there was no lab in {lab.directory}")
                return 0
            case "status":
                return status(lab)
            case "exec":
                return execute(lab, asked.node, asked.command)
            case "logs":
                return logs(lab, asked.node)
        return drill(lab, asked.name)
    except (LabError, ScenarioError) as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def prepare(count: int) -> None:
    """Install what the lab needs where something is missing. Raises :class:`LabError`."""
    check_count(count)
    if missing() and os.geteuid() == 0:
        subprocess.run([str(CHECKOUT / "script" / "setup"), "lab"], stdin=subprocess.DEVNULL, check=False)


def print_now(words: str) -> None:
    print(words, flush=True)


def status(lab: Lab) -> int:
    """What runs, and where; 1 when not everything answers."""
    cluster, well = Cluster(lab), True
    online = cluster.online()
    for node in lab.nodes:
        power = lab.ask(f"status {node}")
        print(f"{node}  {power}, {'in the cluster' if node in online else 'not in the cluster'}")
        well = well and node in online
    for name, address in SERVICES.items():
        where = cluster.where(name) if online else []
        asking = ["curl", "-sf", "-o", "/dev/null", "--max-time", "2", f"http://{address}/"]
        answers = lab.run("", asking).returncode == 0
        print(f"{name:5}  {address}, {'answers' if answers else 'does not answer'}, on {', '.join(where) or 'no node'}")
        well = well and answers
    return 0 if well else 1


def execute(lab: Lab, node: str, command: list[str]) -> int:
    """Become the command; returns only when that cannot be."""
    if node != "client" and node not in lab.nodes:
        raise LabError(f"there is no {node}; there are {', '.join(lab.nodes)} and client")
    words = [*lab.entry("" if node == "client" else node), *(command or ["/bin/bash"])]
    os.chdir("/")
    os.execvpe(words[0], words, environment())


def logs(lab: Lab, only: str) -> int:
    """The ends of a node's logs, whether it is on or off."""
    for node in [only] if only else lab.nodes:
        if node not in lab.nodes:
            raise LabError(f"there is no {node}; there are {', '.join(lab.nodes)}")
        for path in ("lab.console", "corosync/corosync.log", "pacemaker/pacemaker.log"):
            found = lab.inside(node, f"/var/log/{path}")
            if found.exists():
                lines = found.read_text(errors="replace").splitlines()
                print(f"==== {node}:/var/log/{path} (the last 200 of {len(lines)} lines)")
                print("\n".join(lines[-200:]))
    return 0


# ---- drill -----------------------------------------------------------------------------------------------------------


def drill(lab: Lab, name: str) -> int:
    """Play one scenario and tell live what the client, koboshi and Pacemaker see; 1 when it goes wrong."""
    known = {scenario.name: scenario for scenario in every()}
    if not name:
        width = max(map(len, known), default=0)
        print("\n".join(f"{each.name:{width}}  {each.title}" for each in known.values()))
        return 0
    if name not in known:
        raise LabError(f"there is no scenario {name}; there are {', '.join(known)}")
    print_now("everything is put in its place first (about 10 s)")
    restore(lab)
    with tempfile.TemporaryDirectory(prefix="koboshi-drill-") as folder:
        client = Client(lab, Path(folder) / "client")
        view = View(lab, client)
        try:
            return _watched(known[name], view)
        finally:
            view.end()
            client.end()


def _watched(scenario: Scenario, view: View) -> int:
    print_now(f"{scenario.title}\n")
    teller = _Teller(view)
    problem = ""
    try:
        play(scenario, view, teller.doing)
    except Untrue as untrue:
        problem = str(untrue)
    teller.end()
    print_now(f"\n{'it went wrong: ' + problem if problem else 'it went as it should'}")
    return 1 if problem else 0


class _Teller:
    """Prints what happened while it happens, each thing once."""

    def __init__(self, view: View) -> None:
        self._view = View(view.lab, view.client)
        self._began, self._over = time.time(), threading.Event()
        self._told: set[Event] = set()
        self._doings: list[Event] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def doing(self, line: Line) -> None:
        """The scenario goes on to ``line``."""
        if line.claim is None and line.verb != "mark":
            where = f"{line.node}: " if line.node else ""
            self._doings.append(Event(time.time(), "drill", f"{line.verb} {where}{line.words}"))

    def end(self) -> None:
        """Tell the rest."""
        time.sleep(BEHIND)
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            self._tell(time.time() - BEHIND)
        self._tell(time.time())

    def _tell(self, until: float) -> None:
        self._view.since = self._began
        try:
            seen = events(self._view)
        except LabError:
            seen = []
        for event in sorted({*seen, *self._doings} - self._told):
            if event.at <= until:
                self._told.add(event)
                print_now(tell(event, self._began))


def _interrupted(number: int, _: object) -> NoReturn:
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
