"""Fixtures for the engine, and the loop on which tests that are coroutines run."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenure.service.clockwork import SystemClock
from tenure.store import migrate
from tenure.store.sqlite import SqliteStore
from tests.engine.rig import Rig
from tests.engine.trial_store import TrialStore
from tests.engine.virtual import VirtualClock, VirtualLoop
from tests.store.drivers import sqlite_options

IN_MEMORY = Path(":memory:")


def run_virtually(coroutine: Coroutine[Any, Any, Any], clock: VirtualClock) -> None:
    """Run a coroutine on the time of a clock."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(coroutine)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine: in real time if it uses `real`, else on the clock of its rig.

    A module may bring a `runner` of its own, with a loop that outlives its tests.
    """
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given: dict[str, Any] = pyfuncitem.funcargs
    wanted = inspect.signature(pyfuncitem.obj).parameters
    coroutine = pyfuncitem.obj(**{name: given[name] for name in wanted})
    if "runner" in given:
        given["runner"].run(coroutine)
    elif "real" in given:
        asyncio.run(coroutine)
    else:
        run_virtually(coroutine, given.get("clock") or VirtualClock())
    return True


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(clock: VirtualClock) -> Iterator[TrialStore]:
    """An empty store in memory."""
    yield from open_store(clock)


@pytest.fixture
def rig(clock: VirtualClock, store: TrialStore) -> Rig:
    return Rig(clock, store)


@pytest.fixture
def real(clock: VirtualClock, store: TrialStore) -> Rig:
    """A rig in real time, for threads and processes; only the clock of its store stands."""
    return Rig(clock, store, time=SystemClock())


def open_store(clock: VirtualClock) -> Iterator[TrialStore]:
    """Yield a store with its tables, and close it afterwards."""
    inner = SqliteStore(sqlite_options(IN_MEMORY), clock)
    asyncio.run(inner.run(migrate.apply(migrate.migrations("sqlite"))))
    yield TrialStore(inner)
    asyncio.run(inner.close())
