"""Running a clusterware's command lines: with a deadline, again while that may help, beside the loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import tenacity

from cluster_glue.connectors.clusterware import Clusterware, Request, Subject
from ocf.programs import PLAIN_ENVIRONMENT, Finished, run

T = TypeVar("T")

#: Directories that are searched for the cluster's commands before all others.
PATH_VARIABLE: Final = "KOBOSHI_CLUSTER_PATH"


def problem_of(finished: Finished) -> str:
    """Why a command did not do what it was told, in one line."""
    return finished.problem or " ".join(finished.output.split()) or f"exit status {finished.status}"


def environment(ware: Clusterware) -> dict[str, str]:
    """What the cluster's commands get: nothing but where programs are."""
    first = [place for place in os.environ.get(PATH_VARIABLE, "").split(":") if place]
    path = ":".join([*first, PLAIN_ENVIRONMENT["PATH"], *ware.places])
    return {**PLAIN_ENVIRONMENT, "PATH": path}


def absent(ware: Clusterware, subject: Subject) -> str:
    """Why the clusterware cannot even be asked: its command is not on this machine. Empty: it is, or none is needed."""
    question = ware.question(subject)
    path = environment(ware)["PATH"]
    if not question or shutil.which(question[0], path=path):
        return ""
    return f"{question[0]} is not found in {path}: {ware.title} cannot be asked, so that nothing is repaired here"


def asked(request: Request, ware: Clusterware) -> Finished:
    """Run a command of the clusterware; one that failed for a moment's reason is repeated while there is time."""
    end = time.monotonic() + request.timeout
    env = environment(ware)

    def once() -> Finished:
        return run(request.argv, max(0.1, end - time.monotonic()), env)

    if not request.again:
        return once()
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda finished: finished.status not in (0, None)),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=0.5),
        stop=tenacity.stop_after_delay(request.timeout * 0.7),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else once(),
    )
    return retrying(once)


async def aside(work: Callable[[], T]) -> T:
    """The result of ``work``, done in a thread that holds up neither the loop nor the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def do() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed: we are going
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=do, name="cluster", daemon=True).start()
    return await future
