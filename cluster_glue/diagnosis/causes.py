"""The causes that the kernel and the system prove, in a few declarative lines each; the strongest proof first.

A rule is a pattern that is searched in the lines of one item of evidence, and patterns that other items must show
besides. ``{main}``, ``{family}`` and ``{ports}`` in a pattern stand for pids and ports of the server, and named groups
of earlier patterns can be used in later ones and in the reason. What a server itself says is in its own file
(``signatures``) and comes between :data:`STRONG` and :data:`WEAK`. ``python -m cluster_glue.diagnosis.page`` prints
``docs/causes.rst``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cluster_glue.diagnosis.evidence import DIED, STALLED, START_FAILED
from ocf.faults import Kind

ALWAYS: Final = (DIED, STALLED, START_FAILED)


@dataclass(frozen=True, slots=True)
class Rule:
    """One cause and what proves it. ``proof`` and ``also`` are an item's name and a pattern for one of its lines."""

    cause: str
    kind: Kind
    moments: tuple[str, ...]
    proof: tuple[str, str]
    reason: str
    advice: str = ""
    also: tuple[tuple[str, str], ...] = ()


_OTHER = r"from (?P<who>pid \d+ \(.*?\))(, started by [^,]* \(\d+\)(, [^,]* \(\d+\))*)?$"
_MAIN = r"to the main process \(pid (?P<pid>\d+)\)"
_GENTLE = r"(?P<signal>SIG(TERM|INT|QUIT|WINCH|USR1|HUP))"
_KILLED = "the main process (pid {pid}) was ended by {signal}, sent by {who}"
_ASK = "ask its user; if it is a script, let it use `koboshi stop`"
_DISK = r"EXT4-fs error|XFS.*(Corruption|Shutting down)|Remounting filesystem read-only|I/O error, dev \S+"
_MUTE = r"^no answer was given"
_UNTRUSTED = r"^certificate-invalid: .*its certificate is not valid: "
_NOT_RENEWED = "a restart with the same certificate changes nothing"
_COLLECTED = r"\) collected garbage for ([5-9]|[1-9]\d|100) % of \S+ s,"
_COLLECTS = rf"{_COLLECTED} (?P<busy>[5-9]\d|100) % of its processor time"
_HEAP = "raise the heap (-Xmx in catalina_opts) or mend the leak"
_CLASSES = "raise -XX:MaxMetaspaceSize, or find what defines classes without end"
# The kernel warns of a flood too when nobody accepts: then the accept queue is full, and the others wait behind it.
_NOT_FULL = r"^\S+:{port} is held by this server; \d+ of \d+ connections wait$"
_OOM_ADVICE = "give it more memory, or let it use less (fewer workers, a smaller heap)"

