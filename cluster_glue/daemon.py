"""``koboshi run``: the daemon of one machine, put together from its parts.

It ends at once on SIGTERM or SIGINT and leaves the web servers running; it rereads its configuration on SIGHUP and
changes only what changed. Actions that are in flight when it ends are taken up again by the next one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cluster_glue import places
from cluster_glue.alerts import Alerts
from cluster_glue.answers import Answers
from cluster_glue.balancer import Balancer
from cluster_glue.config import Config, ConfigErrors, load
from cluster_glue.config_model import ResourceConfig, Settings
from cluster_glue.connectors.runner import Connectors
from cluster_glue.control import Control
from cluster_glue.diagnosis.desk import Diagnosis
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

#: Seconds after which a thread that computes lets another one go on; Python's own 5 ms would be half an outage.
SWITCH = 0.0005


def main(config_path: Path, *, echo: Callable[[str], None], under_cluster: bool = False) -> int:
    """Run until told to end. Raises :class:`ConfigErrors` before anything is touched, :class:`places.PlaceError`.

    ``under_cluster``: the cluster brings the resources, so a configuration file that is not there is none at all.
    """
    config = _load(config_path, under_cluster)
    runtime = places.ensure(places.runtime_dir())
    state = places.ensure(places.state_dir())
    os.umask(0o077)
    become_subreaper()
    sys.setswitchinterval(SWITCH)
    daemon = Daemon(config_path, config, runtime, state, echo, under_cluster)
    try:
        asyncio.run(daemon.serve())
    finally:
        daemon.close()
    return 0


def _load(path: Path, under_cluster: bool) -> Config:
    if under_cluster and not path.exists():
        return Config(Settings(), {}, str(path))
    return load(path)


def own(config: Config) -> dict[str, ResourceConfig]:
    """The resources that are watched from the beginning; a clusterware's are watched once it has started them."""
    default = config.settings.connector
    return {name: one for name, one in config.resources.items() if (one.glue.connector or default) == "standalone"}


def release() -> str:
    """This version of koboshi."""
    try:
        return version("koboshi")
    except PackageNotFoundError:
        return "unknown"


class Daemon:
    """The parts, and what joins them."""

    def __init__(
        self,
        path: Path,
        config: Config,
        runtime: Path,
        state: Path,
        echo: Callable[[str], None],
        under_cluster: bool = False,
    ) -> None:
        self._under_cluster = under_cluster
        self.path, self.config, self.runtime, self.state = path, config, runtime, state
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
        self.connectors: Connectors
        self.balancer: Balancer
        self._alerts: Alerts
        self._opening: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Watch until told to end."""
        self._loop = loop = asyncio.get_running_loop()
        diagnosis = Diagnosis(self.state / "evidence", self._tell)
        self.connectors = Connectors(self.runtime, self.state, lambda: self.config, self._tell)
        self.connectors.before_reboot = lambda: self._journal.flush(5.0)
        self.engine = Engine(self.runtime, tag_of(self.runtime), diagnosis.tell, self.connectors)
        self.connectors.engine = self.engine
        self._alerts = Alerts(self.runtime, self._journal.last_incident, self._tell)
        self.balancer = Balancer(self.engine, lambda: self.config, self._tell)
        sensors = Sensors(self.engine, diagnosis.tell, diagnosis.examine)
        self.ocf = OcfService(
            self.engine, self.runtime, self._journal.last_incident, self._tell, self.balancer.drain_wait
        )
        self.engine.observers += [sensors, diagnosis, self.ocf, self.connectors, self.balancer]
        control = Control(self.runtime / "control.sock", Answers(self).answer)
        await control.start()
        self._serving = True
        for name, resource in own(self.config).items():
            self.engine.add(resource, self._journal.last_incident(name))
        self.ocf.take_up()
        await self.balancer.open()
        self._alerts.open()
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
        self.balancer.close()
        self._alerts.close()
        diagnosis.close()
        for task in done - {ending}:
            task.result()  # a loop that broke is not hidden: the service manager starts us anew

    def reload(self) -> list[str]:
        """Read the configuration anew; the errors, if it is wrong and was left as it is."""
        self._notifier.reloading()
        try:
            config = _load(self.path, self._under_cluster)
        except ConfigErrors as errors:
            self.say("config-refused", str(errors))
            self._notifier.ready("the new configuration is wrong; the old one goes on")
            return str(errors).splitlines()
        old, new = own(self.config), own(config)
        for name in old.keys() - new.keys():
            self.engine.remove(name)
        for name in new.keys() - old.keys():
            self.engine.add(new[name], self._journal.last_incident(name))
        changed = [name for name in old.keys() & new.keys() if old[name] != new[name]]
        for name in changed:
            self.engine.change(new[name])
        self.config = config
        self._opening = asyncio.ensure_future(self.balancer.open())
        counts = f"{len(new.keys() - old.keys())} new, {len(changed)} changed, {len(old.keys() - new.keys())} gone"
        self.say("config-reloaded", counts)
        self._notifier.ready(f"watching {len(new)} resources")
        return []

    async def catch_up(self) -> None:
        """Let the journal be as far as we are, so that who asks us and then reads it finds what we said."""
        if self._journal.behind:
            await asyncio.to_thread(self._journal.flush, 0.3)

    def say(self, message: str, detail: str) -> None:
        """Say something about koboshi itself."""
        self._herald.tell("", Tell(message, detail))

    def _tell(self, resource: str, told: Tell) -> None:
        self._herald.tell(resource, told)
        self.connectors.announce(resource, told)

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
