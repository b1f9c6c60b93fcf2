"""Servers for tests of the diagnosis: a daemon with one real nginx or Apache on a free loopback port."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cluster_glue.journal_reader import Incident, JournalUnreadable, Line
from tests.koboshi_daemon import KoboshiDaemon
from tests.waiting import eventually

NGINX = """\
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {http}
  server {{
    listen 127.0.0.1:{port};
    location = /status {{ stub_status; }}
    location / {{ {root} }}
  }}
}}
"""

APACHE = """\
ServerRoot {folder}
PidFile {folder}/httpd.pid
Listen 127.0.0.1:{port}
ServerName localhost
ErrorLog {folder}/error.log
Mutex file:{folder} default
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule status_module /usr/lib/apache2/modules/mod_status.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
StartServers 2
MinSpareServers 1
MaxSpareServers 3
ServerLimit 4
MaxRequestWorkers 4
ListenBacklog 8
GracefulShutdownTimeout 2
<Location /server-status>
  SetHandler server-status
</Location>
DocumentRoot {folder}/htdocs
{more}
"""


def nginx(folder: Path, port: int, http: str = "", root: str = "return 200 well;") -> str:
    """Write a configuration of nginx; the lines of koboshi's that watch it. Asked is ``/``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port, http=http, root=root))
    asked = f'status10url = "http://127.0.0.1:{port}/"\nstatus10regex = ""\n'
    return f'[resource.web]\nagent = "nginx"\nconfigfile = "{file}"\n{asked}'


def apache(folder: Path, port: int, more: str = "", url: str = "/server-status?auto") -> str:
    """Write a configuration of Apache; the lines of koboshi's that watch it."""
    (folder / "htdocs").mkdir(parents=True, exist_ok=True)
    file = folder / "httpd.conf"
    file.write_text(APACHE.format(folder=folder, port=port, more=more))
    return f'[resource.web]\nagent = "apache"\nconfigfile = "{file}"\nstatusurl = "http://127.0.0.1:{port}{url}"\n'


def explained(daemon: KoboshiDaemon, number: int = 1) -> Incident:
    """The incident as soon as it has its evidence."""

    def kept() -> Incident | None:
        if not any(line.message == "evidence-kept" for line in _lines(daemon, number)):
            return None
        return next(one for one in daemon.incidents("web") if one.number == number)

    found = eventually(kept, what=f"the evidence of incident web-{number}")
    assert found is not None
    return found


def why(daemon: KoboshiDaemon, *words: str) -> str:
    """What ``koboshi why`` says."""
    done: subprocess.CompletedProcess[str] = daemon.command("why", "web", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _lines(daemon: KoboshiDaemon, number: int) -> list[Line]:
    try:
        return list(daemon.timeline(f"web-{number}"))
    except (AssertionError, JournalUnreadable):
        return []
