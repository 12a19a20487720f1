"""SQLite's own: group commit, locks, full disks, unsafe versions, forks."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest

from tenure.kernel.errors import (
    ConflictError,
    InvalidError,
    StoreBusyError,
    StoreDownError,
    TenureError,
)
from tenure.kernel.model import TaskId
from tenure.kernel.ports import Mode, Statement, Steps, Verb, transaction
from tenure.kernel.states import State
from tenure.service.clockwork import SystemClock
from tenure.store import claims, history, migrate, tasks, workers
from tenure.store.sqlite import SqliteStore
from tenure.store.sqlite_session import is_unsafe
from tenure.store.sqlite_sync import SqliteSyncStore
from tests.store.builders import a_request, a_task
from tests.store.drivers import START_US, FakeClock, sqlite_options

T = TypeVar("T")

BUSY_US = 50_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with tables and no rows."""
    store = SqliteSyncStore(sqlite_options(tmp_path / "tenure.db"), FakeClock())
    store.run(migrate.apply(migrate.migrations("sqlite")))
    store.close()
    return tmp_path / "tenure.db"


@pytest.fixture
def other(path: Path) -> Iterator[apsw.Connection]:
    """A connection of somebody else."""
    connection = apsw.Connection(str(path))
    yield connection
    connection.close()


def in_store(path: Path, use: Any, clock: FakeClock | None = None, **options: Any) -> Any:
    """Open a store, call *use* with it on an event loop, and close it."""

    async def main() -> Any:
        chosen = replace(sqlite_options(path), **options)
        store = SqliteStore(chosen, clock or FakeClock())
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(main())


def count_in(commits: list[int]) -> bool:
    commits.append(1)
    return False


async def together(*verbs: Awaitable[T]) -> list[T | BaseException]:
    return await asyncio.gather(*verbs, return_exceptions=True)


def ids_in(path: Path) -> list[str]:
    connection = apsw.Connection(str(path))
    found = [row[0] for row in connection.execute("SELECT id FROM task ORDER BY id")]
    connection.close()
    return found


@transaction
def insert_and_refuse(id: str) -> Steps[None]:
    yield from tasks.insert(a_task(id))
    raise InvalidError("no")


@transaction
def break_a_rule(id: str) -> Steps[None]:
    yield from tasks.insert(a_task(id))
    yield from tasks.insert(a_task(f"{id}-free", cost=0))


# Group commit.


def test_verbs_that_are_asked_for_together_share_a_commit(path: Path) -> None:
    async def use(store: SqliteStore) -> int:
        commits: list[int] = []

        store._session.connection.set_commit_hook(functools.partial(count_in, commits))
        async with asyncio.TaskGroup() as group:
            for place in range(200):
                group.create_task(store.run(tasks.insert(a_task(f"t{place:03}"))))
        return len(commits)

    commits = in_store(path, use)

    assert 1 == commits
    assert 200 == len(ids_in(path))


def test_a_group_has_a_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenure.store.sqlite.GROUP_MAX", 3)

    async def use(store: SqliteStore) -> int:
        commits: list[int] = []
        store._session.connection.set_commit_hook(functools.partial(count_in, commits))
        await together(*(store.run(tasks.insert(a_task(f"t{place}"))) for place in range(7)))
        return len(commits)

    assert 3 == in_store(path, use)
    assert 7 == len(ids_in(path))


def test_nobody_is_answered_before_the_commit(path: Path, other: apsw.Connection) -> None:
    async def use(store: SqliteStore) -> list[str]:
        await store.run(tasks.insert(a_task()))
        return ids_in(path)

    assert ["task-1"] == in_store(path, use)


@pytest.mark.parametrize("verb", [insert_and_refuse, break_a_rule])
def test_a_verb_that_fails_undoes_only_itself(path: Path, verb: Any) -> None:
    async def use(store: SqliteStore) -> list[Any]:
        return await together(
            store.run(tasks.insert(a_task("a"))),
            store.run(verb("b")),
            store.run(tasks.insert_with_bodies(a_task("c"))),
            store.run(tasks.insert(a_task("d"))),
        )

    answers = in_store(path, use)

    assert [True, True, True] == [answers[0], *answers[2:]]
    assert isinstance(answers[1], TenureError)
    assert ["a", "c", "d"] == ids_in(path)


def test_a_single_statement_that_fails_undoes_only_itself(path: Path) -> None:
    async def use(store: SqliteStore) -> list[Any]:
        return await together(
            store.run(tasks.insert(a_task("a"))),
            store.run(tasks.insert(a_task("b", cost=0))),
            store.run(tasks.insert(a_task("c"))),
        )

    answers = in_store(path, use)

    assert isinstance(answers[1], TenureError)
    assert ["a", "c"] == ids_in(path)


