"""Lines of nginx's own output that name a cause; recorded from nginx 1.22 unless its sources are named.

The first line that fits decides. A place in the configuration is the ``in FILE:LINE`` at the end of a line.
"""

from __future__ import annotations

from ocf.faults import Kind
from resource_agents.server import Signature

_PLACE = r" in (?P<file>/\S+):(?P<line>\d+)$"
_BAD = r"\[(emerg|crit|alert)\].* "
_TLS = "look at ssl_certificate and ssl_certificate_key: readable, and made for each other?"

SIGNATURES: tuple[Signature, ...] = (
    Signature(r"bind\(\) to .* failed \(98", "port-taken", Kind.HOST, "end what holds the address, or change listen"),
    Signature(r"bind\(\) to .* failed \(99", "service-address-missing", Kind.HOST, "is the cluster's address up here?"),
    Signature(
        r"bind\(\) to .* failed \(13",
        "no-privilege-for-port",
        Kind.CONFIGURATION,
        "only root may open ports below 1024",
    ),
    Signature(r"bind\(\) to .* failed|socket\(\) .* failed \(97", "bind-failed", Kind.HOST),
    Signature(r"failed \(28: No space left", "disk-full", Kind.HOST, "make room, or move the log"),
    Signature(
        r"failed \(30: Read-only file system", "disk-read-only", Kind.HOST, "the disk has failed or is mounted so"
    ),
    Signature(
        r"cannot load certificate|SSL_CTX_use_PrivateKey|no \"ssl_certificate|PEM_read_bio|key values mismatch",
        "certificate-or-key",
        Kind.CONFIGURATION,
        _TLS,
    ),
    Signature(rf"get(pw|gr)nam\(.*failed{_PLACE}", "user-or-group", Kind.CONFIGURATION, "does the user exist here?"),
    Signature(rf"host not found in .*upstream .*{_PLACE}", "name-resolution", Kind.DEPENDENCY, "is DNS there?"),
    Signature(rf"host not found in .*{_PLACE}", "name-resolution", Kind.HOST, "listen on a number, not on a name"),
    Signature(rf"dlopen\(\) .*{_PLACE}", "module-missing", Kind.CONFIGURATION, "install the package with this module"),
    Signature(rf"{_BAD}.*{_PLACE}", "config-error", Kind.CONFIGURATION, "correct the line"),
    Signature(r'\[emerg\].* no "events" section', "config-error", Kind.CONFIGURATION, "is it the right file?"),
    Signature(r"\[emerg\].* could not build .* increase", "config-error", Kind.CONFIGURATION, "increase that value"),
    Signature(r'\[(emerg|crit)\].* open\(\) ".*\.conf" failed', "config-missing", Kind.CONFIGURATION),
    Signature(
        r'\[(emerg|alert)\].* open\(\) ".*\.pid" failed', "pid-file", Kind.HOST, "make the folder of the pid file"
    ),
    Signature(r"could not open error log file|\[emerg\].* open\(\) .* failed", "log-unwritable", Kind.CONFIGURATION),
    Signature(r"\[emerg\].* mkdir\(\) .* failed", "temp-dir", Kind.HOST, "make the folder of the temporary files"),
    Signature(
        r"failed \(24: Too many open files", "fd-limit", Kind.RESOURCE, "raise worker_rlimit_nofile or ulimit -n"
    ),
    Signature(r"worker_connections are not enough", "worker-limit-reached", Kind.RESOURCE, "raise worker_connections"),
    Signature(r"fork\(\) failed .*\(11:", "process-limit", Kind.HOST, "raise the limit of processes"),
    Signature(r"failed \(12: Cannot allocate memory", "out-of-memory", Kind.HOST),
    Signature(r"process \d+ exited on signal \d+", "child-crash-loop", Kind.RESOURCE, "see the signal: a module?"),
    Signature(r"process \d+ exited with fatal code", "child-fatal", Kind.RESOURCE),
    Signature(r"\[error\].* could not be resolved", "name-resolution", Kind.DEPENDENCY, "is DNS there?"),
    Signature(
        r"no live upstreams|upstream timed out|connect\(\) failed .* while connecting to upstream",
        "backend-down",
        Kind.DEPENDENCY,
        "nginx works; what it forwards to does not",
    ),
)
