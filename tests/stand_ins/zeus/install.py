"""Put a stand-in ZEUSHOME into a directory of a test's own; programs are copies of the Python interpreter."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
INTERPRETER = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
PROGRAMS = ("zeus.web", "zeus.cgid", "zeus.statd", "zeus.admin")


def install(home: Path) -> None:
    """A ZEUSHOME without a running site."""
    for name in ("web/bin", "web/log", "web/internal", "web/conf/runningsites", "stand-in"):
        (home / name).mkdir(parents=True)
    (home / "web/global.cfg").write_text("tuning!listen_queue_size 511\n")
    (home / "web/bin/pyvenv.cfg").write_text(f"home = {INTERPRETER.parent}\ninclude-system-site-packages = false\n")
    shutil.copy(INTERPRETER, home / "web/bin" / PROGRAMS[0])
    for name in PROGRAMS[1:]:
        os.link(home / "web/bin" / PROGRAMS[0], home / "web/bin" / name)
    shutil.copy(HERE / "zeus_product.py", home)
    for script in (HERE / "scripts").iterdir():
        path = home / script.name
        path.write_text(script.read_text().replace("@HOME@", str(home)))
        path.chmod(0o755)


def add_site(home: Path, name: str, port: int, address: str = "127.0.0.1") -> Path:
    """Make a site run at the next start or HUP; its file."""
    path = home / "web/conf/runningsites" / name
    path.write_text(f"modules!cgi!enabled no\naddress {address}\nport {port}\ndocroot {home}/docs\n")
    return path
