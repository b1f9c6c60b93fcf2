"""An expired certificate is said in time, and is never a reason to do anything to the server."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from cluster_glue.diagnosis.desk import probe_item
from cluster_glue.diagnosis.evidence import STALLED, Evidence
from cluster_glue.diagnosis.rules import Subject, name
from cluster_glue.recovery.model import Answered
from cluster_glue.recovery.sensors.certificates import Served, judge
from cluster_glue.recovery.sensors.conditions import Board, Finding
from cluster_glue.recovery.sensors.probe import to_event
from cluster_glue.recovery.sensors.validity import Validity, read
from ocf.faults import Kind
from resource_agents.http import WORKS, Answer, Verdict

DAY = 86400.0
NOW = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
PLACE = "127.0.0.1:443"

#: Version 1, valid from 2026-11-22 15:58:58 (UTCTime) to 2081-08-25 15:58:58 (GeneralizedTime); made by OpenSSL.
LONG_LIVED = """\
-----BEGIN CERTIFICATE-----
MIIBFDCBuwIUdlOi6oS9OQa+dHkxQK66emHyqWUwCgYIKoZIzj0EAwIwDDEKMAgG
A1UEAwwBYTAgFw0yNjExMjIxNTU4NThaGA8yMDgxMDgyNTE1NTg1OFowDDEKMAgG
A1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDmLRMyqjrLQ+bLr7Cwc
F/PqR90K3k7jFN7Di1CFoWaMLOBECRtbFQPU2URiVAX3CgSejeUDHxCwInR6FLmA
iE8wCgYIKoZIzj0EAwIDSAAwRQIhAOl+JBOME9IC70D6qcuO58F57Bg5WQOSAySW
B/j4C+1tAiAAlUGCu6ITttabs3EsPOznMs9mWbhP03AdbKfuGa24RQ==
-----END CERTIFICATE-----
"""


def element(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes((size,)) if size < 128 else bytes((0x82, size >> 8, size & 0xFF))
    return bytes((tag,)) + length + content


def certificate(begins: bytes, ends: bytes, version: bytes = element(0xA0, element(2, b"\2"))) -> bytes:
    """As much of a certificate as has its dates, as X.509 version 3 orders it."""
    dates = element(0x30, element(0x17, begins) + element(0x17, ends))
    issuer = element(0x30, b"x" * 200)
    return element(0x30, element(0x30, version + element(2, b"\1") + element(0x30, b"") + issuer + dates))


def told(found: list[Finding]) -> list[str]:
    assert all(each.event is None for each in found), "nothing is ever done for a certificate"
    return [each.tell.message for each in found if each.tell is not None]


def at(days: float) -> list[Served]:
    """A certificate that expires after so many days."""
    return [Served(PLACE, Validity(NOW - 300 * DAY, NOW + days * DAY))]


def test_the_dates_are_read_in_both_forms() -> None:
    validity = read(ssl.PEM_cert_to_DER_cert(LONG_LIVED))
    assert datetime.fromtimestamp(validity.begins, UTC) == datetime(2026, 11, 22, 15, 58, 58, tzinfo=UTC)
    assert datetime.fromtimestamp(validity.ends, UTC) == datetime(2081, 8, 25, 15, 58, 58, tzinfo=UTC)
    older = read(certificate(b"500101000000Z", b"491231235959Z"))
    assert datetime.fromtimestamp(older.begins, UTC).year == 1950
    assert datetime.fromtimestamp(older.ends, UTC).year == 2049


def test_what_is_no_certificate_is_refused_wherever_it_is_broken() -> None:
    whole = ssl.PEM_cert_to_DER_cert(LONG_LIVED)
    for end in range(len(whole)):
        with pytest.raises(ValueError):
            read(whole[:end])
    for at_byte in range(100):
        for value in (0, 0x30, 0x7F, 0x80, 0x84, 0xFF):
            with_error = whole[:at_byte] + bytes((value,)) + whole[at_byte + 1 :]
            try:
                read(with_error)
            except ValueError:
                continue
    for dates in ((b"261122155858+0000", b"x"), (b"2611221558Z", b"2611221558Z"), (b"\xff" * 13, b"1")):
        with pytest.raises(ValueError):
            read(certificate(*dates))


def test_it_is_said_before_the_end_then_at_the_end_and_once_each() -> None:
    board, said = Board("web"), []
    for hour in range(24 * 20):
        said += told(judge(board, at(16), NOW + hour * 3600, 14))
    assert said == ["sighting", "degraded"]
    assert [fault.cause for fault in board.errors()] == ["certificate-expired"]
    assert all(fault.kind is Kind.CONFIGURATION for fault in board.errors())
    assert told(judge(board, at(110), NOW + 20 * DAY, 14)) == ["eased"]


def test_one_day_more_is_not_enough_to_be_out_of_danger() -> None:
    board = Board("web")
    assert told(judge(board, at(13.9), NOW, 14)) == ["sighting"]
    assert told(judge(board, at(14.9), NOW, 14)) == []
    assert told(judge(board, at(16), NOW, 14)) == ["eased"]


def test_without_days_of_warning_only_the_end_itself_is_said() -> None:
    board = Board("web")
    assert told(judge(board, at(0.01), NOW, 0)) == []
    (found,) = judge(board, at(-2), NOW, 0)
    assert found.tell is not None and "expired 2 days ago, on 2026-11-20 00:00 UTC" in found.tell.detail


def test_one_that_is_not_valid_yet_blames_the_clock() -> None:
    early = [Served(PLACE, Validity(NOW + DAY, NOW + 90 * DAY))]
    (found,) = judge(Board("web"), early, NOW, 14)
    assert found.tell is not None and found.tell.fault is not None
    assert found.tell.fault.cause == "certificate-not-yet-valid"
    assert "clock" in found.tell.detail


def test_what_could_not_be_asked_is_as_it_was() -> None:
    board = Board("web")
    assert told(judge(board, at(3), NOW, 14)) == ["sighting"]
    assert told(judge(board, [Served(PLACE, None)], NOW, 14)) == []
    assert board.levels() == {f"certificate {PLACE}": "warning"}


def test_the_same_certificate_at_many_places_is_said_once() -> None:
    (one,) = at(3)
    (found,) = judge(Board("web"), [one, Served("127.0.0.1:443 for a.example", one.validity)], NOW, 14)
    assert found.tell is not None and f"{PLACE} and 1 more expires in 3 days" in found.tell.detail


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("certificate has expired", "certificate-expired"),
        ("certificate is not yet valid", "certificate-not-yet-valid"),
        ("self-signed certificate", "certificate-invalid"),
    ],
)
def test_a_check_that_fails_for_the_certificate_alone_is_a_matter_of_configuration(said: str, cause: str) -> None:
    answer = Answer(Verdict.UNTRUSTED, 0.1, 0, f"https://a/ cannot be trusted: its certificate is not valid: {said}")
    assert answer.verdict in WORKS
    event = to_event(answer)
    assert not isinstance(event, Answered) and not event.hard
    fault = name(Evidence(STALLED, {"probe": probe_item(event.fault)}), event.fault, None, Subject())
    assert (fault.cause, fault.kind) == (cause, Kind.CONFIGURATION)
