"""Processes that died: what monitor says, and whether start and stop get over it."""

from __future__ import annotations

from cluster_glue.ocf_check.registry import Failed, Skipped, case
from cluster_glue.ocf_check.service import Service
from cluster_glue.ocf_check.stage import Stage
from ocf.codes import OCF_SUCCESS
from resource_agents.processes import Process, alive


@case("after kill -9 of the main process monitor does not say 0, and start recovers or says why not")
def kill_main(stage: Stage) -> str:
    before, main = stage.start_main()
    levels = stage.levels()
    stage.kill([main])
    seen = stage.noticed(levels, lambda: stage.repaired(before))
    ran = stage.run("start")
    if ran.rc is None:
        raise Failed(f"{seen}; start did not end in time")
    if ran.rc != OCF_SUCCESS:
        if not ran.reasons:
            raise Failed(f"{seen}; start gave {ran.rc} without an exit reason")
        return f"{seen}; start says {ran.reasons[-1]}"
    _recovered(stage, before)
    return f"{seen}; start recovers"


@case("after kill -9 of all processes monitor does not say 0, stop gives 0 and start works")
def kill_all(stage: Stage) -> str:
    return _die_and_return(stage)


@case("the same when PID 1 does not reap: a zombie is dead", reaps=False)
def zombies(stage: Stage) -> str:
    return _die_and_return(stage)


def _die_and_return(stage: Stage) -> str:
    before, _ = stage.start_main()
    levels = stage.levels()
    stage.kill(before.processes)
    seen = stage.noticed(levels, lambda: stage.repaired(before))
    stage.stop()
    stage.start()
    _recovered(stage, before)
    return seen


@case("workers that outlive their main process do not survive stop, and start works afterwards")
def orphans(stage: Stage) -> str:
    before, _ = orphaned(stage)
    stage.stop()
    stage.start()
    _recovered(stage, before)
    return "no listener left, and a new server"


def orphaned(stage: Stage) -> tuple[Service, tuple[Process, ...]]:
    """Start and kill the main process only; the orphans. Skips the case when there are none."""
    before, main = stage.start_main()
    if not before.workers:
        raise Skipped("the server has no workers")
    stage.kill([main])
    left = tuple(worker for worker in before.workers if alive(worker.identity))
    if not left and not stage.service().helpers:
        raise Skipped("no worker outlives the main process")
    return before, left


def _recovered(stage: Stage, before: Service) -> None:
    if not stage.is_fresh(before):
        raise Failed(f"start gave 0, but there is no new server: {stage.service()}")
    stage.must(stage.monitor(), OCF_SUCCESS)
