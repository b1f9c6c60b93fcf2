"""Play cases, each in namespaces of its own, and leave nothing behind.

``unshare --kill-child`` kills PID 1 of the namespace, and with it everything in it, when we end the case; the lifeline,
a pipe whose other end only we hold, ends it when we are gone without having said so.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cluster_glue
from cluster_glue.ocf_check.agent import Subject
from cluster_glue.ocf_check.registry import Case, Outcome
from ocf.programs import PLAIN_ENVIRONMENT

UNSHARE = ("unshare", "--pid", "--mount", "--net", "--ipc", "--uts", "--fork", "--mount-proc", "--kill-child")

#: A case that has not ended after this many times the time for one action never will.
ACTIONS_PER_CASE = 15


class Unable(Exception):
    """Cases cannot be played on this machine or by this user; the message says why."""


async def play_all(
    subject: Subject, cases: Iterable[Case], jobs: int, tell: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Play cases, at most ``jobs`` at a time; ``tell`` hears of each as it ends. Raises :class:`Unable`.

    Cancelled, it ends all namespaces first.
    """
    await _demand_means()
    turns = asyncio.Semaphore(jobs)

    async def in_turn(case: Case) -> Outcome:
        async with turns:
            outcome = await play(subject, case)
        tell(outcome)
        return outcome

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(in_turn(case)) for case in cases]
    return [task.result() for task in tasks]


async def play(subject: Subject, case: Case) -> Outcome:
    """Play one case to its verdict."""
    deadline = ACTIONS_PER_CASE * subject.timeout
    result, problem = await _enter({"case": case.name, "subject": asdict(subject)}, deadline)
    if problem or "verdict" not in result:
        said = problem or result.get("obstacle") or "no result"
        return Outcome(case.name, case.promise, "failed", f"the case was cut short: {said}", 0.0)
    seen = result["seen"] if result["verdict"] == "skipped" else _story(result["seen"], result["actions"])
    return Outcome(case.name, case.promise, result["verdict"], seen, result["seconds"])


def _story(seen: str, actions: list[str]) -> str:
    return f"{seen} [{', '.join(actions)}]" if actions else seen


async def _demand_means() -> None:
    if os.geteuid() != 0:
        raise Unable("ocf-check needs root: each case runs in PID, mount and network namespaces of its own")
    result, problem = await _enter({"case": ""}, 30)
    if problem or result.get("obstacle"):
        raise Unable(f"cannot make namespaces to play in: {problem or result['obstacle']}")


async def _enter(job: dict[str, Any], deadline: float) -> tuple[dict[str, Any], str]:
    """Run a job as PID 1 of fresh namespaces; its result, and what went wrong instead."""
    theirs, ours = os.pipe()
    argv = [*UNSHARE, sys.executable, "-P", "-s", "-m", "cluster_glue.ocf_check.inside", str(theirs)]
    environment = {**PLAIN_ENVIRONMENT, "PYTHONPATH": str(Path(cluster_glue.__file__).parent.parent)}
    process = None
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(theirs,),
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        async with asyncio.timeout(deadline):
            output, errors = await process.communicate(json.dumps(job).encode())
    except FileNotFoundError:
        return {}, "there is no unshare(1) here (package util-linux)"
    except TimeoutError:
        return {}, f"no end after {deadline:g} s"
    finally:
        os.close(theirs)
        os.close(ours)
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        return json.loads(output), ""
    except ValueError:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["everything in its namespace was killed"]
        return {}, last[0]
