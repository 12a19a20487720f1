"""A real store that refuses, loses answers or keeps one waiting when a test says so.

Called by rig.py. It adds no behaviour of its own: what is not troubled goes to SQLite as it is.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any, TypeVar

from tenure.kernel.errors import StoreBusyError
from tenure.kernel.ports import Verb
from tenure.store.sqlite import SqliteStore

T = TypeVar("T")


class TrialStore:
    """One worker's way to the store, on which a test can put obstacles."""

    def __init__(self, inner: SqliteStore) -> None:
        self.inner = inner
        self.asked: Counter[str] = Counter()
        self._refusals: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self._losses: Counter[str] = Counter()
        self._gates: dict[str, asyncio.Event] = {}
        self._doors: dict[str, asyncio.Event] = {}
        self.down: Exception | None = None
        self.when_asked: Callable[[Verb[Any]], None] | None = None

    def refuse(self, verb: str, error: Exception | None = None, *, times: int = 1) -> None:
        """Raise instead of running a verb, so many times."""
        self._refusals[verb].extend([error or StoreBusyError("busy for the test")] * times)

    def lose(self, verb: str, *, times: int = 1) -> None:
        """Run a verb and raise all the same, as when a connection breaks at the wrong moment."""
        self._losses[verb] += times

    def hold(self, verb: str) -> asyncio.Event:
        """Let a verb wait, before it is run, until the event is set."""
        return self._gates.setdefault(verb, asyncio.Event())

    def hold_answer(self, verb: str) -> asyncio.Event:
        """Run a verb, and let its answer wait until the event is set."""
        return self._doors.setdefault(verb, asyncio.Event())

    async def run(self, verb: Verb[T]) -> T:
        """Run a verb, or do what the test has planned for it."""
        self.asked[verb.name] += 1
        if self.when_asked is not None:
            self.when_asked(verb)
        if verb.name in self._gates:
            await self._gates[verb.name].wait()
        if self.down is not None:
            raise self.down
        if self._refusals[verb.name]:
            raise self._refusals[verb.name].popleft()
        value = await self.inner.run(verb)
        if verb.name in self._doors:
            await self._doors[verb.name].wait()
        if self._losses[verb.name]:
            self._losses[verb.name] -= 1
            raise StoreBusyError("the answer is lost")
        return value

    async def watch(self, tell: Callable[[str], None]) -> int:
        """Look for notices."""
        return await self.inner.watch(tell)

    async def close(self) -> None:
        """Close the store."""
        await self.inner.close()
