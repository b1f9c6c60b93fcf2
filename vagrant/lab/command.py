"""The lab: a real Pacemaker cluster on this machine, which vanishes without a trace.

usage: script/lab [OPTIONS] up [--nodes N] [--expose]   make it: Apache and nginx behind two addresses
       script/lab [OPTIONS] status              what runs, and where
       script/lab [OPTIONS] ssh NODE            a shell in a node; NODE "client": where the clients ask from
       script/lab [OPTIONS] exec NODE COMMAND   run a command in a node
       script/lab [OPTIONS] logs [NODE]         what Pacemaker, corosync and the console of a node said
       script/lab [OPTIONS] drill [NAME]        rehearse a failure and watch; without NAME, list them ("all": each)
       script/lab [OPTIONS] report [--output F] draw what was rehearsed: here, and in one HTML file
       script/lab [OPTIONS] vagrant WORD ...    Vagrant's own words, where its machines are ("vagrant WORD" is the same)
       script/lab [OPTIONS] down                end it: no process, mount or interface is left

Options, before or after the word:

--provider    what the machines are: namespaces (default; 10 to 15 s), lxc (a minute), libvirt (real kernels; minutes)
              or virtualbox. Asked for by "up" only; the other words find out
--directory   where the lab keeps its things; default: $LAB_DIR, else /var/lib/koboshi-lab. One lab per directory
--nodes       2 to 8 machines; default: $LAB_COUNT, else 2
--expose      in this machine's own network, to be reached from elsewhere; without it the lab has a network of its own
--output      default: koboshi-lab-report.html

Exit status: 0 done; 1 it failed; 2 wrong usage; 130 interrupted (an interrupted "up" leaves nothing).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vagrant.lab.answers import SERVICES
from vagrant.lab.bringing_up import up
from vagrant.lab.children import child
from vagrant.lab.cluster import Cluster
from vagrant.lab.drill import RECORDS, drill
from vagrant.lab.machines import CHECKOUT, LOGS, Lab, LabError, check_count, chosen_count, environment
from vagrant.lab.providers import PROVIDERS, STANDARD, found
from vagrant.lab.report import OUTPUT, report
from vagrant.lab.scenario import ScenarioError

#: Signals by which a person ends a command.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    common.add_argument("--provider", choices=list(PROVIDERS), default=argparse.SUPPRESS)
    parser = _Parser(prog="script/lab", parents=[common], usage=argparse.SUPPRESS)
    words = parser.add_subparsers(dest="word", required=True, parser_class=_Parser, metavar="WORD")
    made = words.add_parser("up", parents=[common])
    made.add_argument("--nodes", type=int)
    made.add_argument("--expose", action="store_true")
    words.add_parser("down", parents=[common])
    words.add_parser("status", parents=[common])
    run = words.add_parser("exec", parents=[common])
    run.add_argument("node")
    run.add_argument("command", nargs=argparse.REMAINDER)
    words.add_parser("ssh", parents=[common]).add_argument("node")
    words.add_parser("logs", parents=[common]).add_argument("node", nargs="?", default="")
    words.add_parser("drill", parents=[common]).add_argument("name", nargs="?", default="")
    words.add_parser("vagrant", parents=[common]).add_argument("command", nargs=argparse.REMAINDER)
    drawn = words.add_parser("report", parents=[common])
    drawn.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """One word of the lab's; the exit status."""
    if not arguments or any(word in ("-h", "--help", "help") for word in arguments[:1]):
        print(__doc__)
        return 0 if arguments else 2
    asked = parse(arguments)
    for number in ENDING:
        signal.signal(number, _interrupted)
    try:
        if asked.word == "vagrant":
            return by_hand(asked.command, getattr(asked, "directory", ""))
        lab = found(getattr(asked, "directory", ""), getattr(asked, "provider", ""))
        match asked.word:
            case "up":
                lab.exposed = asked.expose
                count = chosen_count() if asked.nodes is None else asked.nodes
                prepare(lab, count)
                up(lab, count, print_now)
                print_now("script/lab drill shows what can be rehearsed; script/lab down ends the lab")
                return 0
            case "down":
                print_now("the lab is gone" if lab.end() else f"there was no lab in {lab.directory}")
                return 0
            case "status":
                return status(lab)
            case "exec":
                return execute(lab, asked.node, asked.command)
            case "ssh":
                return execute(lab, asked.node, [])
            case "logs":
                return logs(lab, asked.node)
            case "report":
                return report(lab.directory / RECORDS, asked.output)
        return drill(lab, asked.name, print_now)
    except (LabError, ScenarioError) as error:
        return _complain(str(error))
    except OSError as error:
        return _complain(_what_helps(error))
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def _what_helps(error: OSError) -> str:
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        return f"{what}: it needs root, so run it as root"
    return f"{what}: name another --directory if it is about the lab's" if error.filename else what


def by_hand(words: Sequence[str], directory: str) -> int:
    """Vagrant's own words."""
    from vagrant.machines import by_hand as hand

    return hand.by_hand(hand.lab_of(words, directory), words, prepare, print_now)


def prepare(lab: Lab, count: int) -> None:
    """Install what the lab needs where something is missing. Raises :class:`LabError`."""
    check_count(count)
    if lab.missing() and os.geteuid() == 0:
        group = "lab" if lab.provider == STANDARD else f"lab-{lab.provider}"
        with child([str(CHECKOUT / "script" / "setup"), group]) as setup:
            setup.wait()


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
    place = "" if node == "client" else node
    words = [*lab.entry(place), *command] if command else lab.shell(place)
    os.chdir("/")
    os.execvpe(words[0], words, environment())


def logs(lab: Lab, only: str) -> int:
    """The ends of a node's logs, whether it is on or off."""
    for node in [only] if only else lab.nodes:
        if node not in lab.nodes:
            raise LabError(f"there is no {node}; there are {', '.join(lab.nodes)}")
        for path in LOGS:
            lines = lab.read(node, path).splitlines()
            if lines:
                print(f"==== {node}:{path} (the last 200 of {len(lines)} lines)")
                print("\n".join(lines[-200:]))
    return 0


def _interrupted(number: int, _: object) -> NoReturn:
    for each in ENDING:  # once is enough: what is half made is being taken away now
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
