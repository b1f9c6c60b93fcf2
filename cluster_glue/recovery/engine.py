"""The engine: events in, ``step``, state saved, orders out. One loop for any number of resources.

Everything that decides is in :mod:`cluster_glue.recovery.machine`; everything that acts on servers is in
:mod:`cluster_glue.recovery.executor`; sensors live behind :class:`~cluster_glue.recovery.watch.Observer`. What is left
here is the order of things: a state is saved before the orders that it leads to are carried out, so that a kill at any
moment repeats an order at the worst, and orders are idempotent.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

from cluster_glue.config import ResourceConfig
from cluster_glue.recovery.executor import Ended, Executor
from cluster_glue.recovery.flag import heed
from cluster_glue.recovery.machine import next_deadline, resume, step
from cluster_glue.recovery.model import (
    IN_FLIGHT,
    Ask,
    Cancel,
    Done,
    Escalate,
    Event,
    Found,
    HandedOver,
    Order,
    Permitted,
    Phase,
    Run,
    StartAsked,
    State,
    Tell,
    Ticked,
)  # fmt: skip
from cluster_glue.recovery.store import Store
from cluster_glue.recovery.watch import Connector, Observer, Watch
from resource_agents.cgroups import place
from resource_agents.families import Remembered, find_main
from resource_agents.server import Server, load

#: Seconds after which an action that could not be begun is tried again.
AGAIN = 1.0

#: What a note of an action becomes, by its first word.
NOTES = {"orphans": "orphans-ended", "worker": "worker-replaced"}


def now() -> float:
    """Seconds since boot, suspended time included; never jumps with the wall clock (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Engine:
    """All resources of this machine. ``tell`` gets every word that is said, with the resource's name."""

    def __init__(self, runtime: Path, tag: str, tell: Callable[[str, Tell], None], connector: Connector) -> None:
        self.watches: dict[str, Watch] = {}
        self.observers: list[Observer] = []
        self._runtime = runtime
        self._tag = tag
        self._tell = tell
        self._connector = connector
        self._store = Store(runtime / "resources")
        self._events: asyncio.Queue[tuple[str, Event | Ended]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the loop ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take events until cancelled."""
        while True:
            name, event = await self._events.get()
            watch = self.watches.get(name)
            if watch is not None:
                self.turn(watch, event)

    def turn(self, watch: Watch, event: Event | Ended) -> None:
        """One event: step, save, orders. A resource whose mandate was taken away is let go instead."""
        if watch.mandate and not os.path.exists(watch.mandate):
            self.let_go(watch)
            return
        if isinstance(event, Ended):
            event = self._take_over(watch, event)
        flagged = None if watch.config.policy.lease else heed(watch.config.glue.maintenance_flag, watch.state, now())
        if flagged is not None:
            self._step(watch, flagged)
        self._step(watch, event)

    def _step(self, watch: Watch, event: Event) -> None:
        before = watch.state
        watch.state, orders = step(before, event, now(), watch.config.policy)
        self._save_and_obey(watch, before, orders)

    def post(self, name: str, event: Event) -> None:
        """Put an event in the queue; from the loop's own thread."""
        self._events.put_nowait((name, event))

    def _save_and_obey(self, watch: Watch, before: State, orders: tuple[Order, ...]) -> None:
        if watch.state != before or orders:
            try:
                self._store.save(watch.name, watch.state, watch.remembered)
            except OSError as error:
                self._tell(
                    watch.name, Tell("state-lost", f"the state could not be saved: {error}", watch.state.incident)
                )
        for order in orders:
            self._obey(watch, order)
        for observer in self.observers:
            observer.attend(watch)
        self._wind(watch)
        watch.turned.set()
        watch.turned = asyncio.Event()

    def _obey(self, watch: Watch, order: Order) -> None:
        match order:
            case Run():
                self._begin(watch, order)
            case Cancel(number):
                watch.executor.cancel(number)
            case Ask(number, timeout):
                self._spawn(self._ask(watch, number, timeout))
            case Escalate():
                self._spawn(self._hand_over(watch, order))
            case Tell():
                self._tell(watch.name, order)

    def _begin(self, watch: Watch, order: Run, again: bool = False) -> None:
        """Begin an action, or try it again soon where a thread or a descriptor is not to be had: others may end."""
        state = watch.state
        wanted = IN_FLIGHT.get(state.phase) is order.action and state.action == order.number and not state.cancelled
        if self.watches.get(watch.name) is not watch or not wanted:
            return
        try:
            watch.executor.run(order, watch.server, watch.remembered)
        except (OSError, RuntimeError) as error:
            if not again:
                words = f"the {order.action.value} could not be begun, and is tried again: {error}"
                self._tell(watch.name, Tell("postponed", words, state.incident))
            self._loop.call_later(AGAIN, self._begin, watch, order, True)

    # -- resources come and go ---------------------------------------------------------------------------------------

    def knows(self, name: str) -> bool:
        """Whether an earlier daemon left a state of this resource."""
        return self._store.load(name) is not None

    def add(self, config: ResourceConfig, incidents: int, mandate: str = "", spent: tuple[float, ...] = ()) -> None:
        """Begin to watch a resource: take up what an earlier daemon left, or begin anew.

        ``mandate`` is a file: when it is gone, nothing more is done to the resource, and it is watched no longer.
        ``spent`` are the restarts of a budget that outlived a stop.
        """
        group = place(self._tag, config.name)
        server = self._make(config)
        executor = Executor(
            lambda: self._make(config),
            group,
            self._runtime / f"{config.name}.out",
            lambda ended: self._for_the_loop(self._hear, config.name, executor, ended),
            lambda remembered: self._for_the_loop(self._launched, config.name, executor, remembered),
        )
        executor.mandate = mandate
        executor.drain_wait = config.glue.drain_wait
        saved = self._store.load(config.name)
        state, remembered = saved or (State(incidents=incidents, restarts=spent), None)
        watch = self.watches[config.name] = Watch(config, server, executor, group, state, remembered, mandate)
        if saved is None:
            if config.autostart:
                self.post(config.name, StartAsked("the configuration"))
            return
        watch.state, orders = resume(state, now(), config.policy)
        self._save_and_obey(watch, state, orders)
        if not any(isinstance(order, Run | Ask) for order in orders):
            self._look(watch)

    def change(self, config: ResourceConfig) -> None:
        """New parameters for a resource that is watched already; what runs goes on running."""
        watch = self.watches[config.name]
        watch.config, watch.server = config, self._make(config)
        watch.executor.make = lambda: self._make(config)
        watch.executor.drain_wait = config.glue.drain_wait
        for observer in self.observers:
            observer.leave(watch)
            observer.attend(watch)

    def remove(self, name: str, reason: str = "no longer configured; left as it is") -> None:
        """Watch no longer; the server is left as it is."""
        self._leave(self.watches.pop(name))
        self._store.forget(name)
        self._tell(name, Tell("released", reason))

    def let_go(self, watch: Watch) -> None:
        """Somebody else acts on it by now: end what is in flight, and leave what is saved to them as well."""
        if self.watches.get(watch.name) is not watch:
            return
        del self.watches[watch.name]
        watch.executor.cancel(watch.state.action)
        self._leave(watch)
        self._tell(watch.name, Tell("released", "the cluster took it back"))
        watch.turned.set()

    def _leave(self, watch: Watch) -> None:
        if watch.timer is not None:
            watch.timer.cancel()
        for observer in self.observers:
            observer.leave(watch)

    def _look(self, watch: Watch) -> None:
        """Is it there? For a resource whose earlier daemon ended."""
        main = find_main(watch.server, watch.remembered)
        if main is not None and (watch.remembered is None or watch.remembered.main != main.identity):
            watch.remembered = Remembered(main.identity, main.sid if main.sid == main.pid else 0)
        if main is not None:
            self._tell(watch.name, Tell("adopted", f"found running as pid {main.pid}", watch.state.incident))
        self.post(watch.name, Found(main is not None))

    # -- hands ---------------------------------------------------------------------------------------------------------

    def _for_the_loop(self, hear: Callable[..., None], *words: object) -> None:
        """What an executor's thread has to say, for the loop's own thread."""
        with suppress(RuntimeError):  # the loop is closed: we are going
            self._loop.call_soon_threadsafe(hear, *words)

    def _launched(self, name: str, executor: Executor, remembered: Remembered) -> None:
        """Something was spawned: whoever has to stop it has to know it, and be it the next daemon."""
        watch = self.watches.get(name)
        if watch is None or watch.executor is not executor or watch.state.phase is not Phase.STARTING:
            return
        watch.remembered = remembered
        with suppress(OSError):  # told with the next state
            self._store.save(name, watch.state, remembered)

    def _hear(self, name: str, executor: Executor, ended: Ended) -> None:
        """The end of an action; one of a resource that was let go is nobody's, though its name may be watched again."""
        watch = self.watches.get(name)
        if watch is not None and watch.executor is executor:
            self._events.put_nowait((name, ended))

    def _take_over(self, watch: Watch, ended: Ended) -> Done:
        if ended.number == watch.state.action:
            watch.remembered, watch.server = ended.remembered, ended.server
            for note in ended.notes:
                message = NOTES.get(note.split()[0], "leftovers-removed")
                self._tell(watch.name, Tell(message, note, watch.state.incident))
            if ended.adopted and ended.remembered is not None and ended.fault is None:
                detail = f"found running as pid {ended.remembered.main.pid}"
                self._tell(watch.name, Tell("adopted", detail, watch.state.incident))
        return Done(ended.number, ended.fault)

    async def _ask(self, watch: Watch, number: int, timeout: float) -> None:
        try:
            refusal = await asyncio.wait_for(self._connector.permission(watch, timeout), timeout)
        except Exception as error:  # no answer, no action
            refusal = f"the clusterware was not to be asked: {type(error).__name__} {error}".rstrip()
        self.post(watch.name, Permitted(number, refusal))

    async def _hand_over(self, watch: Watch, order: Escalate) -> None:
        await self._connector.escalate(watch, order)
        self.post(watch.name, HandedOver(order.incident))

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wind(self, watch: Watch) -> None:
        """Set the one timer of this resource to the machine's next deadline."""
        if watch.timer is not None:
            watch.timer.cancel()
        due = next_deadline(watch.state)
        watch.timer = (
            None if due is None else self._loop.call_later(max(0.0, due - now()), self.post, watch.name, Ticked())
        )

    @staticmethod
    def _make(config: ResourceConfig) -> Server:
        return load(config.agent)(config.values, config.name)
