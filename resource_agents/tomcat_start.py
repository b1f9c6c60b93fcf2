"""How a Tomcat is started: which words its start script wants, where its output goes, its environment.

The start command becomes the JVM (``exec`` all the way), so that the pid we get is the JVM's, or jsvc's. catalina.out
is opened by the Tomcat user and not by root, who could be led astray by a link in a directory of that user.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from enum import Enum

from ocf.programs import PLAIN_ENVIRONMENT
from resource_agents.server import Command

#: $1 is a Start, $2 and $3 are rotatelogs and its seconds or empty, the rest is the start script with its words.
#: jsvc refuses to start over a pid file that names any living process, and catalina.sh does so as well.
_LAUNCH = """
case "$1:$CATALINA_PID" in
    *:) ;;
    java:*) rm -f -- "$CATALINA_PID"; echo $$ >"$CATALINA_PID" ;;
    *) rm -f -- "$CATALINA_PID" ;;
esac
if [ "$1" = script ]; then
    shift 3; exec "$@"
elif [ -n "$2" ]; then
    pipe="$CATALINA_OUT.$$"; mkfifo -m 600 "$pipe" || exit 1
    "$2" -l "$CATALINA_BASE/logs/catalina_%F.log" "$3" <"$pipe" >/dev/null 2>&1 &
    exec >"$pipe" 2>&1; rm -f "$pipe"
else
    exec >>"$CATALINA_OUT" 2>&1
fi
shift 3; exec "$@"
"""


class Start(Enum):
    """What becomes of a start script: the JVM, jsvc with the JVM below it, or nothing: it ends and leaves a JVM."""

    JAVA = "java"
    JSVC = "jsvc"
    SCRIPT = "script"


_WORDS = {"catalina.sh": ("run",), "daemon.sh": ("run",), "tomcat-start.sh": ()}


def way(script: str) -> Start:
    """How this start script starts, by its name."""
    name = os.path.basename(script)
    return Start.JSVC if name == "daemon.sh" else Start.JAVA if name in _WORDS else Start.SCRIPT


def command(script: str, rotatelogs: str, values: Mapping[str, str], environment: Mapping[str, str]) -> Command:
    """The start command; ``rotatelogs`` is that program, or empty."""
    words = (*_WORDS.get(os.path.basename(script), ("start",)), *shlex.split(values["tomcat_start_opts"]))
    rotation = (rotatelogs, values["catalina_rotatetime"])
    argv = ("/bin/sh", "-c", _LAUNCH, "tomcat", way(script).value, *rotation, script, *words)
    user = "" if values["tomcat_user"] == "root" else values["tomcat_user"]
    return Command(argv, environment, user, environment.get("CATALINA_BASE", "/"))


def environment(script: str, home: str, base: str, jsvc: str, values: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the start script. daemon.sh forgets JAVA_OPTS, so they go by CATALINA_OPTS there."""
    by_jsvc = way(script) is Start.JSVC
    named = f"-Dname={values['tomcat_name']} {values['catalina_opts']}"
    own = {
        "JAVA_HOME": values["java_home"],
        "JAVA_OPTS": values["java_opts"],
        "CATALINA_OPTS": (f"{values['java_opts']} {named}" if by_jsvc else named).strip(),
        "CATALINA_HOME": home,
        "CATALINA_BASE": base,
        "CATALINA_OUT": values["catalina_out"] or f"{base}/logs/catalina.out",
        "CATALINA_PID": values["catalina_pid"] or (f"{base}/logs/catalina-daemon.pid" if by_jsvc else ""),
        "CATALINA_TMP": values["catalina_tmpdir"],
        "CATALINA_TMPDIR": values["catalina_tmpdir"],
        "JAVA_ENDORSED_DIRS": values["java_endorsed_dirs"],
        "LOGGING_CONFIG": values["logging_config"],
        "CATALINA_LOGGING_CONFIG": values["logging_config"],
        "LOGGING_MANAGER": values["logging_manager"],
        "JSVC": jsvc if by_jsvc else "",
    }
    return {**PLAIN_ENVIRONMENT, **{name: value for name, value in own.items() if value}}
