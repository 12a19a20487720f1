"""PostgreSQL's own: its clock, its errors, connections that die, pools, plain statements."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors

from tenure.kernel.errors import (
    ConflictError,
    SchemaError,
    StoreBusyError,
    StoreDownError,
    StoreError,
)
from tenure.kernel.model import TaskId
from tenure.kernel.ports import Mode, Statement, Steps, Verb
from tenure.kernel.states import Event, State
from tenure.store import claims, migrate, postgres, postgres_sync, tasks, workers
from tenure.store.postgres import PostgresStore
from tenure.store.postgres_sync import PostgresSyncStore
from tests.store.builders import (
    LEASE_US,
    a_request,
    a_settlement,
    a_task,
    claim_one,
    expire_all,
    get,
    insert,
)
from tests.store.drivers import (
    AsyncpgDriver,
    Driver,
    FakeClock,
    PsycopgDriver,
    postgres_options,
)

KILL = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND application_name = 'tenure'"""


@pytest.fixture(params=["asyncpg", "psycopg"])
def timed(request: pytest.FixtureRequest, postgres_dsn: str) -> Iterator[Driver]:
    """A store that goes by the server's clock."""
    kind = AsyncpgDriver if request.param == "asyncpg" else PsycopgDriver
    driver: Driver = kind(postgres_dsn, FakeClock(0), uses_store_clock=True)
    driver.run(migrate.apply(migrate.migrations("postgres")))
    yield driver
    driver.close()


def server_us(store: Driver) -> int:
    query = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"
    now_us: int = store.rows(query)[0][0]
    return now_us


# The server's clock.


def test_the_clock_of_the_server_is_the_stores(timed: Driver) -> None:
    before = server_us(timed)

    found = timed.run(workers.clock())

    assert before <= found <= server_us(timed)


def test_a_task_goes_through_its_life_by_the_clock_of_the_server(timed: Driver) -> None:
    before = server_us(timed)
    insert(timed, a_task(attempts_max=3, timeout_us=LEASE_US))
    claim = claim_one(timed, lease_us=0)
    expired = expire_all(timed, Event.EXPIRE)
    task = get(timed)
    after = server_us(timed)

    assert ["task-1"] == [each.id for each in expired]
    times = [task.created_at_us, claim.claimed_at_us, task.run_at_us]
    assert sorted([before, *times, after]) == [before, *times, after]
    assert claim.deadline_us == claim.claimed_at_us + LEASE_US


def test_a_delay_is_counted_by_the_clock_of_the_server(timed: Driver) -> None:
    insert(timed, a_task(delay_us=3_600_000_000))

    due = timed.run(claims.next_dues(["default"]))

    assert 3_590_000_000 < due["default"] <= 3_600_000_000
    assert [] == timed.run(claims.claim(a_request()))


