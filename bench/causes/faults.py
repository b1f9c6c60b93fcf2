"""The faults: on which servers, what each must be called, and whether a restart would be wrong."""

from __future__ import annotations

import signal

from bench.causes import hosts, jvm
from bench.causes.fault import Fault
from bench.causes.making import (
    TLS,
    back_end_down,
    broken,
    descriptors,
    disk_full,
    main_stopped,
    oom_group,
    overload,
    paused,
    port_taken,
    semaphores,
    sent,
    slow_back_end,
    slow_loris,
    starved,
    stopped,
)

FAULTS: tuple[Fault, ...] = (
    *(
        Fault(f"{signal.Signals(number).name} by a foreign shell", server, sent(number), ("killed",))
        for server in ("apache", "nginx")
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT)
    ),
    Fault("SIGKILL by a foreign shell", "tomcat", sent(signal.SIGKILL), ("killed",)),
    Fault("SIGKILL by /bin/kill", "nginx", sent(signal.SIGKILL, builtin=False), ("killed",)),
    Fault("OOM in a control group", "tomcat", oom_group, ("oom-killed",)),
    Fault("port stolen", "apache", port_taken, ("port-taken",)),
    Fault("port stolen", "nginx", port_taken, ("port-taken",)),
    Fault("syntax error", "apache", broken("PidFile", "PidFiel"), ("config-error",)),
    Fault("syntax error", "nginx", broken("error_log", "error_lag"), ("config-error",)),
    Fault("module missing", "apache", broken("mod_status.so", "mod_stutas.so"), ("module-missing",)),
    Fault(
        "log directory missing", "apache", broken("{folder}/error.log", "{folder}/no/error.log"), ("log-unwritable",)
    ),
    Fault("log directory missing", "nginx", broken("{folder}/error.log", "{folder}/no/error.log"), ("log-unwritable",)),
    Fault(
        "service address missing",
        "apache",
        broken("Listen 127.0.0.1", "Listen 192.0.2.1"),
        ("service-address-missing",),
    ),
    Fault(
        "service address missing",
        "nginx",
        broken("listen 127.0.0.1", "listen 192.0.2.1"),
        ("service-address-missing",),
    ),
    Fault("key missing", "apache", broken("ServerName", TLS + "ServerName"), ("certificate-or-key", "config-error")),
    Fault(
        "certificate missing",
        "nginx",
        broken(
            "listen 127.0.0.1:{port};",
            "listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/n.pem; ssl_certificate_key {folder}/n.key;",
        ),
        ("certificate-or-key",),
    ),
    Fault(
        "user missing",
        "nginx",
        broken("worker_processes 1;", "worker_processes 1; user nosuchuser;"),
        ("user-or-group",),
    ),
    Fault("pid directory missing", "nginx", broken("{folder}/nginx.pid", "{folder}/no/nginx.pid"), ("pid-file",)),
    Fault(
        "DNS-less back end",
        "nginx",
        broken("return 200 well;", "proxy_pass http://no-such-host.invalid/;"),
        ("name-resolution",),
    ),
    Fault("disk full", "apache", disk_full, ("disk-full", "pid-file")),
    Fault("disk full", "nginx", disk_full, ("disk-full",)),
    Fault("semaphores exhausted", "apache", semaphores, ("semaphore-exhaustion",)),
    Fault("workers stopped", "nginx", stopped, ("stopped",)),
    Fault("workers stopped", "apache", stopped, ("stopped",)),
    Fault("main process stopped", "nginx", main_stopped, ("stopped",)),
    Fault("descriptors exhausted", "nginx", descriptors, ("fd-limit",)),
    Fault("slow-loris clients", "apache", slow_loris, ("slow-clients",)),
    Fault("workers busy on a slow back end", "apache", slow_back_end, ("backend-slow",), spare=True),
    Fault("back end down", "apache", back_end_down, ("backend-down",), spare=True),
    Fault("overload with progress", "apache", overload, ("overload",), spare=True),
    Fault("machine paused", "nginx", paused, ("",), spare=True),
    Fault("koboshi starved", "nginx", starved, ("",), spare=True),
    *jvm.ROWS,
    *hosts.ROWS,
)
