"""Fixtures of the tests of the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.store import migrate
from tests.sdk.stores import postgres_template, postgres_url, sqlite_url, url
from tests.store.drivers import ApswSyncDriver, Driver, FakeClock, PsycopgDriver

__all__ = ["postgres_template", "postgres_url", "sqlite_url", "url"]


@pytest.fixture
def store(url: str) -> Iterator[Driver]:
    """A store of each kind in turn, with tables, whose time stands still."""
    driver: Driver
    if url.startswith("sqlite"):
        driver = ApswSyncDriver(Path(url.removeprefix("sqlite:///")), FakeClock())
    else:
        driver = PsycopgDriver(url, FakeClock())
    driver.run(migrate.apply(migrate.migrations(driver.dialect)))
    yield driver
    driver.close()
