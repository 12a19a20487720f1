"""What the tests of the platform share: a registry of handlers, and a log of what they saw."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

import tenure
import tenure.testing
from tenure.testing import Platform

START = datetime(2026, 1, 1, tzinfo=UTC)

sleep = asyncio.sleep  # noqa: TID251 - handlers call it, and it must take virtual time only


@dataclass
class Log:
    """What handlers have noted, with the virtual time of it."""

    entries: list[tuple[str, datetime]] = field(default_factory=list)

    def note(self, word: str) -> None:
        """Write down a word and the time."""
        self.entries.append((word, tenure.testing.now()))

    @property
    def words(self) -> list[str]:
        """The words alone, in order."""
        return [word for word, _ in self.entries]

    @property
    def seconds(self) -> list[float]:
        """For each entry, how long after the start it was."""
        return [(at - START).total_seconds() for _, at in self.entries]


@pytest.fixture
def registry() -> tenure.Registry:
    return tenure.Registry()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def platform(registry: tenure.Registry) -> Iterator[Platform]:
    """An open platform; handlers may still be registered."""
    with tenure.testing.platform(registry=registry) as opened:
        yield opened
