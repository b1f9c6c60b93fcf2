"""The causes that the kernel and the system only suggest: heard after what the server itself says (``signatures``)."""

from __future__ import annotations

from typing import Final

from cluster_glue.diagnosis.evidence import STALLED, START_FAILED
from cluster_glue.diagnosis.rule import ALWAYS, COLLECTED, MUTE, Rule
from ocf.faults import Kind

# The kernel warns of a flood too when nobody accepts: then the accept queue is full, and the others wait behind it.
_NOT_FULL = r"^\S+:{port} is held by this server; \d+ of \d+ connections wait$"

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
        ("processes", rf"{COLLECTED} (?P<busy>[7-9]\d|100) % of its processor time"),
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
        also=(("probe", r"^(mute|not-accepting): "), ("sockets", MUTE)),
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
