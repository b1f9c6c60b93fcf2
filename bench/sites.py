"""The web servers under test: private instances of Apache and nginx with what Debian configures by default."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import families
from bench.asking import first_answer, listener, now
from bench.stage import Stage, Unavailable, found, free_port, launch, reap, tail, until

#: What Debian's apache2 loads by default, besides the process model.
_MODULES = (
    "authz_core",
    "authz_host",
    "authn_core",
    "authn_file",
    "auth_basic",
    "authz_user",
    "access_compat",
    "alias",
    "autoindex",
    "deflate",
    "dir",
    "env",
    "filter",
    "mime",
    "negotiation",
    "reqtimeout",
    "setenvif",
    "status",
)

_MODULE_PLACES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib64/apache2")

_APACHE = """\
ServerRoot {folder}
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/web.pid
ErrorLog {folder}/error.log
CustomLog {folder}/access.log "%h %t \\"%r\\" %>s %b"
LogLevel warn
Timeout 300
KeepAlive On
HostnameLookups Off
{modules}
{user}
Listen 127.0.0.1:{port}
DocumentRoot {folder}/pages
<Directory {folder}/pages>
    Require all granted
</Directory>
<Location /server-status>
    SetHandler server-status
</Location>
TypesConfig /etc/mime.types
<IfModule mpm_event_module>
    StartServers 2
    MinSpareThreads 25
    MaxSpareThreads 75
    ThreadLimit 64
    ThreadsPerChild 25
    MaxRequestWorkers 150
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 5
    MinSpareServers 5
    MaxSpareServers 10
    MaxRequestWorkers 150
</IfModule>
"""

_NGINX = """\
{user}
worker_processes auto;
pid {folder}/web.pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/pages;
        location /status {{ stub_status; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """One instance. ``foreground`` and ``background`` are the command lines that start it."""

    kind: str
    folder: Path
    port: int
    foreground: tuple[str, ...]
    background: tuple[str, ...]
    agent: str
    parameters: dict[str, str]

    @property
    def pidfile(self) -> Path:
        return self.folder / "web.pid"

    def cold_start(self, limit: float = 20.0) -> float:
        """Seconds from the spawn of a server that is down to its first 200; it is ended again.

        Raises :class:`Unavailable` when it does not answer.
        """
        began = now()
        server = launch(self.foreground, self.folder / "floor.out")
        answered = first_answer(self.port, 0, limit)
        families.end([server], [self.port])
        reap()
        if answered is None:
            raise Unavailable(f"{self.kind} does not start: {tail(self.folder / 'floor.out')}")
        until(lambda: not listener(self.port), 5.0, "the end of a server")
        return answered - began


def apache(model: str) -> Callable[[Stage, str], Site]:
    """An Apache with this process model."""

    def make(stage: Stage, whose: str) -> Site:
        program = found("apache2")
        folder, port = _folder(stage, f"apache-{model}-{whose}"), free_port()
        place = next((each for each in _MODULE_PLACES if os.path.isdir(each)), "")
        names = [name for name in (f"mpm_{model}", *_MODULES) if os.path.exists(f"{place}/mod_{name}.so")]
        modules = "\n".join(f"LoadModule {name}_module {place}/mod_{name}.so" for name in names)
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        config = folder / "httpd.conf"
        config.write_text(_APACHE.format(folder=folder, port=port, modules=modules, user=user))
        line = (program, "-f", str(config))
        parameters = {"configfile": str(config), "httpd": program}
        ways = ((*line, "-DFOREGROUND"), (*line, "-k", "start"))
        return Site(f"apache-{model}", folder, port, *ways, "apache", parameters)

    return make


def nginx(stage: Stage, whose: str) -> Site:
    """An nginx with as many workers as there are CPUs."""
    program = found("nginx")
    folder, port = _folder(stage, f"nginx-{whose}"), free_port()
    user = "user www-data;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, user=user))
    line = (program, "-c", str(config))
    parameters = {"configfile": str(config), "httpd": program}
    return Site("nginx", folder, port, (*line, "-g", "daemon off;"), line, "nginx", parameters)


#: The sites by name: each is made anew in a folder and on a port of its own.
SITES: dict[str, Callable[[Stage, str], Site]] = {
    "apache-event": apache("event"),
    "apache-prefork": apache("prefork"),
    "nginx": nginx,
}


def _folder(stage: Stage, name: str) -> Path:
    folder = stage.place(name)
    (folder / "pages").mkdir()
    for page in ("ok", "index.html"):
        (folder / "pages" / page).write_text("ok\n")
    return folder


def knock_over(site: Site, fault: str) -> tuple[float, int]:
    """Carry out a fault: when (CLOCK_BOOTTIME), and the socket that listened then. Raises :class:`Unavailable`.

    ``main``: SIGKILL to the main process; ``all``: to everything; ``stop-workers``, ``stop-all``: SIGSTOP.
    """
    main, others = families.family(site.port)
    if main is None or not others:
        raise Unavailable(f"{site.kind} has no main process with workers below it")
    victims = {"main": [main], "all": [main, *others], "stop-workers": others, "stop-all": [main, *others]}[fault]
    number = signal.SIGSTOP if fault.startswith("stop") else signal.SIGKILL
    inode = listener(site.port)
    when = now()
    families.signal_all(victims, number)
    while fault == "stop-workers" and (missed := [each for each in families.family(site.port)[1] if each.state != "T"]):
        families.signal_all(missed, number)  # forked just then
    return when, inode
