"""Which files a server must be able to write to when it starts, and which names TLS clients have for it."""

from __future__ import annotations

from pathlib import Path

from resource_agents.apache import Apache
from resource_agents.layouts import Address
from resource_agents.nginx import Nginx

APACHE = """\
ServerRoot {folder}
Listen 8080
Listen 127.0.0.1:8443 https
PidFile run/httpd.pid
ErrorLog logs/error.log
CustomLog logs/access.log combined
CustomLog "|/usr/bin/rotatelogs x 86400" combined
TransferLog syslog
<VirtualHost *:8080>
  ServerName plain.example
  ErrorLog /var/other/error.log
</VirtualHost>
<VirtualHost *:8443>
  ServerName https://safe.example:8443
  SSLEngine on
  SSLCertificateFile a.pem
  ErrorLog syslog:local1
</VirtualHost>
"""

NGINX = """\
error_log {folder}/error.log;
error_log syslog:server=127.0.0.1;
pid {folder}/nginx.pid;
events {{ }}
http {{
  access_log off;
  server {{ listen 8080; server_name plain.example; access_log {folder}/$host.log; }}
  server {{ listen 127.0.0.1:8443 ssl; server_name *.example safe.example; access_log {folder}/safe.log main; }}
  server {{ listen 127.0.0.1:8443 ssl; server_name no.example; ssl_reject_handshake on; }}
  server {{ listen 127.0.0.1:9443 ssl proxy_protocol; server_name behind.example; error_log stderr; }}
}}
"""

SAFE = Address("127.0.0.1", 8443, tls=True)


def test_apache_writes_its_logs_and_its_pid_file_and_knows_its_names(tmp_path: Path) -> None:
    file = tmp_path / "httpd.conf"
    file.write_text(APACHE.format(folder=tmp_path))
    layout = Apache({"configfile": str(file)}).layout
    assert set(layout.writes) == {
        f"{tmp_path}/run/httpd.pid",
        f"{tmp_path}/logs/error.log",
        f"{tmp_path}/logs/access.log",
        "/var/other/error.log",
    }
    assert layout.names == ((SAFE, "safe.example"),)


def test_nginx_writes_the_logs_whose_names_it_knows_when_it_starts(tmp_path: Path) -> None:
    file = tmp_path / "nginx.conf"
    file.write_text(NGINX.format(folder=tmp_path))
    layout = Nginx({"configfile": str(file)}).layout
    assert set(layout.writes) == {f"{tmp_path}/error.log", f"{tmp_path}/nginx.pid", f"{tmp_path}/safe.log"}
    assert layout.names == ((SAFE, "safe.example"),)
