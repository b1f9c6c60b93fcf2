"""Write ``docs/ocf_check_peers.rst``: how the usual agents for Apache and nginx fare, with the versions measured.

``python -m cluster_glue.ocf_check.peers [FILE]``, as root, with the packages resource-agents, apache2, nginx and curl
installed. Each agent gets a private instance on loopback; the cases' namespaces keep everything away from the machine.
"""

from __future__ import annotations

import asyncio
import platform
import re
import sys
import tempfile
import textwrap
from pathlib import Path

import click

from cluster_glue.ocf_check.agent import Subject, resolve
from cluster_glue.ocf_check.namespaces import play_all
from cluster_glue.ocf_check.registry import Outcome, every_case
from cluster_glue.ocf_check.report import counts
from ocf.programs import run

MODULES = "/usr/lib/apache2/modules"
PORT = 18080  # of the case's own network namespace

APACHE = """\
ServerRoot {home}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {home}/httpd.pid
ErrorLog {home}/error.log
Mutex file:{home}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_host_module {modules}/mod_authz_host.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule status_module {modules}/mod_status.so
DocumentRoot {home}/htdocs
User www-data
Group www-data
<Location /server-status>
  SetHandler server-status
  Require local
</Location>
"""

NGINX = """\
user www-data;
worker_processes 2;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {home}/htdocs;
    location /nginx_status {{ stub_status; }}
  }}
}}
"""

ABOUT = """\
.. Written by ``python -m cluster_glue.ocf_check.peers``; do not edit.

How other agents fare
=====================

What ``koboshi ocf-check`` says about the agents that most clusters use today. What each case means is told in
:doc:`ocf_check`. Versions: {versions}.

An agent that passes with ``ocf-tester`` may fail here: these are the cases which that tool leaves out. Both agents got
a private instance on loopback with a status page, {timeout:g} s per action, and namespaces of their own for each case.

.. list-table::
   :header-rows: 1
   :widths: 24 {widths}

   * - case
"""


def apache(home: Path, port: int = PORT) -> dict[str, str]:
    """Write a private Apache instance into ``home``; the parameters for its agent."""
    _pages(home)
    (home / "httpd.conf").write_text(APACHE.format(home=home, port=port, modules=MODULES))
    return {
        "configfile": f"{home}/httpd.conf",
        "httpd": "/usr/sbin/apache2",
        "statusurl": f"http://127.0.0.1:{port}/server-status",
    }


def nginx(home: Path, port: int = PORT) -> dict[str, str]:
    """Write a private nginx instance into ``home``; the parameters for its agent."""
    _pages(home)
    (home / "nginx.conf").write_text(NGINX.format(home=home, port=port))
    return {
        "configfile": f"{home}/nginx.conf",
        "httpd": "/usr/sbin/nginx",
        "status10url": f"http://127.0.0.1:{port}/nginx_status",
    }


def _pages(home: Path) -> None:
    home.chmod(0o755)  # workers run as www-data
    (home / "htdocs").mkdir()
    (home / "htdocs" / "index.html").write_text("<html>ok</html>\n")


def measure(agent: str, parameters: dict[str, str], jobs: int = 2) -> list[Outcome]:
    """All cases for one agent. Raises :class:`cluster_glue.ocf_check.namespaces.Unable`."""
    path, provider, kind = resolve(agent)
    subject = Subject(path, provider, kind, parameters=parameters)
    return asyncio.run(
        play_all(subject, every_case().values(), jobs, lambda one: click.echo(f"{agent} {one.case}: {one.verdict}"))
    )


def page(results: dict[str, list[Outcome]], versions: str, timeout: float = 20.0) -> str:
    """The page: a row for each case, a column for each agent."""
    text = ABOUT.format(versions=versions, timeout=timeout, widths=" ".join("38" for _ in results))
    text += "".join(f"     - {agent}\n" for agent in results)
    for row in zip(*results.values(), strict=True):
        text += f"   * - {row[0].case}\n"
        for outcome in row:
            said = f"**{outcome.verdict}**: {_plain(outcome.seen)}"
            text += "     - " + textwrap.fill(said, 110, subsequent_indent="       ", break_on_hyphens=False) + "\n"
    text += "   * - in all\n"
    for outcomes in results.values():
        text += "     - " + ", ".join(f"{number} {verdict}" for verdict, number in counts(outcomes).items()) + "\n"
    return text


def _plain(seen: str) -> str:
    """Words that mean themselves in reStructuredText."""
    return "".join(f"\\{letter}" if letter in "\\*`_|" else letter for letter in seen)


def versions() -> str:
    """Versions of the agents, the servers and the kernel, as the package manager tells."""
    packages = ("resource-agents", "apache2", "nginx")
    told = run(["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *packages], timeout=10).output.split("\n")
    return ", ".join([line for line in told if line.startswith(packages)] + [f"Linux {platform.release()}"])


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/ocf_check_peers.rst")
    results = {}
    for agent, instance in (("ocf:heartbeat:apache", apache), ("ocf:heartbeat:nginx", nginx)):
        with tempfile.TemporaryDirectory(prefix="ocf-check-") as home:
            outcomes = measure(agent, instance(Path(home)))
            results[agent] = [_without(outcome, home) for outcome in outcomes]
    target.write_text(page(results, versions()))


def _without(outcome: Outcome, home: str) -> Outcome:
    """The outcome without what differs from run to run: the instance's directory and pids."""
    seen = re.sub(r"\b\d+ \(([a-z][^)]*)\)", r"\1", outcome.seen.replace(home, "INSTANCE"))
    return Outcome(outcome.case, outcome.promise, outcome.verdict, seen, outcome.seconds)


if __name__ == "__main__":
    main()
