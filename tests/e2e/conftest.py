"""Fixtures for tests with real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Crew
from tests.e2e.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tenure.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty store, of each kind in turn."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_dsn"
    found: str = request.getfixturevalue(name)
    return found


@pytest.fixture
def crew_for(tmp_path: Path) -> Iterator[Callable[[str], Crew]]:
    """Give out crews by URL, and end their workers when the test is over."""
    made: list[Crew] = []

    def make(url: str) -> Crew:
        made.append(Crew(url, tmp_path))
        return made[-1]

    yield make
    for crew in made:
        crew.close()


@pytest.fixture
def crew(url: str, crew_for: Callable[[str], Crew]) -> Crew:
    """Workers on a store of each kind in turn; none has started."""
    return crew_for(url)


@pytest.fixture
def sqlite_crew(sqlite_url: str, crew_for: Callable[[str], Crew]) -> Crew:
    return crew_for(sqlite_url)
