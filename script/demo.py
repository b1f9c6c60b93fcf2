"""Knock real web servers over in several ways, and watch koboshi get them back up.

usage: script/demo

Apache and nginx are started on free loopback ports under one koboshi with its own folders. Then, one after another,
their main process is killed, everything is killed, orphans are left on the port, the workers are frozen, and the
configuration is broken. Needs root, and installs Apache and nginx from Debian where they are missing (no service is
started); without root a small Python web server takes their place.

It leaves nothing running and nothing behind. Exit status: 0 each fault was handled as documented; 1 one was not;
2 wrong usage; 128 + N ended by signal N.
"""

from __future__ import annotations

import signal
import sys
import time
from functools import partial
from pathlib import Path

from children import become_subreaper, end_all
from demonstration.client import Client
from demonstration.knocks import KNOCKS, Scene, words_of
from demonstration.servers import Actor, cast
from demonstration.stage import Stage
from demonstration.telling import Teller, table

KOBOSHI = Path(sys.executable).with_name("koboshi")

HEAD = ["server", "fault", "detected after", "outage", "cause named", "what was done"]

LEGEND = """\
detected after: from the fault to koboshi's first word of it.
outage: from the last good answer (or the fault) to the first 200 from a new main process; where the configuration was
broken, from the moment at which it was mended.
The client asks every 5 ms, and knows the answers of orphans by their listening socket."""


class Ended(BaseException):
    """A signal asks us to end."""


def play(stage: Stage, teller: Teller) -> bool:
    """The whole play; whether each fault was handled as documented."""
    actors, missing = cast(stage.folder)
    for words in missing:
        teller.plain(f"note: {words}")
    teller.plain("koboshi runs with default settings; after each scene the restart budget is filled up (koboshi clear)")
    config = '[koboshi]\nsyslog = ""\n\n' + "\n".join(f"[resource.{one.name}]\n{one.resource}" for one in actors)
    teller.title("The servers are started")
    stage.raise_curtain(config)
    for actor in actors:
        stage.wait_up(actor.name)
    scenes = [scene for actor in actors for scene in knock_over(stage, teller, actor)]
    teller.plain("\n" + table([HEAD, *(scene.cells() for scene in scenes)]))
    teller.plain(f"\n{LEGEND}")
    bad = [scene for scene in scenes if scene.problems]
    teller.plain(f"\n{len(scenes) - len(bad)} of {len(scenes)} faults were handled as documented")
    return not bad


def knock_over(stage: Stage, teller: Teller, actor: Actor) -> list[Scene]:
    """All knocks on one server."""
    scenes = []
    for fault, knock in KNOCKS:
        teller.title(f"{actor.title}: {fault}")
        client = Client(actor.port, lambda words: teller.say("client", words))
        scene = Scene(stage, teller, client, actor, stage.latest(actor.name) + 1, fault)
        client.start()
        try:
            stage.wait(partial(client.since, 0.0), 5.0, "the client's first answer")
            knock(scene)
        except RuntimeError as error:
            scene.problems.append(str(error))
        finally:
            client.end()
        teller.verdict(scene.problems)
        scenes.append(scene)
        if scene.problems:
            actor.mend()
        stage.do("clear", actor.name)
        stage.wait_up(actor.name)
    return scenes


def main(arguments: list[str]) -> int:
    if arguments:
        sys.stderr.write((__doc__ or "").partition("\n\n")[2])
        return 2

    def end(number: int, _frame: object) -> None:
        raise Ended(number)

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if not become_subreaper():
        sys.stderr.write("this kernel has no child subreaper; servers that lose their parent could be left running\n")
    began, teller, stage = time.monotonic(), Teller(), None
    try:
        stage = Stage(KOBOSHI, lambda line: teller.say("koboshi", words_of(line)))
        good = play(stage, teller)
        teller.plain(f"in {time.monotonic() - began:.0f} s")
    except RuntimeError as error:
        teller.plain(f"the demonstration broke off: {error}")
        return 1
    except Ended as ended:
        return 128 + int(ended.args[0])
    finally:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        end_all(0.0)
        if stage is not None:
            stage.clear()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
