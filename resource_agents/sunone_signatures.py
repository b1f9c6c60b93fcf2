"""Lines of a Sun ONE instance's own output that name a cause, the strongest proof first.

Found in ``logs/errors``, in syslog (idents ``webservd-wdog`` and ``webservd``: start-up errors of server.xml are only
there and on startserv's own stderr), and on startserv's stderr. Codes of 7.0; those of 6.x carry the same numbers where
both have them. The line "temporary directory  is not writable" with an empty name follows every unreadable server.xml
and proves nothing, so no pattern matches it.
"""

from __future__ import annotations

from ocf.faults import Kind
from resource_agents.server import Signature

_BIND = r"(?:HTTP3127|could not bind to)\b.*"

SIGNATURES = (
    Signature(r"\bCONF\d{4}: ", "config-error", Kind.CONFIGURATION, "correct server.xml or obj.conf"),
    Signature(r"\bCORE3235\b", "config-error", Kind.CONFIGURATION, "correct obj.conf"),
    Signature(r"\bCORE(?:3170|3186|3187)\b|\bHTTP3199\b", "config-error", Kind.CONFIGURATION),
    Signature(r"\bCORE3296\b", "no-such-user", Kind.CONFIGURATION, "make the user, or name another in <user>"),
    Signature(
        r"\bCORE1227\b.*BAD_PASSWORD|end-of-file while reading password|\bCORE1247\b",
        "key-password",
        Kind.CONFIGURATION,
        "an unattended start needs the pin of the key database in server.xml",
    ),
    Signature(r"\bCORE1234\b", "certificate-expired", Kind.CONFIGURATION, "renew the certificate"),
    Signature(r"\bCORE(?:1227|1285)\b", "certificate", Kind.CONFIGURATION),
    Signature(r"wrong ELF class", "plugin-bitness", Kind.CONFIGURATION, "plug-in and server differ in 32/64 bit"),
    Signature(_BIND + r"\(Address already in use\)", "port-taken", Kind.HOST, "see who listens there: ss -ltnp"),
    Signature(
        _BIND + r"\((?:Address not available|Cannot assign requested address)\)",
        "service-address-missing",
        Kind.HOST,
        "the service address is not on this node",
    ),
    Signature(
        _BIND + r"\((?:Permission denied|No access rights)\)",
        "no-privilege-for-port",
        Kind.CONFIGURATION,
        "ports below 1024 need root at the start",
    ),
    Signature(r"\bHTTP(?:3126|3094)\b", "listen-failed", Kind.RESOURCE),
    Signature(
        r"\bCORE(?:3192|3259)\b", "temp-dir-security", Kind.CONFIGURATION, "give the temp path to <user>, mode 0700"
    ),
    Signature(r"temporary directory \S+ is not writable", "temp-dir-unwritable", Kind.CONFIGURATION),
    Signature(r"\bCORE(?:3168|3160|3013)\b", "pid-file", Kind.CONFIGURATION, "see PidLog and who may write there"),
    Signature(r"logging initialization failed", "log-unwritable", Kind.HOST, "does the log directory exist here?"),
    Signature(r"\bCORE(?:3352|3082|3176)\b", "thread-limit", Kind.HOST, "raise the user's process limit"),
    Signature(r"\bCORE3279\b", "reload-refused", Kind.CONFIGURATION, "the old configuration goes on serving"),
    Signature(r"\bHTTP2122\b", "config-error", Kind.CONFIGURATION, "obj.conf names a function that does not exist"),
    Signature(r"\bCORE(?:3260|3261|3262)\b", "crash", Kind.RESOURCE, "the watchdog restarts it; see the module named"),
    Signature(r"server terminated \(signal \d+\): watchdog exiting", "watchdog-gave-up", Kind.RESOURCE),
    Signature(r"server exit: status \d+", "watchdog-gave-up", Kind.RESOURCE),
    Signature(r"server terminated \(signal \d+\)", "crash", Kind.RESOURCE, "the watchdog restarts it"),
    Signature(r"\bCORE3144\b|\bCORE3311\b", "watchdog-gone", Kind.RESOURCE, "without a watchdog nothing mends it"),
    Signature(r"\bHTTP(?:3360|3287)\b", "connection-limit", Kind.RESOURCE, "see the limit of open files (CORE3361)"),
    Signature(r"\bHTTP3069\b", "accept-failed", Kind.RESOURCE),
    Signature(r"\bCORE(?:3050|3049|3071)\b", "worker-died", Kind.RESOURCE),
    Signature(r"server not responding to exit command", "stop-hung", Kind.RESOURCE),
    Signature(r"\bHTTP3091\b", "access-log-unwritable", Kind.CONFIGURATION, "<user> must be able to write it"),
    Signature(r"\bCORE3361\b", "fd-limit", Kind.CONFIGURATION, "raise the limit of open files"),
    Signature(r"server initialization failed", "start-failed", Kind.RESOURCE),
)