# Errors.


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (asyncpg.DeadlockDetectedError("x"), StoreBusyError),
        (asyncpg.SerializationError("x"), StoreBusyError),
        (asyncpg.LockNotAvailableError("x"), StoreBusyError),
        (asyncpg.TooManyConnectionsError("x"), StoreBusyError),
        (asyncpg.CannotConnectNowError("x"), StoreBusyError),
        (asyncpg.AdminShutdownError("x"), StoreBusyError),
        (asyncpg.ConnectionDoesNotExistError("x"), StoreBusyError),
        (asyncpg.InterfaceError("connection is closed"), StoreBusyError),
        (ConnectionResetError("x"), StoreBusyError),
        (TimeoutError(), StoreBusyError),
        (asyncpg.DiskFullError("x"), StoreDownError),
        (asyncpg.OutOfMemoryError("x"), StoreDownError),
        (asyncpg.InsufficientPrivilegeError("x"), StoreDownError),
        (asyncpg.ReadOnlySQLTransactionError("x"), StoreDownError),
        (asyncpg.UndefinedTableError("x"), SchemaError),
        (asyncpg.UndefinedColumnError("x"), SchemaError),
        (asyncpg.UniqueViolationError("x"), ConflictError),
        (asyncpg.CheckViolationError("x"), StoreError),
        (asyncpg.CharacterNotInRepertoireError("x"), StoreError),
        (asyncpg.exceptions._base.DataError("x"), StoreError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_asyncpg_have_our_names(error: Exception, wanted: type[Exception]) -> None:
    told = postgres.translated(error)

    assert wanted is type(told)
    assert str(error) in str(told)


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (errors.DeadlockDetected("x"), StoreBusyError),
        (errors.SerializationFailure("x"), StoreBusyError),
        (errors.LockNotAvailable("x"), StoreBusyError),
        (errors.TooManyConnections("x"), StoreBusyError),
        (errors.AdminShutdown("x"), StoreBusyError),
        (psycopg.OperationalError("the connection is lost"), StoreBusyError),
        (errors.DiskFull("x"), StoreDownError),
        (errors.OutOfMemory("x"), StoreDownError),
        (errors.InsufficientPrivilege("x"), StoreDownError),
        (errors.ReadOnlySqlTransaction("x"), StoreDownError),
        (errors.UndefinedTable("x"), SchemaError),
        (errors.UndefinedColumn("x"), SchemaError),
        (errors.UniqueViolation("x"), ConflictError),
        (errors.CheckViolation("x"), StoreError),
        (psycopg.DataError("x"), StoreError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_psycopg_have_our_names(error: psycopg.Error, wanted: type[Exception]) -> None:
    told = postgres_sync.translated(error)

    assert wanted is type(told)
    assert str(error) in str(told)


@pytest.mark.parametrize("driver", [AsyncpgDriver, PsycopgDriver])
def test_a_text_that_the_server_cannot_keep_is_no_reason_to_try_again(
    postgres_dsn: str, driver: Callable[..., Driver]
) -> None:
    """With asyncpg a value of the wrong kind was told as busy, and was sent for ever."""
    store = driver(postgres_dsn, FakeClock())
    store.run(migrate.apply(migrate.migrations("postgres")))
    insert(store, a_task())

    with pytest.raises(StoreError) as nul:
        store.run(tasks.cancel("", TaskId("task-1"), force=True, reason="nul \0"))
    with pytest.raises((StoreError, OverflowError)) as large:
        store.run(tasks.insert(a_task("b", cost=2**40)))

    store.close()
    assert StoreBusyError is not type(nul.value)
    assert StoreBusyError is not type(large.value)


@pytest.mark.parametrize("driver", [AsyncpgDriver, PsycopgDriver])
def test_a_single_verb_asks_once(postgres_dsn: str, driver: Callable[..., Driver]) -> None:
    def twice() -> Steps[None]:
        yield Statement("clock", {})
        yield Statement("clock", {})

    store = driver(postgres_dsn, FakeClock())

    with pytest.raises(AssertionError, match="twice is not single"):
        store.run(Verb(twice, mode=Mode.SINGLE, name="twice"))

    store.close()


# Connections.


@pytest.mark.parametrize("driver", [AsyncpgDriver, PsycopgDriver])
def test_a_store_whose_connections_died_is_busy_at_most_once_each(
    postgres_dsn: str, driver: Callable[..., Driver]
) -> None:
    store = driver(postgres_dsn, FakeClock())
    store.run(migrate.apply(migrate.migrations("postgres")))
    store.rows(KILL)

    def insert_one() -> bool:
        try:
            return store.run(tasks.insert(a_task()))
        except StoreBusyError:
            return store.run(tasks.insert(a_task()))

    assert insert_one()
    store.close()


def test_a_verb_that_gets_no_connection_in_time_is_busy(postgres_dsn: str) -> None:
    async def use() -> None:
        options = replace(postgres_options(postgres_dsn), pool_max=1, connect_s=0.1)
        store = PostgresStore(options, FakeClock())
        await store.open()
        async with store._pool.take():
            with pytest.raises(StoreBusyError, match="TimeoutError"):
                await store.run(workers.clock())
        assert await store.run(workers.clock()) > 0
        await store.close()

    asyncio.run(use())


def test_the_sync_store_keeps_within_its_connections(postgres_dsn: str) -> None:
    options = replace(postgres_options(postgres_dsn), pool_max=2)
    store = PostgresSyncStore(options, FakeClock())
    store.run(migrate.apply(migrate.migrations("postgres")))
    most = 0

    def insert_some(worker: int) -> None:
        nonlocal most
        for place in range(10):
            store.run(tasks.insert(a_task(f"t{worker}-{place}")))
            most = max(most, 2 - store._places._value)

    threads = [threading.Thread(target=insert_some, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    found = store.run(tasks.find("", limit=100))
    connections = len(store._idle)
    store.close()

    assert 60 == len(found)
    assert connections <= 2
    assert most <= 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_parent_and_child_both_write_after_a_fork(postgres_dsn: str) -> None:
    store = PostgresSyncStore(postgres_options(postgres_dsn), FakeClock())
    store.run(migrate.apply(migrate.migrations("postgres")))

    child = os.fork()
    if child == 0:
        code = 1
        try:
            for place in range(10):
                store.run(tasks.insert(a_task(f"child-{place}")))
            store.close()
            code = 0
        finally:
            os._exit(code)
    for place in range(10):
        store.run(tasks.insert(a_task(f"parent-{place}")))
    _, status = os.waitpid(child, 0)
    found = store.run(tasks.find("", limit=100))
    store.close()

    assert 0 == status
    assert 20 == len(found)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_task_goes_through_its_life_without_prepared_statements(
    postgres_dsn: str, driver: str
) -> None:
    options = postgres_options(postgres_dsn, prepare=False)
    store: Any
    runner = asyncio.Runner()
    if driver == "asyncpg":
        store = PostgresStore(options, FakeClock())
        runner.run(store.open())
    else:
        store = PostgresSyncStore(options, FakeClock())

    def run(verb: Verb[Any]) -> Any:
        answer = store.run(verb)
        return runner.run(answer) if driver == "asyncpg" else answer

    run(migrate.apply(migrate.migrations("postgres")))
    for turn in range(7):
        run(tasks.insert(a_task(f"t{turn}")))
        (claim,) = run(claims.claim(a_request()))
        settlement = a_settlement(claim, Event.COMPLETE)
        run(claims.settle([settlement], worker_id="worker-1", inline_bytes_max=9))
    prepared = run(tasks.find("", state=State.COMPLETED, limit=100))
    closing = store.close()
    if driver == "asyncpg":
        runner.run(closing)
    runner.close()

    assert 7 == len(prepared)


@pytest.mark.parametrize(("durable", "level"), [(True, "on"), (False, "off")])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_durability_reaches_the_session(
    postgres_dsn: str, driver: str, durable: bool, level: str
) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    options = postgres_options(postgres_dsn, durable=durable)

    async def ask_asyncpg() -> object:
        store = PostgresStore(options, FakeClock())
        await store.open()
        async with store._pool.take() as connection:
            found: object = await connection.fetchval("SHOW synchronous_commit")
        await store.close()
        return found

    def ask_psycopg() -> object:
        store = PostgresSyncStore(options, FakeClock())
        found = store._idle[0].execute("SHOW synchronous_commit").fetchall()[0][0]
        store.close()
        return found

    found = asyncio.run(ask_asyncpg()) if driver == "asyncpg" else ask_psycopg()

    assert level == found
