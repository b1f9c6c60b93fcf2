"""Installed OCF executables, an instance of each server for them, and the tools of others that are tried on them.

The executables go into a directory that every user may read. Where a tool insists on ``/usr/lib/ocf``, it runs in a
mount namespace in which they are there; it has a PID namespace as well, so that whatever it leaves ends with it.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cluster_glue import ocf_install
from cluster_glue.ocf_check import execd
from cluster_glue.ocf_check.agent import Subject
from cluster_glue.ocf_check.command import OUR_DAEMON
from cluster_glue.ocf_check.execd import Ran
from ocf.programs import PLAIN_ENVIRONMENT, Finished, run
from resource_agents.processes import Identity, Process, alive, everyone, look, send
from tests.ports import free_port
from tests.servers import apache_instance, command_instance, nginx_instance
from tests.stand_ins.sunone.install import install as install_sunone
from tests.stand_ins.zeus.install import add_site
from tests.stand_ins.zeus.install import install as install_zeus
from tests.waiting import eventually

#: Mounts the agents where Pacemaker looks, hides what ocft keeps, and runs the rest of the words.
_WITHIN = """
mount -t overlay overlay -o "lowerdir=$1:/usr/lib/ocf/resource.d" /usr/lib/ocf/resource.d || exit 99
[ ! -d /var/lib/resource-agents ] || mount -t tmpfs tmpfs /var/lib/resource-agents || exit 99
mount -t tmpfs -o mode=755 tmpfs /run || exit 99
mkdir -p /run/resource-agents /var/lib/resource-agents/ocft
shift
"$@"
"""


@cache
def agents() -> Path:
    """An OCF root with our agents, installed once for each test process and gone when it ends."""
    import atexit
    import shutil

    home = Path(tempfile.mkdtemp(prefix="koboshi-ocf-"))
    home.chmod(0o755)
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    ocf_install.install(home / "ocf", Path("/"))
    return home / "ocf"


def tool(argv: list[str], timeout: float, env: Mapping[str, str] | None = None) -> Finished:
    """Run a tool that finds our agents in /usr/lib/ocf."""
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _WITHIN, "sh"]
    return run([*words, str(agents() / "resource.d"), *argv], timeout, {**PLAIN_ENVIRONMENT, **(env or {})})


@dataclass
class Resource:
    """A resource that a cluster could have: ``values`` are its parameters."""

    agent: str
    home: Path
    values: dict[str, str]
    configfile: str = ""
    timeout: float = 20.0
    pidfile: Path = Path()
    helpers: tuple[str, ...] = ()

    def subject(self, **more: str) -> Subject:
        """The same for the conformance kit."""
        path = agents() / "resource.d" / "koboshi" / self.agent
        return Subject(
            path=str(path),
            provider="koboshi",
            type=self.agent,
            root=str(agents()),
            parameters={**self.values, **more},
            timeout=self.timeout,
            configfile=self.configfile,
            helpers=(OUR_DAEMON, *self.helpers),
        )


def _apache(home: Path) -> Resource:
    made = apache_instance(home)
    return Resource("apache", home, {**made.values, "statusurl": made.url}, str(made.configfile), pidfile=made.pidfile)


def _nginx(home: Path) -> Resource:
    made = nginx_instance(home)
    return Resource("nginx", home, made.values, str(made.configfile), pidfile=made.pidfile)


def _lighttpd(home: Path) -> Resource:
    from tests.lighttpd_server import LighttpdServer

    configfile = LighttpdServer(home).configfile
    return Resource("lighttpd", home, {"configfile": str(configfile)}, pidfile=home / "pid")


def _haproxy(home: Path) -> Resource:
    from tests.haproxy_server import HaproxyServer

    return Resource("haproxy", home, {"configfile": str(HaproxyServer(home).configfile)}, pidfile=home / "pid")


def _tomcat(home: Path) -> Resource:
    from tests.tomcat_server import TomcatServer

    made = TomcatServer(home)
    return Resource("tomcat", home, made.values, str(made.base / "conf/server.xml"), timeout=60)


def _command(home: Path) -> Resource:
    return Resource("command", home, command_instance(home, workers=1).values)


def _zeus(home: Path) -> Resource:
    install_zeus(home / "zeus")
    add_site(home / "zeus", "www", free_port())
    return Resource("zeus", home, {"zeushome": str(home / "zeus")}, helpers=(r"\bzeus\.admin\b",))


def _sunone(home: Path) -> Resource:
    directory = install_sunone(home / "product").instance("test", free_port())
    for switch, seconds in (("tick", 0.03), ("orderly", 0.2), ("crash-delay", 0.2)):
        (directory / "stand-in" / switch).write_text(str(seconds))
    return Resource("sunone", home, {"instance_dir": str(directory)}, str(directory / "config/server.xml"), timeout=30)


MAKERS: dict[str, Callable[[Path], Resource]] = {
    "apache": _apache,
    "command": _command,
    "haproxy": _haproxy,
    "lighttpd": _lighttpd,
    "nginx": _nginx,
    "sunone": _sunone,
    "tomcat": _tomcat,
    "zeus": _zeus,
}


@contextmanager
def resource(agent: str) -> Iterator[Resource]:
    """An instance of the agent's server, in a directory that every user may enter."""
    with tempfile.TemporaryDirectory(prefix=f"koboshi-{agent}-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o755)
        yield MAKERS[agent](Path(home))


#: Stand-ins for Pacemaker's commands: a cluster of one node that is content with everything.
_CRM_NODE = "#!/bin/sh\necho n1\n"
_CRM_MON = """#!/bin/sh
cat <<'XML'
<pacemaker-result api-version="2.25" request="crm_mon">
  <summary>
    <current_dc present="true" with_quorum="true"/>
    <cluster_options maintenance-mode="false" stop-all-resources="false" no-quorum-policy="stop"/>
  </summary>
  <nodes><node name="n1" id="1" online="true" standby="false" maintenance="false" pending="false"/></nodes>
  <resources>
    <resource id="ocf-check" role="Started" active="true" blocked="false" managed="true" failed="false">
      <node name="n1" id="1" cached="true"/>
    </resource>
  </resources>
  <status code="0" message="OK"/>
</pacemaker-result>
XML
"""


@dataclass
class Node:
    """A node with one resource and a daemon of its own: actions as Pacemaker's executor runs them."""

    resource: Resource
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        commands = self.resource.home / "cluster"
        commands.mkdir()
        for name, text in (("crm_node", _CRM_NODE), ("crm_mon", _CRM_MON)):
            (commands / name).write_text(text)
            (commands / name).chmod(0o755)
        self.settings.setdefault("KOBOSHI_CLUSTER_PATH", str(commands))

    @property
    def runtime(self) -> Path:
        return self.resource.home / "run"

    def act(self, action: str, interval: float = 0, level: int = 0, timeout: float = 0, **values: str) -> Ran:
        """Run one action. ``interval`` and ``timeout`` are seconds."""
        subject = self.resource.subject(**values)
        timeout = timeout or subject.timeout
        places = {"KOBOSHI_RUNTIME_DIR": str(self.runtime), "KOBOSHI_STATE_DIR": str(self.resource.home / "state")}
        env = execd.environment(subject, timeout, interval, level) | places | self.settings
        return execd.run(subject.path, action, env, timeout)

    def code(self, action: str, **more: float) -> int | None:
        return self.act(action, **more).rc  # type: ignore[arg-type]

    @property
    def daemon(self) -> Identity | None:
        """The daemon that serves this node."""
        with suppress(OSError, ValueError):
            process = look(int((self.runtime / "control.sock.lock").read_text()))
            if process is not None and not process.dead:
                return process.identity
        return None

    def kill_daemon(self) -> None:
        daemon = self.daemon
        assert daemon is not None
        send(daemon, signal.SIGKILL)
        eventually(lambda: not alive(daemon), what="the daemon's end")

    @property
    def main(self) -> Process | None:
        """The server's main process, by its pid file."""
        with suppress(OSError, ValueError):
            process = look(int(self.resource.pidfile.read_text()))
            return None if process is None or process.dead else process
        return None

    def roused(self) -> list[Identity]:
        """Every daemon that an action roused for this node, also one that is still on its way."""
        place, found = f"KOBOSHI_RUNTIME_DIR={self.runtime}".encode(), []
        for process in everyone():
            with suppress(OSError):
                here = place in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
                if here and "--under-cluster" in process.argv:
                    found.append(process.identity)
        return found

    def close(self) -> None:
        daemons = self.roused()
        for daemon in daemons:
            send(daemon, signal.SIGKILL)
        eventually(lambda: not any(alive(daemon) for daemon in daemons), what="the end of all daemons")
        self.act("stop")


@contextmanager
def node(agent: str, **settings: str) -> Iterator[Node]:
    """A node for one resource; nothing of it is left behind."""
    with resource(agent) as made:
        here = Node(made, settings)
        try:
            yield here
        finally:
            here.close()


ROOT = os.geteuid() == 0
