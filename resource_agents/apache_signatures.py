"""Lines of Apache's own output that name a cause (httpd 2.2 and 2.4; numbers from httpd's sources).

The first line that fits decides, so what stands behind another message is named before the message that follows it.
"""

from __future__ import annotations

from ocf.faults import Kind
from resource_agents.server import Signature

_RAISE = "look for a slow backend first, then raise MaxRequestWorkers (above ServerLimit only with a full restart)"
_SYNTAX = r"Syntax error on line (?P<line>\d+) of (?P<file>[^:]+):"
_TLS = "look at SSLCertificateFile and SSLCertificateKeyFile: readable, unexpired, and made for each other?"
_ROOM = "make room, or move the log"
_BIND = r"(AH00072|make_sock: could not bind)"

SIGNATURES: tuple[Signature, ...] = (
    Signature(rf"\(98\).*{_BIND}", "port-taken", Kind.HOST, "end what holds the address, or change Listen"),
    Signature(rf"\(99\).*{_BIND}", "service-address-missing", Kind.HOST, "is the cluster's address up on this node?"),
    Signature(rf"\(13\).*{_BIND}", "no-privilege-for-port", Kind.CONFIGURATION, "only root may open ports below 1024"),
    Signature(_BIND, "bind-failed", Kind.HOST),
    Signature(
        r"(No space left|\(28\)).*(AH00023|accept mutex|accept lock|create the \S+ mutex)",
        "semaphore-exhaustion",
        Kind.RESOURCE,
        "see ipcs -s: remove the sets of dead servers, or raise kernel.sem",
    ),
    Signature(r"\(28\)No space left on device", "disk-full", Kind.HOST, _ROOM),
    Signature(r"\(30\)Read-only file system", "disk-read-only", Kind.HOST, "the disk has failed or is mounted so"),
    Signature(
        r"AH00089|AH00104|AH00106|Couldn't start .*(ErrorLog|piped log) process",
        "piped-log-failed",
        Kind.CONFIGURATION,
        "the program after | in ErrorLog or CustomLog does not start",
    ),
    Signature(
        r"AH00091|AH02291|AH00649|could not open error log", "log-unwritable", Kind.CONFIGURATION, "make its folder"
    ),
    Signature(r"AH00099|AH00100|could not log pid", "pid-file", Kind.HOST, "make the folder of PidFile"),
    Signature(r"AH00058|AH00059|Error retrieving pid file", "pid-file", Kind.HOST, "remove the broken PidFile"),
    Signature(
        r"AH00543|AH00544|AH02155|AH0215[6-9]|AH0216[0-2]|bad (user|group) name", "user-or-group", Kind.CONFIGURATION
    ),
    Signature(
        rf".*{_SYNTAX}.*Cannot load (?P<module>\S+) into server", "module-missing", Kind.CONFIGURATION, "install it"
    ),
    Signature(rf".*{_SYNTAX} (SSL|GnuTLS)\w+: file .* does not exist", "certificate-or-key", Kind.CONFIGURATION, _TLS),
    Signature(rf".*{_SYNTAX}", "config-error", Kind.CONFIGURATION, "correct the line"),
    Signature(
        r"AH02561|AH02562|AH02564|AH02565|AH02572|AH02574|AH02577|AH02580|AH02604|SSL Library Error|AH02312",
        "certificate-or-key",
        Kind.CONFIGURATION,
        _TLS,
    ),
    Signature(
        r"AH00534|AH00526|AH0001[346789]|AH00020|Configuration (check )?[Ff]ailed", "config-error", Kind.CONFIGURATION
    ),
    Signature(r"AH00161|AH00286|AH00484", "worker-limit-reached", Kind.RESOURCE, _RAISE),
    Signature(r"AH00288|AH00485|AH03490|scoreboard is full", "scoreboard-full", Kind.RESOURCE, "raise ServerLimit"),
    Signature(r"AH0005[12]|child pid \d+ exit signal", "child-crash-loop", Kind.RESOURCE, "see the signal: a module?"),
    Signature(r"AH00050|AH00155|AH00280|child process .* returned a Fatal error", "child-fatal", Kind.RESOURCE),
    Signature(
        r"AH00159|AH00283|AH00481|fork: Unable to fork", "process-limit", Kind.HOST, "raise the limit of processes"
    ),
    Signature(r"AH00282|AH00480|AH03104|AH03142|unable to create worker thread", "thread-limit", Kind.CONFIGURATION),
    Signature(r"AH02324|AH02325", "start-resource-shortage", Kind.HOST),
    Signature(
        r"AH00156|AH03285|AH00495|AH02176|\(24\)Too many open files", "fd-limit", Kind.RESOURCE, "raise ulimit -n"
    ),
    Signature(r"AH01238|AH01239", "cgid-died", Kind.RESOURCE),
    Signature(r"AH0004[567]", "hung-child-at-stop", Kind.RESOURCE),
    Signature(r"AH00060", "parent-crash", Kind.RESOURCE),
    Signature(r"AH1039[23]", "child-kill-storm", Kind.RESOURCE),
    Signature(r"AH00898: .*DNS lookup failure", "name-resolution", Kind.DEPENDENCY, "is DNS there?"),
    Signature(
        r"AH00957|AH01114|AH00896|AH00897|AH00898|AH01102",
        "backend-down",
        Kind.DEPENDENCY,
        "Apache works; what it forwards to does not",
    ),
)