def test_a_verb_of_a_group_sees_what_the_ones_before_it_wrote(path: Path) -> None:
    async def use(store: SqliteStore) -> list[Any]:
        return await together(
            store.run(tasks.insert(a_task())),
            store.run(tasks.insert(a_task())),
            store.run(claims.claim(a_request())),
            store.run(tasks.cancel("", TaskId("task-1"), force=True, reason="")),
        )

    first, second, claimed, state = in_store(path, use)

    assert (True, False, State.CANCELLED) == (first, second, state)
    assert ["task-1"] == [claim.id for claim in claimed]


def test_one_who_stops_waiting_does_not_disturb_the_others(path: Path) -> None:
    async def use(store: SqliteStore) -> list[Any]:
        loop = asyncio.get_running_loop()
        gone = loop.create_task(store.run(tasks.insert(a_task("a"))))
        stays = loop.create_task(store.run(tasks.insert(a_task("b"))))
        # Called when both have asked, and before what they asked for is begun.
        loop.call_soon(gone.cancel)
        return await together(gone, stays)

    answers = in_store(path, use)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1] is True
    assert ["a", "b"] == ids_in(path)


def test_closing_writes_what_is_waiting(path: Path) -> None:
    async def use(store: SqliteStore) -> list[Any]:
        loop = asyncio.get_running_loop()
        waiting = [
            loop.create_task(store.run(tasks.insert(a_task(f"t{place}")))) for place in range(3)
        ]
        await together(store.run(workers.clock()))
        await store.close()
        return await together(*waiting)

    assert [True, True, True] == in_store(path, use)
    assert ["t0", "t1", "t2"] == ids_in(path)


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_a_commit_waits_for_the_disk_if_it_must_last(path: Path, durable: bool, level: int) -> None:
    async def use(store: SqliteStore) -> int:
        await store.run(tasks.insert(a_task()))
        found: int = store._session.connection.pragma("synchronous")
        return found

    assert level == in_store(path, use, durable=durable)


def test_a_single_verb_asks_once(path: Path) -> None:
    def twice() -> Steps[None]:
        yield Statement("clock", {})
        yield Statement("clock", {})

    async def use(store: SqliteStore) -> None:
        await store.run(Verb(twice, mode=Mode.SINGLE, name="twice"))

    with pytest.raises(AssertionError, match="twice is not single"):
        in_store(path, use)


# Locks of others.


def test_a_store_waits_while_somebody_else_writes(path: Path, other: apsw.Connection) -> None:
    clock = FakeClock()

    async def use(store: SqliteStore) -> bool:
        other.execute("BEGIN IMMEDIATE")
        loop = asyncio.get_running_loop()
        waiting = loop.create_task(store.run(tasks.insert(a_task())))
        await together(clock_turns(store), clock_turns(store))
        assert not waiting.done()
        other.execute("COMMIT")
        return await waiting

    assert in_store(path, use, clock)
    assert ["task-1"] == ids_in(path)


async def clock_turns(store: SqliteStore) -> None:
    """Let the loop turn often enough for the group to have been tried."""
    for _ in range(10):
        event = asyncio.Event()
        asyncio.get_running_loop().call_soon(event.set)
        await event.wait()


def test_a_store_that_has_waited_long_enough_is_busy(path: Path, other: apsw.Connection) -> None:
    clock = FakeClock()
    clock.tick_us = 3_000_000

    async def use(store: SqliteStore) -> list[Any]:
        other.execute("BEGIN IMMEDIATE")
        refused = await together(
            store.run(tasks.insert(a_task("a"))), store.run(tasks.insert(a_task("b")))
        )
        other.execute("COMMIT")
        return [*refused, await store.run(tasks.insert(a_task("c")))]

    answers = in_store(path, use, clock)

    assert [StoreBusyError, StoreBusyError, bool] == [type(answer) for answer in answers]
    assert "locked by another connection" in str(answers[0])
    assert ["c"] == ids_in(path)


def test_reading_goes_on_while_somebody_else_writes(path: Path, other: apsw.Connection) -> None:
    async def use(store: SqliteStore) -> int:
        other.execute("BEGIN IMMEDIATE")
        return await store.run(workers.clock())

    assert START_US == in_store(path, use)


def test_the_sync_store_waits_and_is_then_busy(path: Path, other: apsw.Connection) -> None:
    store = SqliteSyncStore(sqlite_options(path, busy_us=BUSY_US), FakeClock())
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreBusyError):
        store.run(tasks.insert(a_task("a")))

    other.execute("COMMIT")
    assert store.run(tasks.insert(a_task("b")))
    store.close()
    assert ["b"] == ids_in(path)


def test_the_sync_store_gets_through_when_the_other_is_done(
    path: Path, other: apsw.Connection
) -> None:
    store = SqliteSyncStore(sqlite_options(path), FakeClock())
    other.execute("BEGIN IMMEDIATE")
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(store.run(tasks.insert(a_task()))))
    thread.start()
    other.execute("COMMIT")
    thread.join(timeout=30)
    store.close()

    assert [True] == answers


