"""The causes that the kernel and the system prove, in a few declarative lines each; the strongest proof first.

A rule is a pattern that is searched in the lines of one item of evidence, and patterns that other items must show
besides. ``{main}``, ``{family}`` and ``{ports}`` in a pattern stand for pids and ports of the server, and named groups
of earlier patterns can be used in later ones and in the reason. What a server itself says is in its own file
(``signatures``) and comes between :data:`STRONG` and what is in ``hints``. ``python -m cluster_glue.diagnosis.page``
prints ``docs/causes.rst``.
"""

from __future__ import annotations

from typing import Final

from cluster_glue.diagnosis.evidence import DIED, STALLED, START_FAILED
from cluster_glue.diagnosis.rule import COLLECTED, MUTE, Rule
from ocf.faults import Kind

_OTHER = r"from (?P<who>pid \d+ \(.*?\))(, started by [^,]* \(\d+\)(, [^,]* \(\d+\))*)?$"
_MAIN = r"to the main process \(pid (?P<pid>\d+)\)"
_GENTLE = r"(?P<signal>SIG(TERM|INT|QUIT|WINCH|USR1|HUP))"
_KILLED = "the main process (pid {pid}) was ended by {signal}, sent by {who}"
_ASK = "ask its user; if it is a script, let it use `koboshi stop`"
_DISK = r"EXT4-fs error|XFS.*(Corruption|Shutting down)|Remounting filesystem read-only|I/O error, dev \S+"
_UNTRUSTED = r"^certificate-invalid: .*its certificate is not valid: "
_NOT_RENEWED = "a restart with the same certificate changes nothing"
_COLLECTS = rf"{COLLECTED} (?P<busy>[5-9]\d|100) % of its processor time"
_HEAP = "raise the heap (-Xmx in catalina_opts) or mend the leak"
_CLASSES = "raise -XX:MaxMetaspaceSize, or find what defines classes without end"
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
        also=(("probe", r"^(mute|not-accepting): "), ("sockets", MUTE)),
    ),
    Rule(
        *("backend-slow", Kind.DEPENDENCY, (STALLED,)),
        ("sockets", r"^(?P<count>\d+) requests to (?P<where>\S+) wait for its answer, for (?P<clients>\d+) clients"),
        "the back end {where} does not answer: {count} requests wait for it",
        "mend the back end; the server in front of it is well",
        also=(("probe", r"^(mute|not-accepting): "), ("sockets", MUTE)),
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
        also=(("probe", r"^(mute|not-accepting): "), ("sockets", MUTE)),
    ),
)  # fmt: skip
