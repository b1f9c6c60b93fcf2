"""Starting a server.

Nothing stands between the call and the server's own start: the configuration is read again, words are found and old
logs are looked at while it boots (:mod:`resource_agents.booting`). A start is idempotent: a running server is adopted
as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ocf.faults import Fault, Kind, unknown
from resource_agents import leftovers, mounts
from resource_agents.booting import Boot, Started, remember, taken
from resource_agents.cgroups import Cgroup
from resource_agents.families import Remembered, find_main, layout_of, members, strangers
from resource_agents.listeners import listening, on
from resource_agents.logs import Log
from resource_agents.patience import Cancelled, Patience
from resource_agents.processes import Identity, alive, recently
from resource_agents.server import Server
from resource_agents.spawning import spawn
from resource_agents.stopping import stop


def start(
    make: Callable[[], Server],
    server: Server,
    remembered: Remembered | None,
    group: Cgroup | None,
    output: Path,
    patience: Patience,
    swept: bool = False,
    launched: Callable[[Remembered], None] = lambda _: None,
) -> Started:
    """Start it, or adopt it. ``make`` reads the configuration anew; ``swept``: a stop has just ended what was left.

    ``launched`` gets what was spawned before anything is waited for: whoever stops it meanwhile must know of it.
    """
    notes: tuple[str, ...] = ()
    if not swept:
        main = find_main(server, remembered, None if remembered else recently())
        if main is not None:
            kept = remember(main, remembered, grouped=bool(group and main.pid in group.members()))
            adopted = replace(Boot(make(), kept, group, patience, output).wait(), adopted=True)
            if adopted.fault is None or alive(main.identity):
                return adopted  # else it was on its way out: nothing that could be adopted
        if _may_have_left_something(server, remembered, group) and members(server, remembered, group):
            fault, notes = stop(server, remembered, group, patience, gentle=False)
            if fault is not None:
                return Started(fault, remembered, notes=notes)
    layout = layout_of(server)
    if not swept:
        notes += leftovers.remove(server, layout, ())
    before = leftovers.semaphore_sets() if layout.semaphores else []
    log = Log(layout.error_log)
    made = group if group is not None and group.make() else None
    inside = made is not None and bool(patience.mandate or server.forks)
    try:
        child = spawn(server.start_command(), output, made if inside else None, patience.mandate)
    except OSError as error:
        return Started(_not_startable(server, error), remembered, notes=notes)
    kept = Remembered(child, child.pid, inside)
    launched(kept)
    boot = None
    try:
        taking_in = None if made is None or inside else _TakingIn(made, child)
        boot = Boot(make(), kept, group, patience, output, log)
        started = boot.wait()
    except Exception as error:  # called off, or whatever else: what was spawned is there
        words = "was called off" if isinstance(error, Cancelled) else f"broke off: {type(error).__name__}: {error}"
        return Started(unknown(f"start {words}", Kind.OURS), boot.kept if boot else kept, notes=notes, server=server)
    if taking_in is not None and started.remembered is not None:
        started = replace(started, remembered=replace(started.remembered, grouped=taking_in.done()))
    if started.fault is None and started.remembered is not None and layout.semaphores:
        sets = leftovers.made_since(before, layout)
        started = replace(started, remembered=replace(started.remembered, semaphores=sets))
    return replace(started, notes=notes + started.notes)


def _may_have_left_something(server: Server, remembered: Remembered | None, group: Cgroup | None) -> bool:
    """Whether it is worth a look at all processes: cheap signs first."""
    if remembered is not None or (group is not None and group.populated()):
        return True
    return bool(on(layout_of(server).addresses, listening())) or type(server).claims is not Server.claims


def obstacle(server: Server, remembered: Remembered | None, group: Cgroup | None) -> Fault | None:
    """What would make a start fail: a read-only file system, or who else holds an address; None: its way is free."""
    fault = mounts.read_only(mounts.real(layout_of(server).writes))
    if fault is not None:
        return replace(fault, reason=f"it cannot be started: {fault.reason}")
    if not on(layout_of(server).addresses, listening()):
        return None
    others = strangers(server, members(server, remembered, group))
    return taken(server, others[0], "it cannot be started", "") if others else None


class _TakingIn:
    """Takes a foreground server into its control group while it boots: the move must not delay it.

    Where a mandate decides, or where the server forks away from us, it joins by itself before it becomes the server.
    """

    def __init__(self, group: Cgroup, child: Identity) -> None:
        self._complete = False
        self._thread = threading.Thread(target=self._run, args=(group, child.pid), name="cgroup", daemon=True)
        self._thread.start()

    def done(self) -> bool:
        """Whether the whole family is in the group; waits for the move that is under way."""
        self._thread.join(2.0)
        return self._complete

    def _run(self, group: Cgroup, pid: int) -> None:
        self._complete = group.take_in(pid)


def _not_startable(server: Server, error: OSError) -> Fault:
    return Fault("not-startable", Kind.HOST, f"{server.binary} could not be started: {error}", str(error))
