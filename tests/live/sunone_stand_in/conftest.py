"""A product, a stopped instance and a running one for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stand_ins.sunone.install import Product
from tests.stand_ins.sunone.running import Instance, instances, make


@pytest.fixture
def product() -> Iterator[Product]:
    with instances() as made:
        yield made


@pytest.fixture
def server(product: Product) -> Instance:
    """A stopped instance."""
    return make(product)


@pytest.fixture
def running(server: Instance) -> Instance:
    server.start()
    return server