#: What proves more than the server's own words.
STRONG: Final = (
    Rule(
        *("oom-killed", Kind.RESOURCE, (DIED,)),
        ("kernel", r"[Oo]ut of memory: Killed process (?P<pid>{main}) \((?P<comm>[^)]*)\).*anon-rss:(?P<rss>\d+)kB"),
        "memory ran out, and the kernel killed the main process {comm} (pid {pid}), which held {rss} KiB",
        _OOM_ADVICE,
    ),
    Rule(
        *("killed", Kind.RESOURCE, (DIED,)),
        ("signals", rf"^(?P<signal>SIG\w+) {_MAIN} {_OTHER}"),
        *(_KILLED, _ASK),
        also=(("exit", r"^exit status -\d+ \({signal}\)$"),),
    ),
    Rule(
        *("killed", Kind.RESOURCE, (DIED,)),
        ("signals", rf"^(?P<signal>SIGKILL) {_MAIN} {_OTHER}"),
        *(_KILLED, _ASK),
        also=(("exit", r"^not known$"),),
    ),
    Rule(
        *("killed", Kind.RESOURCE, (DIED,)),
        ("signals", rf"^{_GENTLE} {_MAIN} {_OTHER}"),
        *(_KILLED, _ASK),
        also=(("exit", r"^(exit status (0|1|130|143)|exit status -\d+ \({signal}\)|not known)$"),),
    ),
    Rule(
        *("oom-killed", Kind.RESOURCE, (DIED,)),
        ("groups", r"^\d+ processes killed for lack of memory in .*"),
        "memory ran out in its control group, and the kernel killed the main process",
        _OOM_ADVICE,
        also=(("exit", r"^exit status -9 "),),
    ),
    Rule(
        *("jvm-crash", Kind.RESOURCE, (DIED,)),
        ("hs_err", r"^#\s+(?P<signal>SIG\w+|EXCEPTION\w+|Internal Error)\b.*"),
        "the JVM crashed ({signal}) and left a report",
        "look at the frame that the report names: a native library, or a defect of the JVM",
    ),
    Rule(
        *("crashed", Kind.RESOURCE, (DIED,)),
        ("kernel", r"\[{main}\]: (?P<what>segfault|trap \w+|general protection)\b.*?( in (?P<library>[^\[\s]+).*)?$"),
        "the main process crashed ({what}) in {library}",
        "look at the library and the module that uses it",
    ),
    Rule(
        *("oom-killed", Kind.RESOURCE, (STALLED,)),
        ("kernel", r"[Oo]ut of memory: Killed process (?P<pid>{family}) \((?P<comm>[^)]*)\).*anon-rss:(?P<rss>\d+)kB"),
        "memory ran out, and the kernel killed its process {comm} (pid {pid}), which held {rss} KiB",
        _OOM_ADVICE,
    ),
    Rule(
        *("stopped", Kind.RESOURCE, (STALLED,)),
        ("signals", rf"^(?P<signal>SIGSTOP|SIGTSTP) to (?P<whom>.*?) {_OTHER}"),
        "{whom} was stopped by {signal}, sent by {who}",
        _ASK,
        also=(("probe", r"^stopped: .*"),),
    ),
    Rule(
        *("stopped", Kind.RESOURCE, (STALLED,)),
        ("signals", rf"^(?P<signal>SIGSTOP|SIGTSTP) to (?P<whom>.*?) {_OTHER}"),
        "{whom} was stopped by {signal}, sent by {who}",
        _ASK,
        also=(("processes", r"^all \d+ working processes are stopped"),),
    ),
    Rule(
        *("stopped", Kind.RESOURCE, (STALLED,)),
        ("processes", r"^(?P<whom>all \d+ working processes are stopped) \(state T\)"),
        "{whom}: they do nothing and take no signal but SIGKILL and SIGCONT",
    ),
    Rule(
        *("disk-stall", Kind.HOST, (STALLED,)),
        ("kernel", r"INFO: task (?P<comm>.*):(?P<pid>{family}) blocked for more than (?P<seconds>\d+) seconds"),
        "{comm} (pid {pid}) hangs in the kernel for more than {seconds} s: its disk or file server does not answer",
        "mend the disk or the file server",
    ),
    Rule(
        *("disk-read-only", Kind.HOST, (STALLED, START_FAILED)),
        ("kernel", rf"(?P<what>{_DISK})"),
        "its disk fails: {what}",
        "replace the disk; the data may be damaged",
        also=(("disks", r"is mounted read-only$"),),
    ),
    Rule(
        *("deadlock", Kind.RESOURCE, (STALLED,)),
        ("threads", r"^deadlock found by the JVM between (?P<who>.*)"),
        "threads of the JVM wait for each other for ever: {who}",
        "the dump in the evidence shows the locks; the application takes them in two orders",
    ),
    Rule(
        *("metaspace-exhausted", Kind.RESOURCE, (STALLED,)),
        ("threads", r"^the metaspace is (9[5-9]|1\d\d) % full: (?P<used>\d+) of (?P<most>\d+) KiB"),
        "its metaspace is full ({used} of {most} KiB), and {busy} % of its processor time go into collecting garbage",
        _CLASSES,
        also=(("processes", _COLLECTS),),
    ),
    Rule(
        *("heap-exhausted", Kind.RESOURCE, (STALLED,)),
        ("threads", r"^the heap is (9\d|100) % full: its .* holds (?P<used>\d+) of (?P<most>\d+) KiB"),
        "its heap is full ({used} of {most} KiB), and {busy} % of its processor time go into collecting garbage",
        _HEAP,
        also=(("processes", _COLLECTS),),
    ),
    Rule(
        *("fd-limit", Kind.RESOURCE, (STALLED,)),
        ("processes", r"^pid (?P<pid>\d+) \((?P<comm>.*)\) has (?P<count>\d+) of \d+ files open: at its limit"),
        "{comm} (pid {pid}) has all {count} files open that it may have",
        "raise its limit of open files, or find what it does not close",
    ),
    Rule(
        *("close-wait-leak", Kind.RESOURCE, (STALLED,)),
        ("sockets", r"^(?P<count>\d+) connections that clients closed are still open in the server"),
        "it leaks connections: {count} were closed by clients and never by the server",
        "the application does not close what it was given",
    ),
    Rule(
        *("local-ports-exhausted", Kind.HOST, (STALLED,)),
        ("log", r"(\(99\)|\(99: |errno 99).*(upstream|AH00957|back.?end|connect)"),
        "no local port is left for connections to the back end",
        "see ss -tan state time-wait; widen net.ipv4.ip_local_port_range or keep connections alive",
        also=(("probe", r"status 50[0234]$"),),
    ),
    Rule(
        *("port-taken", Kind.HOST, (STALLED, START_FAILED)),
        ("listeners", r"^(?P<where>\S+) is held by somebody else: (?P<who>.*?); \d+ of"),
        "{where} is held by {who}",
        "end it, or move it to another port",
    ),
    Rule(
        *("name-resolution", Kind.DEPENDENCY, (STALLED,)),
        ("sockets", r"^(?P<count>\d+) threads wait for the name server (?P<where>\S+), for \d+ clients"),
        "the name server {where} does not answer: {count} threads wait for it",
        "mend the name server, or write the back end's address; the server in front of it is well",
        also=(("probe", r"^(mute|not-accepting): "), ("sockets", _MUTE)),
    ),
    Rule(
        *("backend-slow", Kind.DEPENDENCY, (STALLED,)),
        ("sockets", r"^(?P<count>\d+) requests to (?P<where>\S+) wait for its answer, for (?P<clients>\d+) clients"),
        "the back end {where} does not answer: {count} requests wait for it",
        "mend the back end; the server in front of it is well",
        also=(("probe", r"^(mute|not-accepting): "), ("sockets", _MUTE)),
    ),
    Rule(
        *("certificate-expired", Kind.CONFIGURATION, (STALLED,)),
        ("probe", rf"{_UNTRUSTED}certificate has expired"),
        "its certificate has expired, so that clients refuse it",
        f"renew it and reload the server; {_NOT_RENEWED}",
    ),
    Rule(
        *("certificate-not-yet-valid", Kind.CONFIGURATION, (STALLED,)),
        ("probe", rf"{_UNTRUSTED}certificate is not yet valid"),
        "its certificate is not valid yet, so that clients refuse it",
        f"is the clock of this machine right? {_NOT_RENEWED}",
    ),
    Rule(
        *("name-resolution", Kind.DEPENDENCY, (STALLED,)),
        ("log", r"(AH00898: .*DNS lookup failure for|\[error\].* \S+ could not be resolved).*"),
        "the name of a back end has no address",
        "is DNS there? the server in front of it is well",
        also=(("probe", r"^wrong-answer: .*status (?P<status>50[0234])$"),),
    ),
    Rule(
        *("backend-down", Kind.DEPENDENCY, (STALLED,)),
        ("probe", r"^wrong-answer: .*status (?P<status>502|504)$"),
        "it answers with {status}: what it forwards to does not work",
        "mend the back end; the server in front of it is well",
    ),
    Rule(
        *("slow-clients", Kind.RESOURCE, (STALLED,)),
        ("sockets", r"^of \d+ clients (?P<what>\d+ have sent nothing and \d+ send their request a few bytes).*"),
        "clients hold its workers with requests that they do not finish: {what} at a time",
        "limit the time for a request (mod_reqtimeout, client_header_timeout) and the connections of one client",
        also=(("probe", r"^(mute|not-accepting): "), ("sockets", _MUTE)),
    ),
)  # fmt: skip

