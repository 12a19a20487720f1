"""The stores that the tests of this folder run on.

Each driver is opened once for all tests and emptied before each: to make and drop a database
takes longer than a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.store.drivers import DRIVER_NAMES, SYNC_NAMES, Driver, DriverName, open_driver
from tests.support.postgres import Cluster

THOROUGH = "thorough"

# `pytest tests/store/test_model.py --hypothesis-profile=thorough`
settings.register_profile(
    THOROUGH,
    max_examples=3_000,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Drivers:
    """Every driver that a test has asked for, open."""

    def __init__(self, path: Path, dsn: str) -> None:
        self.path = path
        self.dsn = dsn
        self._open: dict[DriverName, Driver] = {}

    def emptied(self, name: DriverName) -> Driver:
        """Return a driver of a store without a row."""
        if name not in self._open:
            self._open[name] = open_driver(name, path=self.path, dsn=self.dsn)
        self._open[name].empty()
        return self._open[name]

    def close(self) -> None:
        """Close them all."""
        while self._open:
            self._open.popitem()[1].close()


@pytest.fixture(scope="session")
def drivers(
    postgres_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Drivers]:
    name = "tenure_conformance"
    postgres_cluster.drop_database(name)
    opened = Drivers(
        path=tmp_path_factory.mktemp("conformance") / "tenure.db",
        dsn=postgres_cluster.create_database(name),
    )
    yield opened
    opened.close()
    postgres_cluster.drop_database(name)


@pytest.fixture(params=DRIVER_NAMES)
def store(request: pytest.FixtureRequest, drivers: Drivers) -> Driver:
    """An empty store, through each of the four drivers in turn."""
    return drivers.emptied(request.param)


@pytest.fixture(params=SYNC_NAMES)
def either(request: pytest.FixtureRequest, drivers: Drivers) -> Driver:
    """An empty store of each database, where the driver makes no difference."""
    return drivers.emptied(request.param)


@pytest.fixture
def postgres_store(drivers: Drivers) -> Driver:
    """An empty PostgreSQL store through psycopg."""
    return drivers.emptied("psycopg")
