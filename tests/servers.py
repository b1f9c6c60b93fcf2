"""Real web servers for tests: private instance directories on free loopback ports, and how to run one.

Each function writes an instance below ``tmp_path`` and starts nothing. The servers need no file that their workers
could not read (pytest's directories are closed to other users): Apache answers everything with its status page, nginx
with a line of text.
"""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from resource_agents.processes import Process, everyone, look
from resource_agents.server import Server, load
from tests.ports import free_port
from tests.waiting import eventually

APACHE = shutil.which("apache2", path="/usr/sbin:/sbin:/usr/local/sbin") or "/usr/sbin/httpd"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin") or "/usr/sbin/nginx"
MODULES = Path("/usr/lib/apache2/modules")
ROOT = os.geteuid() == 0

_PYTHON_SERVER = Path(__file__).with_name("tiny_server.py")


@dataclass(frozen=True)
class Instance:
    """A server that could be started: ``values`` are the parameters of its agent, ``url`` answers 200."""

    agent: str
    directory: Path
    configfile: Path
    port: int
    url: str
    values: dict[str, str] = field(default_factory=dict)
    pidfile: Path = Path()
    error_log: Path = Path()

    def server(self, name: str = "default") -> Server:
        """A new object of its agent: reads the configuration as it is now."""
        return load(self.agent)(self.values, name)


def apache_instance(
    tmp_path: Path,
    mpm: str = "event",
    *,
    name: str = "apache",
    extra: str = "",
    listen: Sequence[str] = (),
    tls: bool = False,
    children: int = 2,
) -> Instance:
    """A private Apache. ``extra`` goes at the end of the configuration, ``listen`` are further Listen lines."""
    directory, port = _fresh(tmp_path, name), free_port()
    modules = [f"mpm_{mpm}", "authz_core", "status", *(["ssl", "socache_shmcb"] if tls else [])]
    lines = [
        f'ServerRoot "{directory}"',
        "ServerName localhost",
        *(f"LoadModule {module}_module {MODULES}/mod_{module}.so" for module in modules),
        "PidFile httpd.pid",
        "ErrorLog error.log",
        f"DefaultRuntimeDir {directory}",
        *(["User www-data", "Group www-data"] if ROOT else []),
        f"Listen 127.0.0.1:{port}",
        *(f"Listen {each}" for each in listen),
        f"StartServers {children}",
        *(["ThreadsPerChild 4"] if mpm != "prefork" else []),
        "DocumentRoot /",
        "<Location />",
        "  SetHandler server-status",
        "</Location>",
        *(_apache_tls(directory) if tls else []),
        extra,
    ]
    configfile = directory / "httpd.conf"
    configfile.write_text("\n".join(lines) + "\n")
    return Instance(
        agent="apache",
        directory=directory,
        configfile=configfile,
        port=port,
        url=f"http{'s' if tls else ''}://127.0.0.1:{port}/",
        values={"configfile": str(configfile), "httpd": APACHE, "envfiles": ""},
        pidfile=directory / "httpd.pid",
        error_log=directory / "error.log",
    )


def nginx_instance(
    tmp_path: Path, *, name: str = "nginx", workers: int = 2, extra: str = "", server: str = "", top: str = ""
) -> Instance:
    """A private nginx. ``server`` goes into its only server, ``extra`` into http, ``top`` outside of it."""
    directory, port = _fresh(tmp_path, name), free_port()
    temporary = "".join(
        f"  {kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configfile = directory / "nginx.conf"
    configfile.write_text(
        f"{'user www-data;' if ROOT else ''}\n"
        f"pid {directory}/nginx.pid;\nerror_log {directory}/error.log;\nworker_processes {workers};\n{top}\n"
        "events { worker_connections 64; }\n"
        f"http {{\n  access_log off;\n{temporary}  server {{\n    listen 127.0.0.1:{port};\n"
        "    location = /nginx_status { stub_status; }\n"
        f"    {server}\n    location / {{ return 200 'hello\\n'; }}\n  }}\n{extra}\n}}\n"
    )
    return Instance(
        agent="nginx",
        directory=directory,
        configfile=configfile,
        port=port,
        url=f"http://127.0.0.1:{port}/",
        values={"configfile": str(configfile), "httpd": NGINX},
        pidfile=directory / "nginx.pid",
        error_log=directory / "error.log",
    )


def command_instance(tmp_path: Path, *, name: str = "command", workers: int = 0, forks: bool = False) -> Instance:
    """A small Python web server: alone or with ``workers`` that accept too, and go on serving as orphans."""
    directory, port = _fresh(tmp_path, name), free_port()
    pidfile = directory / "server.pid"
    words = [os.path.realpath(sys.executable), "-I", "-S", str(_PYTHON_SERVER), str(port), f"--workers={workers}"]
    words += [f"--pidfile={pidfile}"] if forks else []
    values = {"start_command": " ".join(words), "port": f"127.0.0.1:{port}", "statusurl": f"http://127.0.0.1:{port}/"}
    return Instance(
        agent="command",
        directory=directory,
        configfile=_PYTHON_SERVER,
        port=port,
        url=f"http://127.0.0.1:{port}/",
        values={**values, "pidfile": str(pidfile)} if forks else values,
        pidfile=pidfile,
        error_log=directory / "output",
    )


@contextmanager
def running(instance: Instance) -> Iterator[Process]:
    """Run it as its agent says, in a session of its own, until its URL answers; end all of it afterwards.

    What is handed over is the main process: what was spawned, or what the pid file names where the server forks.
    """
    server = instance.server()
    command = server.start_command()
    with (instance.directory / "output").open("wb") as output:
        spawned = subprocess.Popen(
            command.argv, env=dict(command.env), cwd=command.cwd, stdout=output, stderr=output, start_new_session=True
        )
    try:
        eventually(lambda: answers(instance.url), what=f"an answer of {instance.url}")
        pid = int(eventually(instance.pidfile.read_text)) if server.forks else spawned.pid
        main = look(pid)
        assert main is not None
        yield main
    finally:
        end(instance)
        spawned.wait()


def answers(url: str) -> bool:
    """Whether it answers 200."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    with suppress(OSError), opener.open(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def family(instance: Instance) -> list[Process]:
    """Its living processes: those that have its directory's files or its port on the command line, or open."""
    return [process for process in everyone() if not process.dead and _belongs(process, instance)]


def end(instance: Instance) -> None:
    """SIGKILL for every process of it, until none is left."""

    def gone() -> bool:
        for process in family(instance):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        return not family(instance)

    eventually(gone, what=f"the end of {instance.directory}")


def subreaper() -> None:
    """Orphans of this process's children become its own children (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    import ctypes

    assert ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) == 0


def _belongs(process: Process, instance: Instance) -> bool:
    where = str(instance.directory)
    if process.pid == os.getpid():
        return False
    if any(where in word for word in process.argv) or (
        str(_PYTHON_SERVER) in process.argv and str(instance.port) in process.argv
    ):
        return True
    with suppress(OSError):
        for name in os.listdir(f"/proc/{process.pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{process.pid}/fd/{name}").startswith(f"{where}/"):
                    return process.exe in (os.path.realpath(NGINX), os.path.realpath(APACHE))
    return False


def _fresh(tmp_path: Path, name: str) -> Path:
    directory = tmp_path / name
    directory.mkdir()
    directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
    return directory


def _apache_tls(directory: Path) -> list[str]:
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*words, "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, stderr=-3)
    return ["SSLEngine on", f"SSLCertificateFile {certificate}", f"SSLCertificateKeyFile {key}"]
