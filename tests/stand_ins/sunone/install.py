"""Put a stand-in product and its instances into a directory of a test's own.

The programs are copies of a Python interpreter under the product's names, so that name, command line and executable in
``/proc`` are the product's: started as ``webservd -d INSTANCE/config …`` the interpreter runs
``INSTANCE/config/__main__.py`` (``-d`` means nothing to a release build of Python).
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
INTERPRETER = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
NAMES = {"7.0": ("webservd-wdog", "webservd"), "6.1": ("webservd-wdog", "webservd"), "6.0": ("uxwdog", "ns-httpd")}

SERVER_XML = """<?xml version="1.0" encoding="UTF-8"?>
<server>
  <log>
    <log-file>../logs/errors</log-file>
    <log-level>info</log-level>
  </log>
  <temp-path>{temp}</temp-path>
  <user>{user}</user>
  <http-listener>
    <name>http-listener-1</name>
    <ip>127.0.0.1</ip>
    <port>{port}</port>{ssl}
    <server-name>localhost</server-name>
    <default-virtual-server-name>test</default-virtual-server-name>
  </http-listener>
  <virtual-server>
    <name>test</name>
    <host>localhost</host>
    <http-listener-name>http-listener-1</http-listener-name>
    <document-root>../docs</document-root>
  </virtual-server>{more}
</server>
"""

SIX_XML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE SERVER PUBLIC "-//Sun Microsystems Inc.//DTD Sun ONE Web Server 6.1//EN" "sun-web-server_6_1.dtd">
<SERVER qosactive="false">
  <LS id="ls1" port="{port}" servername="localhost" defaultvs="test" ip="127.0.0.1" security="false"/>
  <VSCLASS id="vsclass1"><VS id="test" connections="ls1" urlhosts="localhost"/></VSCLASS>
</SERVER>
"""

ENTRY = """import sys

sys.path.insert(0, {library!r})

from sunone_product.main import main

main()
"""

OBJ_CONF = """<Object name="default">
NameTrans fn="document-root" root="$docroot"
PathCheck fn="find-index" index-names="index.html"
ObjectType fn="type-by-extension"
Service method="(GET|HEAD)" fn="send-file"
</Object>
"""


@dataclass(frozen=True)
class Product:
    """An installed product of one release."""

    root: Path
    release: str

    def instance(self, name: str, port: int, *, user: str = "root", ssl: bool = False, more: str = "") -> Path:
        """Make an instance; its directory."""
        directory = self.root / f"https-{name}"
        for sub in ("config", "logs", "docs", "stand-in"):
            (directory / sub).mkdir(parents=True)
        temp = self.root / "tmp" / f"https-{name}"
        temp.parent.mkdir(exist_ok=True)
        (directory / "config/__main__.py").write_text(ENTRY.format(library=str(self.root / "lib")))
        (directory / "config/obj.conf").write_text(OBJ_CONF)
        (directory / "docs/index.html").write_text(f"<html><body>{name}</body></html>\n")
        if self.release == "7.0":
            tls = "\n    <ssl><enabled>true</enabled></ssl>" if ssl else ""
            xml = SERVER_XML.format(temp=temp, user=user, port=port, ssl=tls, more=more)
            (directory / "config/magnus.conf").write_text("")
        else:
            xml = SIX_XML.format(port=port)
            temp.mkdir(mode=0o700)
            lines = f"PidLog {directory}/logs/pid\nUser {user}\nTempDir {temp}\nTerminateTimeout 30\n"
            (directory / "config/magnus.conf").write_text(lines)
        (directory / "config/server.xml").write_text(xml)
        self._scripts(directory)
        return directory

    def _scripts(self, directory: Path) -> None:
        if self.release == "7.0":
            plain = {"bin/startserv": "startserv", "bin/stopserv": "stopserv", "bin/reconfig": "reconfig"}
            signals = {"bin/restart": ("signal", "HUP"), "bin/rotate": ("signal", "USR1")}
        else:
            plain = {"start": "start"}
            signals = {"stop": ("stop", "TERM"), "restart": ("stop", "HUP")}
        for place, (script, number) in {**{key: (name, "") for key, name in plain.items()}, **signals}.items():
            text = (HERE / "scripts" / script).read_text()
            words = {"@ROOT@": self.root, "@INSTANCE@": directory, "@SIGNAL@": number}
            for word, value in {**words, "@WATCHDOG@": NAMES[self.release][0]}.items():
                text = text.replace(word, str(value))
            path = directory / place
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)


def install(root: Path, release: str = "7.0") -> Product:
    """Install the programs of one release (7.0, 6.1 or 6.0) below ``root``."""
    library = root / "lib"
    library.mkdir(parents=True)
    shutil.copytree(HERE / "sunone_product", library / "sunone_product", ignore=shutil.ignore_patterns("__pycache__"))
    programs = library if release == "7.0" else root / "bin/https/bin"
    programs.mkdir(parents=True, exist_ok=True)
    (programs / "pyvenv.cfg").write_text(f"home = {INTERPRETER.parent}\ninclude-system-site-packages = false\n")
    first = programs / NAMES[release][1]
    shutil.copy(INTERPRETER, first)
    for name in (NAMES[release][0], "parsexml", "svrctl"):
        os.link(first, programs / name)
    return Product(root, release)
