"""A private lighttpd on a free loopback port."""

from __future__ import annotations

from pathlib import Path

from resource_agents.lighttpd import Lighttpd
from tests.ports import free_port
from tests.private_server import PrivateServer

CONFIGURATION = """\
server.document-root = "{folder}/htdocs"
server.bind = "127.0.0.1"
server.port = {port}
server.pid-file = "{folder}/pid"
server.errorlog = "{folder}/error.log"
index-file.names = ( "index.html" )
"""


class LighttpdServer(PrivateServer):
    """lighttpd below ``folder``; ``more`` lines of configuration follow the usual ones."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.port = free_port()
        self.configfile = folder / "lighttpd.conf"
        (folder / "htdocs").mkdir()
        (folder / "htdocs/index.html").write_text("<html>it works</html>\n")
        self.configfile.write_text(CONFIGURATION.format(folder=folder, port=self.port) + more)
        super().__init__(folder, lambda: Lighttpd({"configfile": str(self.configfile)}))
