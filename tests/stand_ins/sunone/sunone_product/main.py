"""Which of the processes this is, by argv[0]; and the two small helpers of the scripts."""

import os
import sys

from sunone_product import configuration, place, primordial, watchdog, wire
from sunone_product.journal import Journal


def main() -> None:
    """Entry of the copied interpreters: ``NAME -d CONFIG …`` runs CONFIG/__main__.py, which comes here."""
    words = list(sys.orig_argv)
    words[0] = os.path.basename(words[0])
    where = place.from_command_line(words)
    roles = {"webservd-wdog": watchdog.main, "uxwdog": watchdog.main, "svrctl": reconfigure, "parsexml": parse_xml}
    status = roles.get(words[0], primordial.main)(where)
    sys.stdout.flush()
    os._exit(status)


def reconfigure(where: place.Place) -> int:
    """Ask the running server to take its new configuration, and wait for ever for the answer."""
    channel = wire.connect(where.admin_socket)
    if channel is None:
        return 1
    wire.send(channel, {"reconfig": True})
    answer, _ = wire.receive(channel)
    lines = answer["reconfigured"] if answer else ["failure: no answer"]
    for line in lines:  # type: ignore[attr-defined]
        print(line, file=sys.stderr)
    return 1 if answer is None or "failure" in str(lines) else 0


def parse_xml(where: place.Place) -> int:
    """``parsexml -d CONFIG -r ROOT -t X -u strict|loose``: two lines, temp path and user."""
    try:
        temp, user = configuration.temp_and_user(where, strict=where.user == "strict")
    except configuration.Broken as broken:
        for severity, text in broken.lines:
            Journal(where).say(severity, text)
            Journal(where).syslog("webservd", f"{severity}: {text}")
        return 1
    print(f"{temp}\n{user}")
    return 0