def test_the_sync_store_serves_many_threads(path: Path) -> None:
    store = SqliteSyncStore(sqlite_options(path), FakeClock())

    def insert_some(worker: int) -> None:
        for place in range(20):
            store.run(tasks.insert(a_task(f"t{worker}-{place:02}")))
            store.run(tasks.find("", limit=1))

    threads = [threading.Thread(target=insert_some, args=(worker,)) for worker in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    store.close()

    assert 100 == len(ids_in(path))


# Trouble.


def test_a_full_disk_refuses_the_whole_group_and_later_verbs_are_written(path: Path) -> None:
    """Verbs that came after the full disk stood alone, and were said to have failed."""
    large = b"x" * 4_000_000

    async def use(store: SqliteStore) -> tuple[list[Any], bool]:
        connection = store._session.connection
        pages = connection.pragma("page_count")
        connection.pragma("max_page_count", pages + 20)
        refused = await together(
            store.run(tasks.insert(a_task("a"))),
            store.run(tasks.insert_many(a_task(), [TaskId("b")], [large], inline_bytes_max=0)),
            store.run(tasks.insert(a_task("c"))),
        )
        connection.pragma("max_page_count", 1_000_000)
        return refused, await store.run(tasks.insert(a_task("d")))

    (first, second, third), later = in_store(path, use)

    assert isinstance(second, StoreDownError)
    told = {id for id, answer in (("a", first), ("c", third)) if answer is True}
    assert later
    assert sorted({"d"} | told) == ids_in(path)


def test_a_conflict_is_told_as_one_on_sqlite_too(path: Path) -> None:
    @transaction
    def log_twice() -> Steps[None]:
        for _ in range(2):
            yield from history.log_cut_short(
                "", "a", claim_no=1, attempt=1, worker_id="worker-1", started_at_us=0
            )

    store = SqliteSyncStore(sqlite_options(path), FakeClock())

    with pytest.raises(ConflictError, match="another transaction was first"):
        store.run(log_twice())

    store.close()


def test_the_clock_of_the_machine_is_the_stores(path: Path) -> None:
    clock = SystemClock()
    store = SqliteSyncStore(sqlite_options(path), clock)
    before = clock.now_us()

    found = store.run(workers.clock())

    store.close()
    assert before <= found <= clock.now_us()


@pytest.mark.parametrize(
    ("version", "unsafe"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_libraries_with_the_race_are_known(version: tuple[int, int, int], unsafe: bool) -> None:
    assert unsafe == is_unsafe(version)


# Forks.


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_parent_and_child_both_write_after_a_fork(path: Path) -> None:
    store = SqliteSyncStore(sqlite_options(path), FakeClock())
    store.run(tasks.insert(a_task("before")))

    child = os.fork()
    if child == 0:
        code = 1
        try:
            for place in range(20):
                store.run(tasks.insert(a_task(f"child-{place}")))
            store.close()
            code = 0
        finally:
            os._exit(code)
    for place in range(20):
        store.run(tasks.insert(a_task(f"parent-{place}")))
    _, status = os.waitpid(child, 0)
    store.run(tasks.insert(a_task("after")))
    store.close()

    assert 0 == status
    assert 42 == len(ids_in(path))
    connection = apsw.Connection(str(path))
    assert "ok" == connection.pragma("integrity_check")
    connection.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_outlives_its_parents_store_and_loses_nothing(path: Path) -> None:
    """A child that took no locks of its own lost its commits when the parent closed the file."""
    store = SqliteSyncStore(sqlite_options(path), FakeClock())
    store.run(tasks.insert(a_task("before")))
    reading, writing = os.pipe()

    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(writing)
            store.run(tasks.insert(a_task("child-1")))
            os.read(reading, 1)  # The parent has closed the file, and another has opened it.
            store.run(tasks.insert(a_task("child-2")))
            code = 0
        finally:
            os._exit(code)
    store.close()
    another = SqliteSyncStore(sqlite_options(path), FakeClock())
    another.run(tasks.insert(a_task("another-1")))
    another.close()
    os.write(writing, b".")
    _, status = os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)

    assert 0 == status
    assert ["another-1", "before", "child-1", "child-2"] == ids_in(path)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_waits_for_the_verb_of_another_thread(path: Path) -> None:
    store = SqliteSyncStore(sqlite_options(path), FakeClock())
    started, forking = threading.Event(), threading.Event()

    @transaction
    def slow() -> Steps[None]:
        started.set()
        forking.wait(timeout=30)
        yield from tasks.insert(a_task("slow"))

    thread = threading.Thread(target=lambda: store.run(slow()))
    thread.start()
    started.wait(timeout=30)
    forking.set()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            store.run(tasks.insert(a_task("child")))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    thread.join(timeout=30)
    store.close()

    assert 0 == status
    assert ["child", "slow"] == ids_in(path)
