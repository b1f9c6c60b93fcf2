"""Configuration that is broken or gone: a matter of this node, and never a reason to leave a server running."""

from __future__ import annotations

from cluster_glue.ocf_check.registry import Failed, case
from cluster_glue.ocf_check.stage import Stage
from ocf.codes import OCF_DEGRADED, OCF_ERR_INSTALLED, OCF_NOT_RUNNING, OCF_SUCCESS


@case("stop gives 0 and leaves nothing when the configuration has been broken meanwhile")
def broken_configuration_stop(stage: Stage) -> str:
    stage.start_main()
    stage.break_configuration()
    stage.stop()
    return "nothing left"


@case("stop gives 0 and leaves nothing when the configuration is gone")
def missing_configuration_stop(stage: Stage) -> str:
    stage.start_main()
    stage.remove(str(stage.configuration))
    stage.stop()
    return "nothing left"


@case("monitor of a running server stays 0 when its configuration has been broken on disk")
def broken_configuration_monitor(stage: Stage) -> str:
    stage.start_main()
    stage.break_configuration()
    ran = stage.must(stage.monitor(), OCF_SUCCESS, OCF_DEGRADED)
    return f"{ran.rc}"


@case("a probe without the configuration gives 7 or 5, silently")
def missing_configuration_probe(stage: Stage) -> str:
    stage.remove(str(stage.configuration))
    ran = stage.must(stage.probe(), OCF_NOT_RUNNING, OCF_ERR_INSTALLED)
    if ran.noise:
        raise Failed(f"the probe is not silent: {ran.noise[-1]}")
    return f"{ran.rc}"


@case("start with a syntax error gives 5, never 6, with an exit reason, and leaves nothing")
def syntax_error_start(stage: Stage) -> str:
    stage.break_configuration()
    ran = stage.must(stage.run("start"), OCF_ERR_INSTALLED)
    if not ran.reasons or not ran.reasons[-1]:
        raise Failed("start gave 5 without an exit reason")
    stage.nothing_left()
    return ran.reasons[-1]
