"""Fixtures that tests of several packages use."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.support.postgres import Cluster, shared_cluster

DATABASE_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL server that all tests share."""
    cluster = shared_cluster()
    yield cluster
    cluster.stop()
    shared_cluster.cache_clear()


@pytest.fixture
def postgres_dsn(postgres_cluster: Cluster) -> Iterator[str]:
    """The URL of an empty database that only this test sees."""
    name = f"tenure_test_{os.getpid()}_{next(DATABASE_NUMBERS)}"
    yield postgres_cluster.create_database(name)
    postgres_cluster.drop_database(name)
