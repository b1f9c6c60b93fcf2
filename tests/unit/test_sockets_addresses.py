"""Addresses that are here, and that are not; that one which leaves is noticed is shown on a real cluster."""

from __future__ import annotations

import pytest

from cluster_glue.recovery.sensors.listening import has


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_an_address_of_this_machine_is_here(host: str) -> None:
    assert has(host)


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_an_address_of_another_machine_is_not(host: str) -> None:
    assert not has(host)


@pytest.mark.parametrize("host", ["", "a-name.example", "fe80::1%nothing"])
def test_what_cannot_be_known_proves_nothing(host: str) -> None:
    assert has(host)
