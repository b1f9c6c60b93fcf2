"""Processes that live and do nothing: SIGSTOP stands for every kind of hang."""

from __future__ import annotations

from cluster_glue.ocf_check.registry import Skipped, case
from cluster_glue.ocf_check.service import Service
from cluster_glue.ocf_check.stage import Stage
from resource_agents.processes import Process


@case("monitor ends in time when the main process hangs, and says 0 only while the server answers")
def frozen_main_monitor(stage: Stage) -> str:
    service, main = stage.start_main()
    return _watch(stage, service, (main,))


@case("monitor ends in time when the workers hang, and says 0 only while the server answers")
def frozen_workers_monitor(stage: Stage) -> str:
    service, _ = stage.start_main()
    if not service.workers:
        raise Skipped("the server has no workers")
    return _watch(stage, service, service.workers)


def _watch(stage: Stage, service: Service, victims: tuple[Process, ...]) -> str:
    levels = stage.levels()
    answering = [listener for listener in service.listeners if stage.answering([listener])]
    stage.freeze(victims)
    return stage.noticed(
        levels, lambda: stage.repaired(service) or ("it still answers" if stage.answering(answering) else "")
    )


@case("stop gives 0 in time and leaves nothing when the main process hangs")
def frozen_main_stop(stage: Stage) -> str:
    _, main = stage.start_main()
    stage.freeze([main])
    stage.stop()
    return "nothing left"


@case("stop gives 0 in time and leaves nothing when the workers hang")
def frozen_workers_stop(stage: Stage) -> str:
    service, _ = stage.start_main()
    if not service.workers:
        raise Skipped("the server has no workers")
    stage.freeze(service.workers)
    stage.stop()
    return "nothing left"


@case("stop gives 0 in time and leaves nothing when all processes hang")
def frozen_all_stop(stage: Stage) -> str:
    service, _ = stage.start_main()
    stage.freeze(service.processes)
    stage.stop()
    return "nothing left"
