"""What an action leaves behind: descriptors, process groups, files, words."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cluster_glue.ocf_check.execd import Ran
from cluster_glue.ocf_check.furnish import TEMPORARY
from cluster_glue.ocf_check.registry import Failed, Skipped, case
from cluster_glue.ocf_check.service import holders, name_of
from cluster_glue.ocf_check.stage import Stage
from ocf.codes import OCF_SUCCESS


@case("nothing that start leaves running holds the agent's stdout or stderr open")
def descriptors_closed(stage: Stage) -> str:
    ran = stage.must(stage.run("start"), OCF_SUCCESS)
    there = stage.settled()
    if not there.processes and not there.helpers:
        raise Skipped("start leaves no process behind")
    if not stage.wait(lambda: not holders(ran.pipes), 1.0):
        held = ", ".join(f"{process.pid} ({name_of(process)})" for process in holders(ran.pipes))
        raise Failed(f"the agent's output is held open by {held}")
    return "both are closed"


@case("nothing that start leaves running is in the agent's process group or session")
def process_group_left(stage: Stage) -> str:
    ran = stage.must(stage.run("start"), OCF_SUCCESS)
    there = stage.settled()
    everybody = (*there.processes, *there.helpers)
    if not everybody:
        raise Skipped("start leaves no process behind")
    for process in everybody:
        if process.pgid == ran.pid:
            raise Failed(f"{process.pid} ({name_of(process)}) is in the agent's process group: a timeout would kill it")
        if process.sid == os.getsid(0):
            raise Failed(f"{process.pid} ({name_of(process)}) is in the session that the agent was started in")
    return f"{len(everybody)} processes"


@case("no action leaves files in /tmp, /var/tmp or /dev/shm")
def temporary_files(stage: Stage) -> str:
    before = set(_temporary(stage))
    stage.run("validate-all")
    stage.probe()
    stage.start()
    stage.monitor()
    stage.stop()
    if left := sorted(set(_temporary(stage)) - before):
        raise Failed(f"left behind: {', '.join(left)}")
    return "none"


def _temporary(stage: Stage) -> Iterator[str]:
    """Temporary files written by now, besides those of the instance itself, which may live there."""
    own = tuple({os.path.dirname(value) + "/" for value in stage.subject.parameters.values() if value.startswith("/")})
    own = tuple(place for place in own if place.rstrip("/") not in TEMPORARY) + tuple(stage.subject.parameters.values())
    for path in stage.layers.written():
        if path.startswith(tuple(f"{place}/" for place in TEMPORARY)) and not path.startswith(tuple(filter(None, own))):
            yield path


@case("a start that fails says why: one exit reason, or the same one again")
def exit_reason(stage: Stage) -> str:
    for ran in _failures(stage):
        if ran.rc == OCF_SUCCESS:
            continue
        if ran.rc is None:
            raise Failed("a start that cannot work did not end in time")
        if not ran.reasons or not ran.reasons[-1]:
            raise Failed(f"start gave {ran.rc} without an exit reason")
        if len(set(ran.reasons)) > 1:
            raise Failed(f"only the last of {len(ran.reasons)} exit reasons reaches people: {ran.reasons[-1]!r}")
        return ran.reasons[-1]
    raise Skipped("no way was found to make start fail")


def _failures(stage: Stage) -> Iterator[Ran]:
    try:
        stage.break_configuration()
        yield stage.run("start")
        stage.remove(str(stage.configuration))
        yield stage.run("start")
    except Skipped:
        pass
    yield stage.run("start", extra={"OCF_TESTER_FAIL_HAVE_BINARY": "1"})
