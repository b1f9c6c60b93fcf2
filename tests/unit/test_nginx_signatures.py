"""What nginx's own lines prove; recorded from nginx 1.22.1 where nothing else is said."""

from __future__ import annotations

import pytest

from ocf.faults import Kind
from resource_agents.nginx import Nginx

NOW = "2026/11/22 12:59:47"
RECORDED = [
    ("nginx: [emerg] bind() to 127.0.0.1:2024 failed (98: Address already in use)", "port-taken", Kind.HOST),
    (
        "nginx: [emerg] bind() to 192.0.2.7:80 failed (99: Cannot assign requested address)",
        "service-address-missing",
        Kind.HOST,
    ),
    (
        "nginx: [emerg] bind() to 127.0.0.1:81 failed (13: Permission denied)",
        "no-privilege-for-port",
        Kind.CONFIGURATION,
    ),
    ("nginx: [emerg] bind() to [fe80::1]:80 failed (22: Invalid argument)", "bind-failed", Kind.HOST),
    (
        f'{NOW} [emerg] 31316#31316: open() "/tmp/full/a.log" failed (28: No space left on device)',
        "disk-full",
        Kind.HOST,
    ),
    ('nginx: [crit] pwrite() "/tmp/full/pid" failed (28: No space left on device)', "disk-full", Kind.HOST),
    (
        f'{NOW} [emerg] 31240#31240: cannot load certificate "/nonexist": BIO_new_file() failed (SSL: error:80000002:'
        "system library::No such file or directory:calling fopen(/nonexist, r) error:10000080:BIO "
        "routines::no such file)",
        "certificate-or-key",
        Kind.CONFIGURATION,
    ),
    (
        f'{NOW} [emerg] 528#528: SSL_CTX_use_PrivateKey("/tmp/kx/k2.pem") failed (SSL: error:05800074:x509 certificate '
        "routines::key values mismatch)",
        "certificate-or-key",
        Kind.CONFIGURATION,
    ),
    (
        f'{NOW} [emerg] 31262#31262: no "ssl_certificate" is defined for the "listen ... ssl" directive in '
        "/tmp/b.conf:4",
        "certificate-or-key",
        Kind.CONFIGURATION,
    ),
    (f'{NOW} [emerg] 31144#31144: getpwnam("nobodyx") failed in /tmp/b.conf:4', "user-or-group", Kind.CONFIGURATION),
    (
        f'{NOW} [emerg] 31158#31158: host not found in upstream "nonexist.invalid" in /tmp/b.conf:4',
        "name-resolution",
        Kind.DEPENDENCY,
    ),
    (
        f'{NOW} [emerg] 31165#31165: host not found in "nonexist.invalid:80" of the "listen" directive in '
        "/tmp/b.conf:4",
        "name-resolution",
        Kind.HOST,
    ),
    (
        f'{NOW} [emerg] 531#531: dlopen() "/nonexist.so" failed (/nonexist.so: cannot open shared object file: No such '
        "file or directory) in /tmp/kn/b.conf:1",
        "module-missing",
        Kind.CONFIGURATION,
    ),
    (f'{NOW} [emerg] 31109#31109: unknown directive "foo" in /tmp/b.conf:4', "config-error", Kind.CONFIGURATION),
    (
        f'{NOW} [emerg] 31116#31116: unexpected end of file, expecting "}}" in /tmp/b.conf:5',
        "config-error",
        Kind.CONFIGURATION,
    ),
    (
        f'{NOW} [emerg] 31137#31137: open() "/none.conf" failed (2: No such file or directory) in /tmp/b.conf:4',
        "config-error",
        Kind.CONFIGURATION,
    ),
    (f'{NOW} [emerg] 32041#32041: no "events" section in configuration', "config-error", Kind.CONFIGURATION),
    (
        f'{NOW} [emerg] 31285#31285: open() "/nonexist/a.log" failed (2: No such file or directory)',
        "log-unwritable",
        Kind.CONFIGURATION,
    ),
    (f"{NOW} [crit] 31964#31964: accept4() failed (24: Too many open files)", "fd-limit", Kind.RESOURCE),
    (f"{NOW} [alert] 31561#31561: worker process 31563 exited on signal 11", "child-crash-loop", Kind.RESOURCE),
    (
        f"{NOW} [alert] 31341#31341: worker process 31342 exited with fatal code 2 and cannot be respawned",
        "child-fatal",
        Kind.RESOURCE,
    ),
]


@pytest.mark.parametrize(("line", "cause", "kind"), RECORDED, ids=[cause for _, cause, _ in RECORDED])
def test_recorded_lines_name_their_cause(line: str, cause: str, kind: Kind) -> None:
    fault = Nginx({}).explain([line, "nginx: [emerg] still could not bind()"], "start failed")
    assert fault is not None
    assert (fault.cause, fault.kind, fault.proof) == (cause, kind, line)


#: Message formats from nginx's sources, for what could not be provoked here.
FROM_SOURCES = [
    (f"{NOW} [alert] 7#7: 64 worker_connections are not enough", "worker-limit-reached"),
    (
        f'{NOW} [alert] 7#7: fork() failed while spawning "worker process" (11: Resource temporarily unavailable)',
        "process-limit",
    ),
    (f'{NOW} [emerg] 7#7: open() "/run/none/nginx.pid" failed (2: No such file or directory)', "pid-file"),
    (f'{NOW} [emerg] 7#7: mkdir() "/var/lib/nginx/body" failed (2: No such file or directory)', "temp-dir"),
    (f"{NOW} [emerg] 7#7: mmap(1048576) failed (12: Cannot allocate memory)", "out-of-memory"),
    (f"{NOW} [error] 7#7: *1 no live upstreams while connecting to upstream, client: ::1", "backend-down"),
    (
        f"{NOW} [error] 7#7: *31 back.invalid could not be resolved (110: Operation timed out), client: ::1",
        "name-resolution",
    ),
]


@pytest.mark.parametrize(("line", "cause"), FROM_SOURCES, ids=[cause for _, cause in FROM_SOURCES])
def test_lines_of_the_sources_name_their_cause(line: str, cause: str) -> None:
    fault = Nginx({}).explain([line], "it fell")
    assert fault is not None
    assert fault.cause == cause


def test_a_syntax_error_names_file_and_line() -> None:
    fault = Nginx({}).explain([f'{NOW} [emerg] 1#1: unknown directive "foo" in /tmp/b.conf:4'], "start failed")
    assert fault is not None
    assert fault.reason == "start failed: config-error at /tmp/b.conf:4"
