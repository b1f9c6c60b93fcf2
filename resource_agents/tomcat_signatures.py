"""Lines of Tomcat, of its JVM and of its start scripts that name a cause.

A stack trace is one record: :func:`records` joins the line that was logged with the exceptions below it, because only
both together say why; a JVM tells in a second line why it could not begin. All texts were recorded from Tomcat 10.1 on
OpenJDK 17, save those of older releases. A JVM that had no memory for something answers on for a while, with whatever
could not be made missing: that is an omen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ocf.faults import Kind
from resource_agents.server import Signature

_CONNECTOR = r"Failed to (initialize|start) component \[Connector\["
_EXCEPTION = re.compile(r"^\s*(Caused by: )?[\w.$]+(Exception|Error)\b")
_INITIAL = "Error occurred during initialization of VM"
_FREE = "free the port, or give the connector another one in server.xml"
_HEAP = "raise the heap (-Xmx in catalina_opts) or mend the leak; -XX:+ExitOnOutOfMemoryError ends the JVM at once"
_METASPACE = "raise -XX:MaxMetaspaceSize, or find what defines classes without end"
_DIRECT = "raise -XX:MaxDirectMemorySize, or find what does not let its buffers go"
_THREADS = "raise pids.max (TasksMax of its unit) or ulimit -u of its user, or find who starts threads without end"

SIGNATURES = (
    Signature(_CONNECTOR + r".*Address already in use", "port-taken", Kind.HOST, _FREE),
    Signature(_CONNECTOR + r".*Cannot assign requested address", "service-address-missing", Kind.HOST),
    Signature(
        _CONNECTOR + r".*Permission denied", "no-privilege-for-port", Kind.CONFIGURATION, "use a port from 1024 on"
    ),
    Signature(r"AJP Connector is configured with secretRequired", "ajp-secret-missing", Kind.CONFIGURATION),
    Signature(
        _CONNECTOR + r".*(SSLContext|[Kk]eystore|[Cc]ertificate|UnrecoverableKey)",
        "certificate-or-key",
        Kind.CONFIGURATION,
    ),
    Signature(_CONNECTOR, "connector-not-listening", Kind.RESOURCE, "the JVM lives on without this connector"),
    Signature(
        r"Failed to create server shutdown socket",
        "shutdown-port-taken",
        Kind.HOST,
        "end what holds the shutdown port, or give <Server port> another one; -1 switches it off",
    ),
    Signature(r"OutOfMemoryError: Java heap space", "heap-exhausted", Kind.RESOURCE, _HEAP, omen=True),
    Signature(r"OutOfMemoryError: GC overhead limit", "gc-exhausted", Kind.RESOURCE, _HEAP, omen=True),
    Signature(r"OutOfMemoryError: Metaspace", "metaspace-exhausted", Kind.RESOURCE, _METASPACE, omen=True),
    Signature(
        r"OutOfMemoryError: [Uu]nable to create (new )?native thread",
        "thread-limit",
        Kind.RESOURCE,
        _THREADS,
        omen=True,
    ),
    Signature(r"pthread_create failed \(EAGAIN\)", "thread-limit", Kind.RESOURCE, _THREADS, omen=True),
    Signature(
        r"OutOfMemoryError: .*[Dd]irect buffer memory", "direct-memory-exhausted", Kind.RESOURCE, _DIRECT, omen=True
    ),
    Signature(r"OutOfMemoryError: \w", "memory-exhausted", Kind.RESOURCE),
    Signature(r"fatal error has been detected by the Java Runtime", "jvm-crash", Kind.RESOURCE, "see hs_err_pid*.log"),
    Signature(r"Could not reserve enough space", "memory-short", Kind.HOST, "the heap does not fit into the memory"),
    Signature(r"Could not create the Java Virtual Machine", "java-options", Kind.CONFIGURATION),
    Signature(r"Error occurred during initialization of VM", "java-options", Kind.CONFIGURATION),
    Signature(r"Parse (fatal )?error at line \[\d+\]", "config-error", Kind.CONFIGURATION),
    Signature(r"Unable to load server configuration", "config-error", Kind.CONFIGURATION),
    Signature(r"Server instance is not configured", "config-error", Kind.CONFIGURATION),
    Signature(r"Too many open files", "fd-limit", Kind.RESOURCE, "raise the limit of open files of the Tomcat user"),
    Signature(r"No space left on device", "disk-full", Kind.HOST),
    Signature(
        r"Executor rejected socket|Socket processing request was rejected|Task \[.*\] rejected",
        "thread-pool-rejecting",
        Kind.RESOURCE,
    ),
    Signature(r"may be stuck", "threads-stuck", Kind.RESOURCE),
    Signature(r"Found \w+ Java-level deadlock", "deadlock", Kind.RESOURCE),
    Signature(r"startup failed due to previous errors", "application-failed", Kind.DEPENDENCY),
    Signature(r"Could not contact \[\S+:\d+\]", "stop-port-dead", Kind.RESOURCE),
    Signature(r"JAVA_HOME environment variable is not defined", "java-missing", Kind.HOST),
    Signature(r"cannot create \S+: ", "log-unwritable", Kind.HOST, "let tomcat_user write to catalina_out"),
)


def records(lines: Iterable[str]) -> Iterator[str]:
    """Log records: each line with the exceptions of its stack trace behind it, the frames left out."""
    record = ""
    for line in lines:
        if record and (_EXCEPTION.match(line) or record == _INITIAL):
            record += " " + line.strip()
        elif not re.match(r"^\s+(at |\.\.\. \d+ more)", line):
            if record:
                yield record
            record = line
    if record:
        yield record
