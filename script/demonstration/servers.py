"""The servers on the stage, each with a configuration of its own on a free loopback port."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from resource_agents.processes import Process, children, look

PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

MODULES = ("/usr/lib/apache2/modules", "/usr/lib64/apache2", "/usr/lib64/httpd/modules")

APACHE = """\
ServerRoot "{folder}"
PidFile "{folder}/pid"
ErrorLog "{folder}/error.log"
DefaultRuntimeDir "{folder}"
Mutex "file:{folder}" default
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
ServerName localhost
Listen 127.0.0.1:{port}
StartServers 2
ThreadsPerChild 10
MinSpareThreads 10
MaxSpareThreads 40
User {user}
Group {group}
DocumentRoot "{folder}/htdocs"
<Directory "{folder}/htdocs">
    Require all granted
</Directory>
DirectoryIndex index.html
"""

NGINX = """\
user {user} {group};
worker_processes 2;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/htdocs;
    }}
}}
"""

EMBEDDED = """\
listen {port}
page it works
"""


@dataclass(frozen=True, slots=True)
class Actor:
    """One server: ``broken`` is the line that spoils its configuration, ``resource`` its lines for koboshi."""

    name: str
    title: str
    port: int
    configfile: Path
    sound: str
    broken: str
    resource: str

    @property
    def mistake(self) -> str:
        """Where the broken configuration is wrong, as ``FILE:LINE``."""
        return f"{self.configfile}:{self.sound.count(chr(10)) + 1}"

    def spoil(self) -> None:
        """Break the configuration: one senseless line at its end."""
        self._write(self.sound + self.broken + "\n")

    def mend(self) -> None:
        """Give it its sound configuration (back)."""
        self._write(self.sound)

    def _write(self, text: str) -> None:
        fresh = self.configfile.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.configfile)


def cast(stage: Path) -> tuple[list[Actor], list[str]]:
    """Apache and nginx, or what stands in for them; and words about who is missing."""
    apache = shutil.which("apache2", path=PATH) or shutil.which("httpd", path=PATH)
    nginx = shutil.which("nginx", path=PATH)
    modules = next((path for path in MODULES if Path(path, "mod_mpm_event.so").exists()), "")
    actors: list[Actor] = []
    words: list[str] = []
    for name, title, program in (("apache", "Apache", apache if modules else ""), ("nginx", "nginx", nginx)):
        folder = stage / name
        folder.mkdir(mode=0o755)
        if os.geteuid() != 0 or not program:
            why = "this is not root" if os.geteuid() != 0 else f"{title} is not installed"
            words.append(f"{why}: a small Python web server takes the place of {title}")
            actors.append(_embedded(folder, f"web{len(actors) + 1}"))
        elif name == "apache":
            actors.append(_apache(folder, program, modules))
        else:
            actors.append(_nginx(folder, program))
    for actor in actors:
        actor.mend()
    return actors, words


def main_of(pid: object) -> Process | None:
    """The living process with the pid that koboshi's status names."""
    process = look(pid) if isinstance(pid, int) else None
    return None if process is None or process.dead else process


def family(main: Process) -> list[Process]:
    """The main process and its children, in this order."""
    workers = [process for pid in children(main.pid) if (process := look(pid)) is not None and not process.dead]
    return [main, *workers]


def _apache(folder: Path, program: str, modules: str) -> Actor:
    port, (user, group) = _free_port(), _nobody()
    _page(folder)
    sound = APACHE.format(folder=folder, modules=modules, port=port, user=user, group=group)
    return Actor(
        "apache", "Apache", port, folder / "apache.conf", sound, "Lissten 8080",
        f'agent = "apache"\nhttpd = "{program}"\nconfigfile = "{folder}/apache.conf"\nenvfiles = ""\n',
    )  # fmt: skip


def _nginx(folder: Path, program: str) -> Actor:
    port, (user, group) = _free_port(), _nobody()
    _page(folder)
    sound = NGINX.format(folder=folder, port=port, user=user, group=group)
    return Actor(
        "nginx", "nginx", port, folder / "nginx.conf", sound, "worker_prozesses 2;",
        f'agent = "nginx"\nhttpd = "{program}"\nconfigfile = "{folder}/nginx.conf"\n',
    )  # fmt: skip


def _embedded(folder: Path, name: str) -> Actor:
    port, configfile = _free_port(), folder / "web.conf"
    program = [sys.executable, "-E", "-s", "-S", str(Path(__file__).with_name("web.py"))]
    start, check = shlex.join([*program, str(configfile)]), shlex.join([*program, "--check", str(configfile)])
    lines = (
        'agent = "command"', f"start_command = '''{start}'''", f"check_command = '''{check}'''",
        f'port = "127.0.0.1:{port}"', f'statusurl = "http://127.0.0.1:{port}/"', "",
    )  # fmt: skip
    return Actor(name, "Python", port, configfile, EMBEDDED.format(port=port), "colour red", "\n".join(lines))


def _page(folder: Path) -> None:
    htdocs = folder / "htdocs"
    htdocs.mkdir(mode=0o755)
    (htdocs / "index.html").write_text("<html><body>it works</body></html>\n", encoding="utf-8")


def _nobody() -> tuple[str, str]:
    """An unprivileged user that web servers run as, and its group."""
    import grp
    import pwd

    for name in ("www-data", "apache", "www", "nobody"):
        try:
            user = pwd.getpwnam(name)
            return user.pw_name, grp.getgrgid(user.pw_gid).gr_name
        except KeyError:
            continue
    raise LookupError("there is no user that a web server could run as (www-data, apache, www, nobody)")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
