"""Stores with tables in place, for the tests of whatever stands above the store.

Used by the conftest.py files of tests/sdk, tests/service and tests/tutorial.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.service.clockwork import SystemClock
from tenure.settings import Settings
from tenure.store.open import open_sync
from tests.support.postgres import Cluster

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_template(postgres_cluster: Cluster) -> Iterator[str]:
    """The name of a database with tables and no rows; to copy it is quicker than to make it."""
    name = f"tenure_template_{os.getpid()}_{next(NUMBERS)}"
    url = postgres_cluster.create_database(name)
    open_sync(Settings(url=url), SystemClock()).close()
    yield name
    postgres_cluster.drop_database(name)


@pytest.fixture
def postgres_url(postgres_cluster: Cluster, postgres_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database with tables that only this test sees."""
    name = f"tenure_store_{os.getpid()}_{next(NUMBERS)}"
    yield postgres_cluster.create_database(name, template=postgres_template)
    postgres_cluster.drop_database(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'tenure.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a store of each kind in turn."""
    return str(request.getfixturevalue(f"{request.param}_url"))
