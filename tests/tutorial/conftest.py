"""What the tests of the tutorial are given: a client, on a store of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tenure
from tests.sdk.stores import postgres_template, postgres_url, sqlite_url

__all__ = ["client", "postgres_template", "postgres_url", "sqlite_url"]


@pytest.fixture
def client(sqlite_url: str) -> Iterator[tenure.Client]:
    """A client on an empty SQLite file. With a URL of PostgreSQL every test is the same."""
    with tenure.Client(sqlite_url) as opened:
        yield opened
