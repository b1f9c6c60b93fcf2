"""The server's own configuration test, and a reload that dares nothing without it."""

from __future__ import annotations

import signal

from ocf.faults import Fault, Kind, unknown
from ocf.programs import run
from resource_agents.families import Remembered, find_main
from resource_agents.layouts import ConfigurationUnreadable
from resource_agents.patience import Patience
from resource_agents.processes import Identity, alive, handles, send
from resource_agents.server import Server

#: Seconds between two looks at whether a process has its signal handlers.
GLANCE = 0.02


def check(server: Server, patience: Patience) -> Fault | None:
    """The configuration fault that the server's own test finds; None when it finds none, or has no test."""
    command = server.check_command()
    if command is None:
        try:
            _ = server.layout
        except ConfigurationUnreadable as unreadable:
            return unreadable.fault
        return None
    finished = run(command.argv, patience.left(), command.env, user=command.user, cwd=command.cwd)
    if finished.ok:
        return None
    if finished.status is None:
        return unknown(f"the configuration test could not be made: {finished.problem}", Kind.OURS)
    lines = [line for line in finished.output.splitlines() if line.strip()]
    words = "the configuration test failed"
    last = lines[-1] if lines else f"exit status {finished.status}"
    return server.explain(lines, words) or Fault("config-error", Kind.CONFIGURATION, f"{words}: {last}", last)


def reload(server: Server, remembered: Remembered | None, patience: Patience) -> Fault | None:
    """Make the running server read its configuration anew, when that is sound; what runs is never put at risk."""
    command, number = server.reload_command(), server.reloads_with
    if command is None and number is None:
        return unknown(f"{server.title} has no reload", Kind.OURS)
    fault = check(server, patience)
    if fault is not None:
        return fault
    main = find_main(server, remembered)
    if main is None:
        return unknown("it does not run")
    if command is not None:
        finished = run(command.argv, patience.left(), command.env, user=command.user, cwd=command.cwd)
        return None if finished.ok else unknown(f"reload failed: {finished.problem or finished.output.strip()[-200:]}")
    return _signal(server, main.identity, int(number or 0), patience)


def _signal(server: Server, main: Identity, number: int, patience: Patience) -> Fault | None:
    """Send the reload signal as soon as the main process has a handler for it.

    It can serve before: HAProxy's master ignores SIGUSR2 until it has executed itself anew after it made its worker
    (measured with 2.6), and a program without a handler would be ended by the signal.
    """
    name = signal.Signals(number).name
    while not handles(main.pid, number):
        if not alive(main):
            return unknown("it ended before it could be reloaded")
        if patience.left() <= 0:
            return unknown(f"{server.title} is not reloaded: pid {main.pid} has no handler for {name}", Kind.OURS)
        patience.pause(GLANCE)
    return None if send(main, number) else unknown("it ended while it was reloaded")
