"""A key with a password.

The stand-in of Sun ONE behaves as the real server was seen to behave, and the agent draws the right conclusion.
See tests/stand_ins/README.rst.
"""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import subprocess
from pathlib import Path

import pytest

from ocf.faults import Kind
from ocf.programs import run
from resource_agents.sunone import SunOne
from resource_agents.sunone_family import Standing
from tests.stand_ins.sunone.handling import cause, end, standing
from tests.stand_ins.sunone.install import Product
from tests.stand_ins.sunone.running import Instance, make
from tests.waiting import eventually

pytestmark = [pytest.mark.live, pytest.mark.skipif(os.geteuid() != 0, reason="the product is started by root")]


@pytest.fixture
def secure(product: Product) -> Instance:
    """A stopped instance whose key has the password "secret"."""
    server = make(product, ssl=True)
    pem = server.directory / "config/server.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-days", "1", "-subj", "/CN=localhost", "-passout", "pass:secret"]
    made = run(["/usr/bin/openssl", *words, "-keyout", str(pem), "-out", f"{pem}.crt"], 60)
    assert made.ok, made.output
    pem.write_text(pem.read_text() + Path(f"{pem}.crt").read_text())
    return server


def https(server: Instance) -> int | None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=context)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def test_a_password_question_without_anybody_to_answer_is_a_quick_named_failure(secure: Instance) -> None:
    command = secure.server.start_command()
    started = run(command.argv, 60, command.env)
    assert started.status == 1
    assert started.output.count("failure: end-of-file while reading password") == 3
    assert "CORE1227" in started.output
    fault = secure.server.explain(started.output.splitlines(), "start failed")
    assert fault is not None and (fault.cause, fault.kind) == ("key-password", Kind.CONFIGURATION)


def test_a_password_on_standard_input_or_a_pin_starts_it(secure: Instance) -> None:
    assert secure.script("startserv", given=b"secret\n").status == 0
    assert https(secure) == 200
    assert secure.answer() == 302, "plain words on the secure port"
    for who in ("worker", "primordial"):
        process = getattr(secure, who)
        end(process)
        eventually(lambda: https(secure) == 200, what=f"an answer without a new question after the {who}'s end")
    assert secure.script("stopserv").status == 0
    pin = "<pkcs11><token><name>internal</name><pin>secret</pin></token></pkcs11></server>"
    secure.edit("server.xml", "</server>", pin)
    assert secure.script("startserv").status == 0
    assert https(secure) == 200
    request = SunOne({"instance_dir": str(secure.directory)}).layout.request
    assert request is not None and request.url == f"https://127.0.0.1:{secure.port}/"


def test_a_start_that_waits_for_a_password_is_half_started(secure: Instance) -> None:
    ask_for_ever, keep_open = os.pipe()
    script = subprocess.Popen(
        [secure.directory / "bin/startserv"], stdin=ask_for_ever, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        eventually(lambda: secure.family().primordials, what="the primordial")
        os.killpg(script.pid, signal.SIGKILL)
        script.wait()
        assert secure.family().watchdog is not None and not secure.pid_file
        assert (secure.temp / "webservd-wdog.socket").exists()
        assert secure.script("stopserv").output.strip() == "server not running"
        assert standing(secure, answered=False, pid_written=False) is Standing.HALF_STARTED
        assert cause(secure, answered=False) == "start-incomplete"
    finally:
        secure.clean()
        os.close(ask_for_ever)
        os.close(keep_open)
