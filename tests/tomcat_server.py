"""A private Tomcat instance (CATALINA_BASE) of the Tomcat of Debian's packages, on free loopback ports.

Its home is a copy made of links, so that a test may add what a package keeps elsewhere (jsvc's jar).
"""

from __future__ import annotations

import os
from pathlib import Path

from resource_agents.tomcat import Tomcat
from tests.ports import free_port
from tests.private_server import PrivateServer

HOME = Path("/usr/share/tomcat10")
DAEMON_JAR = Path("/usr/share/java/commons-daemon.jar")

SERVER_XML = """\
<!DOCTYPE Server [ <!ENTITY ajp SYSTEM "ajp.xml"> ]>
<Server port="{shutdown}">
  <Service name="Catalina">
    <Connector port="${{http.port}}" address="127.0.0.1" maxThreads="4" minSpareThreads="1" acceptCount="2"/>
    &ajp;
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps" autoDeploy="false"/>
    </Engine>
  </Service>
</Server>
"""

WEB_XML = """\
<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0">
  <servlet><servlet-name>default</servlet-name>
    <servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class></servlet>
  <servlet><servlet-name>jsp</servlet-name>
    <servlet-class>org.apache.jasper.servlet.JspServlet</servlet-class></servlet>
  <servlet-mapping><servlet-name>default</servlet-name><url-pattern>/</url-pattern></servlet-mapping>
  <servlet-mapping><servlet-name>jsp</servlet-name><url-pattern>*.jsp</url-pattern></servlet-mapping>
  <welcome-file-list><welcome-file>index.html</welcome-file></welcome-file-list>
</web-app>
"""

#: Fills the heap, and never lets go.
OOM_JSP = """\
<%! static java.util.List<byte[]> kept = new java.util.ArrayList<>(); %>
<% while (kept != null) kept.add(new byte[1 << 20]); %>
"""


def java_home() -> str:
    """The home of the java on PATH."""
    return str(Path("/usr/bin/java").resolve().parents[1])


class TomcatServer(PrivateServer):
    """Tomcat with CATALINA_BASE below ``folder``; ``values`` are further parameters."""

    def __init__(self, folder: Path, **values: str) -> None:
        self.http, self.ajp, self.shutdown = free_port(), free_port(), free_port()
        self.home, self.base = folder / "home", folder / "base"
        self._make_home()
        for name in ("conf", "logs", "temp", "webapps/ROOT", "work"):
            (self.base / name).mkdir(parents=True)
        (self.base / "webapps/ROOT/index.html").write_text("<html>it works</html>\n")
        (self.base / "webapps/ROOT/oom.jsp").write_text(OOM_JSP)
        (self.base / "conf/server.xml").write_text(SERVER_XML.format(shutdown=self.shutdown))
        (self.base / "conf/ajp.xml").write_text(
            f'<Connector port="{self.ajp}" protocol="AJP/1.3" secretRequired="false"/>'
        )
        (self.base / "conf/web.xml").write_text(WEB_XML)
        stock = (HOME / "etc/catalina.properties").read_text()
        quick = "\ntomcat.util.scan.StandardJarScanFilter.jarsToSkip=*.jar\n"
        (self.base / "conf/catalina.properties").write_text(f"{stock}{quick}http.port = {self.http}\n")
        self.values = {
            "catalina_home": str(self.home),
            "catalina_base": str(self.base),
            "java_home": java_home(),
            "tomcat_name": "under-test",
            "catalina_opts": "-Xmx48m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto",
            **values,
        }
        super().__init__(folder, lambda: Tomcat(self.values))

    def _make_home(self) -> None:
        (self.home / "bin").mkdir(parents=True)
        (self.home / "lib").symlink_to(HOME / "lib")
        for path in (HOME / "bin").iterdir():
            (self.home / "bin" / path.name).symlink_to(path)
        # The scripts follow links of their own name to the real home; CATALINA_HOME is what they are given.
        if DAEMON_JAR.exists():
            (self.home / "bin/commons-daemon.jar").symlink_to(DAEMON_JAR)

    @property
    def log(self) -> str:
        return str(self.base / "logs/catalina.out")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file of conf."""
        path = self.base / "conf" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def give_to(self, uid: int, gid: int) -> None:
        """Make an ordinary user the owner of the instance."""
        for folder, _, names in os.walk(self.base):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                os.chown(path, uid, gid, follow_symlinks=False)
