"""``koboshi run``: the daemon of one machine, put together from its parts.

It ends at once on SIGTERM or SIGINT and leaves the web servers running; it rereads its configuration on SIGHUP and
changes only what changed. Actions that are in flight when it ends are taken up again by the next one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cluster_glue import places
from cluster_glue.answers import Answers
from cluster_glue.config import Config, ConfigErrors, load
from cluster_glue.connectors.standalone import Standalone
from cluster_glue.control import Control
from cluster_glue.herald import Herald
from cluster_glue.journal import Journal
from cluster_glue.messages import SEVERITIES
from cluster_glue.notify import Notifier
from cluster_glue.ocf_service import OcfService
from cluster_glue.recovery.attendance import Sensors
from cluster_glue.recovery.engine import Engine
from cluster_glue.recovery.model import Tell
from cluster_glue.recovery.sensors.death import become_subreaper
from cluster_glue.syslog import Syslog
from resource_agents.cgroups import tag_of


def main(config_path: Path, *, echo: Callable[[str], None]) -> int:
    """Run until told to end. Raises :class:`ConfigErrors` before anything is touched, :class:`places.PlaceError`."""
    config = load(config_path)
    runtime = places.ensure(places.runtime_dir())
    state = places.ensure(places.state_dir())
    os.umask(0o077)
    become_subreaper()
    daemon = Daemon(config_path, config, runtime, state, echo)
    try:
        asyncio.run(daemon.serve())
    finally:
        daemon.close()
    return 0


def release() -> str:
    """This version of koboshi."""
    try:
        return version("koboshi")
    except PackageNotFoundError:
        return "unknown"


class Daemon:
    """The parts, and what joins them."""

    def __init__(self, path: Path, config: Config, runtime: Path, state: Path, echo: Callable[[str], None]) -> None:
        self.path, self.config, self.runtime = path, config, runtime
        self.started = time.time()
        self._notifier = Notifier()
        self._syslog = Syslog(config.settings.syslog, SEVERITIES[config.settings.log_level])
        self._herald = Herald(self._syslog, echo)
        self._journal = Journal(state / "journal.sqlite", self._lost, self._back)
        self._herald.journal = self._journal
        self._end = asyncio.Event()
        self._serving = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.engine: Engine
        self.ocf: OcfService

    async def serve(self) -> None:
        """Watch until told to end."""
        self._loop = loop = asyncio.get_running_loop()
        self.engine = Engine(self.runtime, tag_of(self.runtime), self._herald.tell, Standalone())
        sensors = Sensors(self.engine, self._herald.tell)
        self.ocf = OcfService(self.engine, self.runtime, self._journal.last_incident)
        self.engine.observers += [sensors, self.ocf]
        control = Control(self.runtime / "control.sock", Answers(self).answer)
        await control.start()
        self._serving = True
        for name, resource in self.config.resources.items():
            self.engine.add(resource, self._journal.last_incident(name))
        self.ocf.take_up()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        self.say("daemon-started", f"koboshi {release()} watches {len(self.config.resources)} resources")
        self._notifier.ready(f"watching {len(self.config.resources)} resources")
        work = [loop.create_task(each) for each in (self.engine.run(), sensors.run(), self.ocf.run(), self._live())]
        ending = loop.create_task(self._ended())
        done, _ = await asyncio.wait([*work, ending], return_when=asyncio.FIRST_COMPLETED)
        self._notifier.stopping()
        for task in work:
            task.cancel()
        await control.stop()
        sensors.close()
        for task in done - {ending}:
            task.result()  # a loop that broke is not hidden: the service manager starts us anew

    def reload(self) -> list[str]:
        """Read the configuration anew; the errors, if it is wrong and was left as it is."""
        self._notifier.reloading()
        try:
            config = load(self.path)
        except ConfigErrors as errors:
            self.say("config-refused", str(errors))
            self._notifier.ready("the new configuration is wrong; the old one goes on")
            return str(errors).splitlines()
        old, new = self.config.resources, config.resources
        for name in old.keys() - new.keys():
            self.engine.remove(name)
        for name in new.keys() - old.keys():
            self.engine.add(new[name], self._journal.last_incident(name))
        changed = [name for name in old.keys() & new.keys() if old[name] != new[name]]
        for name in changed:
            self.engine.change(new[name])
        self.config = config
        counts = f"{len(new.keys() - old.keys())} new, {len(changed)} changed, {len(old.keys() - new.keys())} gone"
        self.say("config-reloaded", counts)
        self._notifier.ready(f"watching {len(new)} resources")
        return []

    def say(self, message: str, detail: str) -> None:
        """Say something about koboshi itself."""
        self._herald.tell("", Tell(message, detail))

    def close(self) -> None:
        """Last words."""
        if self._serving:  # a second daemon in one place ends without a word in the first one's journal
            self.say("daemon-ended", "the web servers are left as they are")
        self._journal.close()
        self._syslog.close()

    async def _ended(self) -> None:
        await self._end.wait()

    async def _live(self) -> None:
        """Prove to the service manager that the loop turns."""
        interval = self._notifier.watchdog_interval
        while True:
            self._notifier.watchdog()
            await asyncio.sleep(interval / 3 if interval else 3600)

    def _lost(self, text: str) -> None:
        self._from_thread("journal-lost", text)

    def _back(self, lost: int) -> None:
        self._from_thread("journal-back", f"{lost} entries were lost")

    def _from_thread(self, message: str, detail: str) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.say, message, detail)
