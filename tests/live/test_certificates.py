"""The certificate that a server really serves is looked at; it is said what is wrong with it, and nothing is done."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.diagnosed import apache, nginx
from tests.koboshi_daemon import KoboshiDaemon, daemon
from tests.ports import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.live


class Made:
    """A certificate and its key in ``folder``, made anew as often as wanted."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key, self._asked = folder / "made.pem", folder / "key.pem", folder / "asked.pem"

    def expires(self, days: int) -> None:
        """It expires in so many days; below 0: it did so."""
        name = ("-subj", "/CN=localhost", "-keyout", str(self.key), "-out", str(self._asked))
        _openssl("req", "-newkey", "rsa:2048", "-nodes", *name)
        signed = ("-in", str(self._asked), "-signkey", str(self.key), "-out", str(self.certificate))
        _openssl("x509", "-req", "-days", str(days), *signed)


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def configured(agent: str, folder: Path, made: Made, tls: int) -> str:
    """A server with a plain address, and an HTTPS one that has a name."""
    if agent == "nginx":
        files = f"ssl_certificate {made.certificate}; ssl_certificate_key {made.key};"
        return nginx(folder, free_port(), f"server {{ listen 127.0.0.1:{tls} ssl; server_name web.example; {files} }}")
    host = (
        "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so",
        f"Listen 127.0.0.1:{tls} https",
        f"<VirtualHost 127.0.0.1:{tls}>",
        "ServerName web.example",
        "SSLEngine on",
        f"SSLCertificateFile {made.certificate}",
        f"SSLCertificateKeyFile {made.key}",
        "</VirtualHost>",
    )
    return apache(folder, free_port(), "\n".join(host))


def said(koboshi: KoboshiDaemon, message: str, cause: str) -> str:
    """The line with this message and this cause, as soon as it is there."""
    what = f"{message} with {cause}"
    return eventually(lambda: next((x for x in koboshi.lines(message, "web") if cause in x), ""), what=what)


@pytest.mark.parametrize("agent", ["nginx", "apache"])
def test_an_expired_certificate_is_said_until_a_new_one_is_served_and_restarts_nothing(
    tmp_path: Path, agent: str
) -> None:
    made, tls = Made(tmp_path), free_port()
    made.expires(-1)
    with daemon(tmp_path, configured(agent, tmp_path / "web", made, tls)) as koboshi:
        main = koboshi.main("web")
        line = said(koboshi, "degraded", "certificate-expired")
        assert f"served at 127.0.0.1:{tls} and 1 more expired 24 hours ago" in line
        made.expires(90)
        koboshi.do("reload", "web")
        said(koboshi, "eased", f"127.0.0.1:{tls}")
        assert koboshi.main("web").identity == main.identity
        assert not koboshi.incidents("web")


def test_the_end_is_said_some_days_before(tmp_path: Path) -> None:
    made, tls = Made(tmp_path), free_port()
    made.expires(20)
    config = configured("nginx", tmp_path / "web", made, tls) + "certificate_days = 30\n"
    with daemon(tmp_path, config) as koboshi:
        assert "expires in 20 days" in said(koboshi, "sighting", "certificate-expires")
