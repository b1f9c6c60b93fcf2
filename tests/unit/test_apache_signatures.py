"""What Apache's own lines prove; recorded from Apache 2.4.71 where nothing else is said."""

from __future__ import annotations

import pytest

from ocf.faults import Kind
from resource_agents.apache import Apache

RECORDED = [
    (
        "(98)Address already in use: AH00072: make_sock: could not bind to address 127.0.0.1:2024",
        "port-taken",
        Kind.HOST,
    ),
    (
        "(99)Cannot assign requested address: AH00072: make_sock: could not bind to address 192.0.2.77:80",
        "service-address-missing",
        Kind.HOST,
    ),
    (
        "(13)Permission denied: AH00072: make_sock: could not bind to address 127.0.0.1:81",
        "no-privilege-for-port",
        Kind.CONFIGURATION,
    ),
    (
        "[Sun Nov 22 13:01:43.789026 2026] [core:emerg] [pid 1160:tid 1160] (28)No space left on device: AH00023: "
        "Couldn't create the mpm-accept mutex ",
        "semaphore-exhaustion",
        Kind.RESOURCE,
    ),
    ("(28)No space left on device: could not create accept mutex", "semaphore-exhaustion", Kind.RESOURCE),
    (
        "[Sun Nov 22 13:01:06.150745 2026] [core:error] [pid 32695:tid 32695] (28)No space left on device: AH00099: "
        "could not create /tmp/x/pid.DeCM0k",
        "disk-full",
        Kind.HOST,
    ),
    (
        "(28)No space left on device: AH00091: apache2: could not open error log file /tmp/x/e.log.",
        "disk-full",
        Kind.HOST,
    ),
    (
        "(30)Read-only file system: AH00091: apache2: could not open error log file /tmp/x/e.log.",
        "disk-read-only",
        Kind.HOST,
    ),
    (
        "(2)No such file or directory: AH00089: Couldn't start ErrorLog process '/nonexist/prog'.",
        "piped-log-failed",
        Kind.CONFIGURATION,
    ),
    (
        "(2)No such file or directory: AH02291: Cannot access directory '/nonexist/' for main error log",
        "log-unwritable",
        Kind.CONFIGURATION,
    ),
    (
        "(20014)Internal error (specific information not available): AH00058: Error retrieving pid file /dev/full",
        "pid-file",
        Kind.HOST,
    ),
    ("AH00543: apache2: bad user name nobodyxyz", "user-or-group", Kind.CONFIGURATION),
    ("AH00544: apache2: bad group name nogrpx", "user-or-group", Kind.CONFIGURATION),
    (
        "apache2: Syntax error on line 17 of /tmp/b.conf: Cannot load /nonexist.so into server: /nonexist.so: cannot "
        "open shared object file: No such file or directory",
        "module-missing",
        Kind.CONFIGURATION,
    ),
    (
        "[Sun Nov 22 13:01:08.819874 2026] [ssl:emerg] [pid 479:tid 479] AH02565: Certificate and private key "
        "localhost:443:0 from /tmp/c1.pem and /tmp/k2.pem do not match",
        "certificate-or-key",
        Kind.CONFIGURATION,
    ),
    (
        "[Sun Nov 22 13:01:08.896959 2026] [ssl:emerg] [pid 500:tid 500] AH02572: Failed to configure at least one "
        "certificate and key for localhost:443",
        "certificate-or-key",
        Kind.CONFIGURATION,
    ),
    ("AH00534: apache2: Configuration error: More than one MPM loaded.", "config-error", Kind.CONFIGURATION),
    (
        "[Sun Nov 22 13:01:12.653196 2026] [mpm_event:error] [pid 701:tid 701] AH00484: server reached "
        "MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting",
        "worker-limit-reached",
        Kind.RESOURCE,
    ),
    (
        "[Sun Nov 22 13:01:41.012572 2026] [mpm_prefork:error] [pid 1065:tid 1065] AH00161: server reached "
        "MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting",
        "worker-limit-reached",
        Kind.RESOURCE,
    ),
    (
        "[Sun Nov 22 13:01:44.837413 2026] [mpm_worker:error] [pid 1180:tid 1180] AH00286: server reached "
        "MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting",
        "worker-limit-reached",
        Kind.RESOURCE,
    ),
    (
        "[Sun Nov 22 13:01:11.061723 2026] [core:notice] [pid 553:tid 553] AH00052: child pid 557 exit signal "
        "Segmentation fault (11)",
        "child-crash-loop",
        Kind.RESOURCE,
    ),
]


