"""Pid files lie: stale, empty, garbage, gone."""

from __future__ import annotations

from pathlib import Path

from cluster_glue.ocf_check.registry import Failed, case
from cluster_glue.ocf_check.stage import Stage
from resource_agents.processes import Process, alive


def _stopped(stage: Stage) -> Path:
    """The pid file of a service that ran a moment ago."""
    _, main = stage.start_main()
    pidfile = stage.pidfile(main)
    stage.stop()
    return pidfile


def _write(pidfile: Path, text: str) -> None:
    pidfile.parent.mkdir(parents=True, exist_ok=True)
    pidfile.write_text(text)


def _unharmed(bystander: Process) -> str:
    if not alive(bystander.identity):
        raise Failed("the bystander, a sleep(1) that the stale pid file named, was killed")
    return "the bystander lives"


@case("a stale pid file naming a bystander: monitor gives 7, stop gives 0, and the bystander lives")
def pidfile_names_bystander(stage: Stage) -> str:
    pidfile = _stopped(stage)
    bystander = stage.bystander()
    _write(pidfile, f"{bystander.pid}\n")
    try:
        stage.not_running()
    except Failed as failed:
        stage.run("stop")
        raise Failed(f"{failed}; then, at stop, {_fate(bystander)}") from None
    stage.stop()
    return _unharmed(bystander)


def _fate(bystander: Process) -> str:
    return "the bystander survived" if alive(bystander.identity) else "the bystander was killed"


@case("a stale pid file naming a bystander does not keep start from starting")
def pidfile_blocks_start(stage: Stage) -> str:
    pidfile = _stopped(stage)
    bystander = stage.bystander()
    _write(pidfile, f"{bystander.pid}\n")
    if stage.start().main is None:
        raise Failed("start gave 0, but started nothing")
    stage.must(stage.monitor(), 0)
    stage.stop()
    return _unharmed(bystander)


@case("an empty pid file, or one with garbage: monitor gives 7, stop 0, and start works")
def pidfile_garbage(stage: Stage) -> str:
    pidfile = _stopped(stage)
    for text in ("", "-1\n", "not a pid\n"):
        _write(pidfile, text)
        stage.not_running()
        stage.stop()
    _write(pidfile, "not a pid\n")
    if stage.start().main is None:
        raise Failed("start gave 0, but started nothing")
    return "nothing in it, -1, and words"


@case("stop gives 0 and leaves nothing when the pid file of a running server is empty")
def pidfile_emptied(stage: Stage) -> str:
    _, main = stage.start_main()
    _write(stage.pidfile(main), "")
    stage.stop()
    return "nothing left"


@case("stop gives 0 and leaves nothing when the pid file of a running server is gone")
def pidfile_removed(stage: Stage) -> str:
    _, main = stage.start_main()
    stage.pidfile(main).unlink()
    stage.stop()
    return "nothing left"