#: What counts where the server itself says nothing that names a cause, or only that it has much to do.
WEAK: Final = (
    Rule(
        *("acceptor-dead", Kind.RESOURCE, (STALLED,)),
        ("threads", r"^(?P<connector>\S+): its thread that accepts connections \(Acceptor\) is gone"),
        "the thread of {connector} that accepts connections has ended, and its JVM lives on",
        "an Error that nobody caught ended it; the log may name it",
    ),
    Rule(
        *("poller-dead", Kind.RESOURCE, (STALLED,)),
        ("threads", r"^(?P<connector>\S+): its thread that reads requests \(Poller\) is gone"),
        "the thread of {connector} that reads requests has ended, and its JVM lives on",
        "an Error that nobody caught ended it; the log may name it",
    ),
    Rule(
        *("gc-exhausted", Kind.RESOURCE, (STALLED,)),
        ("processes", rf"{_COLLECTED} (?P<busy>[7-9]\d|100) % of its processor time"),
        "it does little but collect garbage: {busy} % of its processor time go into that",
        "its heap or its metaspace is too small or leaks, or one collection takes too long",
        also=(("probe", r"^(mute|not-accepting): "),),
    ),
    Rule(
        *("overload", Kind.DEPENDENCY, (STALLED,)),
        ("sockets", r"^the server works on: .*"),
        "more is asked of it than it can do: it works on, but not on this probe",
        "a restart would only lose what it has done; give it more workers or less load",
        also=(("probe", r"^(mute|not-accepting): "),),
    ),
    Rule(
        *("threads-stuck", Kind.RESOURCE, (STALLED,)),
        ("threads", r"^no request thread of \S+ is free, and (?P<count>\d+) of \d+ hang in (?P<place>\S+)"),
        "no thread is free to serve: {count} hang in {place}",
        "the dump in the evidence shows what they wait for",
        also=(("processes", r"\) collected garbage for \d+ % of \S+ s, [1-4]?\d % of its processor time"),),
    ),
    Rule(
        *("connection-limit", Kind.RESOURCE, (STALLED,)),
        ("threads", r"^(?P<connector>\S+): its acceptor waits until a connection ends"),
        "as many connections are open at {connector} as it may have, so it takes no more",
        "raise maxConnections, or close what is idle sooner (connectionTimeout, keepAliveTimeout)",
    ),
    Rule(
        *("spinning", Kind.RESOURCE, (STALLED,)),
        ("processes", r"^its processes kept (?P<share>\S+) processors busy for (?P<seconds>\S+) s"),
        "it computes ({share} processors for {seconds} s) and gives no answer",
        "the kernel stacks and the log in the evidence may show the request",
        also=(("probe", r"^(mute|not-accepting): "), ("sockets", _MUTE)),
    ),
    Rule(
        *("blocked", Kind.RESOURCE, (STALLED,)),
        ("processes", r"^pid (?P<pid>\d+) \((?P<comm>.*)\) hangs in the kernel \(state D\) in (?P<where>\S+) in two"),
        "{comm} (pid {pid}) hangs in the kernel in {where}",
        "a disk or file server does not answer",
    ),
    Rule(
        *("process-limit", Kind.RESOURCE, ALWAYS),
        ("groups", r"^\d+ forks refused by the limit of processes in (?P<where>\S+)"),
        "the limit of processes in {where} is reached",
        "raise pids.max (TasksMax of its unit)",
    ),
    Rule(
        *("disk-full", Kind.HOST, (START_FAILED,)),
        ("disks", r"^the disk of (?P<path>\S+) (is full|has no inode left).*"),
        "the disk of {path} is full",
        "make room",
    ),
    Rule(
        *("syn-flood", Kind.DEPENDENCY, (STALLED,)),
        ("sockets", r"^(?P<count>\d+) half-open connections .* which have room for (?P<room>\d+)$"),
        "{count} half-open connections fill its queues, which have room for {room}: a SYN flood, or answers are lost",
        "set net.ipv4.tcp_syncookies to 1; a larger backlog or a filter in front",
        also=(("probe", r"^not-accepting: "),),
    ),
    Rule(
        *("syn-flood", Kind.DEPENDENCY, (STALLED,)),
        ("kernel", r"[Pp]ossible SYN flooding on port (?P<where>\S*?(?P<port>{ports}))\. "),
        "more connections are begun on port {where} than its queue can hold",
        "a larger backlog (ListenBacklog, net.core.somaxconn) or a filter in front",
        also=(("listeners", _NOT_FULL),),
    ),
    Rule(
        *("conntrack-full", Kind.HOST, (STALLED,)),
        ("tables", r"^connection tracking table: (?P<used>\d+) of \d+ entries: full$"),
        "the kernel's table of connections is full ({used} entries), so packets are dropped",
        "raise net.netfilter.nf_conntrack_max, or exempt the service's ports from tracking",
        also=(("kernel", r"nf_conntrack: table full(?: in netns \d+)?, dropping packet"),),
    ),
    Rule(
        *("system-file-limit", Kind.HOST, ALWAYS),
        ("kernel", r"VFS: file-max limit (?P<limit>\d+) reached"),
        "all {limit} files of the whole system are open",
        "raise fs.file-max",
    ),
)  # fmt: skip

#: What counts when there is nothing else.
LAST: Final = (
    Rule(
        *("acceptor-stalled", Kind.RESOURCE, (STALLED,)),
        ("listeners", r"^\S+:(?P<port>\d+) is held by this server; (?P<depth>\d+) of \d+ connections wait: full"),
        "the acceptor of {connector} takes no connection, though {depth} wait",
        "the dump in the evidence shows its threads; a debugger may hold one",
        also=(("threads", r"^(?P<connector>\S+-{port}): its acceptor stands in accept"),),
    ),
    Rule(
        *("accept-queue-full", Kind.RESOURCE, (STALLED,)),
        ("listeners", r"^(?P<where>\S+) is held by this server; (?P<depth>\d+) of \d+ connections wait: full"),
        "it does not take connections: {depth} wait at {where}, and more do not fit",
    ),
)
