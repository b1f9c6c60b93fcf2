"""PID 1 of a case's namespaces: furnish them, play one case, tell how it went, and take everything along.

``python -m cluster_glue.ocf_check.inside LIFELINE`` reads a job (JSON) from its standard input and writes one JSON
object to its standard output. When it ends, for whatever reason, the kernel kills all that lives in the PID namespace;
it also ends when the descriptor LIFELINE reaches its end, that is, when whoever started the run is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from typing import Any

from cluster_glue.ocf_check.agent import Subject
from cluster_glue.ocf_check.furnish import furnish
from cluster_glue.ocf_check.registry import Failed, Skipped, every_case
from cluster_glue.ocf_check.stage import Stage


def main() -> None:
    lifeline = int(sys.argv[1])
    os.set_inheritable(lifeline, False)
    job = json.load(sys.stdin)
    try:
        layers = furnish()
    except OSError as error:
        _tell({"obstacle": str(error)})
        return
    if not job["case"]:
        _tell({"obstacle": ""})
        return
    case = every_case()[job["case"]]
    player = os.fork()
    if player == 0:
        os.close(lifeline)
        os.setsid()
        _tell(_play(Stage(Subject(**job["subject"]), layers), case.play))
        os._exit(0)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    if case.reaps:
        while os.wait()[0] != player:
            pass
    else:
        os.waitpid(player, 0)
    os._exit(0)


def _play(stage: Stage, play: Any) -> dict[str, Any]:
    began = time.monotonic()
    try:
        verdict, seen = "ok", play(stage)
    except Failed as failed:
        verdict, seen = "failed", str(failed)
    except Skipped as skipped:
        verdict, seen = "skipped", str(skipped)
    except Exception:
        verdict, seen = "failed", "the kit itself failed: " + traceback.format_exc(limit=-4)
    return {"verdict": verdict, "seen": seen, "actions": stage.actions, "seconds": time.monotonic() - began}


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)


def _tell(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
