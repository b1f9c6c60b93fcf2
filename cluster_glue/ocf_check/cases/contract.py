"""The contract itself: actions, codes, idempotence, time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cluster_glue.ocf_check import execd
from cluster_glue.ocf_check.agent import programs_of, read_declared
from cluster_glue.ocf_check.registry import Failed, Skipped, case
from cluster_glue.ocf_check.stage import Stage
from ocf.codes import OCF_ERR_INSTALLED, OCF_ERR_UNIMPLEMENTED, OCF_NOT_RUNNING, OCF_SUCCESS

#: Programs that also run the agent: hiding one would test nothing.
INTERPRETERS = ("bash", "busybox", "dash", "java", "perl", "python", "ruby", "sh", "sleep")

#: The shortest time (seconds) that a stop is given: the least that OCF's developer guide lets an agent advise.
SHORTEST = 10.0


@case("an unknown action gives 3")
def unknown_action(stage: Stage) -> str:
    ran = stage.must(stage.run("koboshi-no-such-action"), OCF_ERR_UNIMPLEMENTED)
    return f"{ran.rc}"


@case("meta-data is good XML for user nobody, with nothing but OCF_ROOT in the environment")
def meta_data(stage: Stage) -> str:
    path, timeout = stage.subject.path, stage.subject.timeout
    ran = execd.run(path, "meta-data", {"OCF_ROOT": stage.subject.root}, timeout, user="nobody")
    stage.must(ran, OCF_SUCCESS)
    try:
        declared = read_declared(ran.stdout)
    except ValueError as error:
        raise Failed(str(error)) from None
    if declared.name != stage.subject.type:
        raise Failed(f"the meta-data is that of {declared.name!r}")
    if missing := {"start", "stop", "monitor", "meta-data"} - declared.actions:
        raise Failed(f"the meta-data lacks the action {', '.join(sorted(missing))}")
    bare = execd.run(path, "meta-data", {}, timeout, user="nobody")
    return (
        "also without OCF_ROOT" if bare.rc == OCF_SUCCESS and bare.stdout == ran.stdout else "but not without OCF_ROOT"
    )


@case("start of a started resource gives 0 and leaves it alone")
def start_twice(stage: Stage) -> str:
    first = stage.start()
    second = stage.start()
    if first.main and second.main and first.main.identity != second.main.identity:
        raise Failed(f"the second start replaced the main process {first.main.pid} by {second.main.pid}")
    return "same main process" if first.main else "no process to compare"


@case("stop of a stopped resource gives 0, started before or not")
def stop_twice(stage: Stage) -> str:
    stage.stop()
    stage.start()
    stage.stop()
    stage.stop()
    return "nothing left"


@case("monitor gives 7 before start, 0 after it, and 7 after stop")
def monitor_follows(stage: Stage) -> str:
    stage.must(stage.probe(), OCF_NOT_RUNNING)
    stage.start()
    stage.must(stage.probe(), OCF_SUCCESS)
    stage.must(stage.monitor(), OCF_SUCCESS)
    stage.stop()
    stage.not_running()
    return "probe and recurring monitor agree"


@case("a probe without the software gives 7 or 5, silently")
def probe_without_software(stage: Stage) -> str:
    programs = programs_of(stage.subject, stage.declared)
    missing = {name: "/nonexistent" + value for name, value in programs.items()}
    tries = [stage.run("monitor", extra={"OCF_TESTER_FAIL_HAVE_BINARY": "1"})]
    if missing:
        tries.append(stage.run("monitor", parameters={**stage.subject.parameters, **missing}))
    for ran in tries:
        stage.must(ran, OCF_NOT_RUNNING, OCF_ERR_INSTALLED)
        if ran.noise:
            raise Failed(f"the probe is not silent: {ran.noise[-1]}")
    return f"without {', '.join(missing)} too" if missing else "no parameter names a program"


@case("stop gives 0 and leaves nothing when the server's program is gone from the disk")
def stop_without_software(stage: Stage) -> str:
    service, main = stage.start_main()
    program = main.exe.rpartition("/")[2]
    if not main.exe or program.startswith(INTERPRETERS):
        raise Skipped(f"the main process runs {program or 'a program that is not to be seen'}, which others need too")
    for path in {process.exe for process in service.processes if process.exe == main.exe}:
        stage.remove(path)
    stage.stop()
    return f"without {main.exe}"


@case("two starts at the same time leave one server, which monitor and stop know")
def parallel_start(stage: Stage) -> str:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: stage.run("start"), range(2)))
    if not any(ran.rc == OCF_SUCCESS for ran in both):
        raise Failed("neither start gave 0")
    for ran in both:
        if ran.rc is None:
            raise Failed("a start did not end in time")
        if ran.rc != OCF_SUCCESS and not ran.reasons:
            raise Failed(f"a start gave {ran.rc} without an exit reason")
    mains = stage.settled().mains
    if len(mains) > 1:
        raise Failed(f"{len(mains)} main processes: {', '.join(str(main.pid) for main in mains)}")
    stage.must(stage.monitor(), OCF_SUCCESS)
    stage.stop()
    return "one server"


@case("reload of a stopped resource starts nothing")
def reload_stopped(stage: Stage) -> str:
    actions = sorted({"reload", "reload-agent"} & stage.declared.actions)
    if not actions:
        raise Skipped("the agent declares neither reload nor reload-agent")
    for action in actions:
        stage.run(action)
        there = stage.settled()
        if not there.empty:
            raise Failed(f"{action} of a stopped resource started {there}")
        stage.must(stage.probe(), OCF_NOT_RUNNING)
    return ", ".join(actions)


@case("stop of a hung server ends well inside a shorter CRM_meta_timeout")
def stop_plans(stage: Stage) -> str:
    service, _ = stage.start_main()
    stage.freeze(service.processes)
    shorter = max(SHORTEST, stage.subject.timeout / 2)
    stage.stop(timeout=shorter)
    return f"with a timeout of {shorter:g} s"