@pytest.mark.parametrize(("line", "cause", "kind"), RECORDED, ids=[cause for _, cause, _ in RECORDED])
def test_recorded_lines_name_their_cause(line: str, cause: str, kind: Kind) -> None:
    fault = Apache({}).explain(["AH00558: apache2: Could not reliably determine the name", line], "start failed")
    assert fault is not None
    assert (fault.cause, fault.kind, fault.proof) == (cause, kind, line.strip())


#: Message formats from httpd's sources (2.4.x), for what could not be provoked here.
FROM_SOURCES = [
    ("AH00288: scoreboard is full, not at MaxRequestWorkers", "scoreboard-full"),
    ("AH00050: Child 12 returned a Fatal error... Apache is exiting!", "child-fatal"),
    ("(11)Resource temporarily unavailable: AH00481: fork: Unable to fork new process", "process-limit"),
    ("(11)Resource temporarily unavailable: AH03104: ap_thread_create: unable to create worker thread", "thread-limit"),
    (
        "AH02324: A resource shortage or other unrecoverable failure was encountered before any child",
        "start-resource-shortage",
    ),
    ("(24)Too many open files: AH00495: Couldn't create a pollset in child", "fd-limit"),
    ("AH01239: cgid daemon process died, restarting", "cgid-died"),
    ("AH00046: child process 71 still did not exit, sending a SIGKILL", "hung-child-at-stop"),
    ("AH00060: seg fault or similar nasty error detected in the parent process", "parent-crash"),
    ("AH10392: children are killed successively!", "child-kill-storm"),
    ("(111)Connection refused: AH00957: http: attempt to connect to 127.0.0.1:8080 (localhost) failed", "backend-down"),
    (
        "(EAI 2)Name or service not known: [client ::1] AH00898: DNS lookup failure for: a.invalid returned by /app/",
        "name-resolution",
    ),
]


@pytest.mark.parametrize(("line", "cause"), FROM_SOURCES, ids=[cause for _, cause in FROM_SOURCES])
def test_lines_of_the_sources_name_their_cause(line: str, cause: str) -> None:
    fault = Apache({}).explain([line], "it fell")
    assert fault is not None
    assert fault.cause == cause


def test_a_missing_key_is_named_though_apache_says_it_in_two_lines() -> None:
    lines = [
        "AH00526: Syntax error on line 28 of /tmp/httpd.conf:",
        "SSLCertificateKeyFile: file '/tmp/key.pem' does not exist or is empty",
    ]
    fault = Apache({}).explain(lines, "start failed")
    assert fault is not None
    assert (fault.cause, fault.reason) == (
        "certificate-or-key",
        "start failed: certificate-or-key at /tmp/httpd.conf:28",
    )
    assert fault.proof == " ".join(lines)


def test_a_syntax_error_names_file_and_line_and_keeps_the_sentence_of_the_next_line() -> None:
    lines = ["AH00526: Syntax error on line 17 of /tmp/b.conf:", "Invalid command 'Foo', perhaps misspelled"]
    fault = Apache({}).explain(lines, "start failed")
    assert fault is not None
    assert fault.reason == "start failed: config-error at /tmp/b.conf:17"
    assert fault.proof.endswith("Invalid command 'Foo', perhaps misspelled")
    nested = (
        "apache2: Syntax error on line 3 of /a.conf: Syntax error on line 8 of /b.conf: </If> without matching section"
    )
    inner = Apache({}).explain([nested], "start failed")
    assert inner is not None
    assert inner.reason.endswith("/b.conf:8")
