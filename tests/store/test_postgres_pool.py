"""The pool of connections: how many, which one, and what becomes of spoilt ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import asyncpg
import pytest

from tenure.store.postgres_pool import IDLE_US_MAX, ConnectionPool
from tests.engine.virtual import settle_down
from tests.store.drivers import FakeClock, postgres_options

T = TypeVar("T")
PID = "SELECT pg_backend_pid()"


def pooled(
    dsn: str, use: Callable[[ConnectionPool, FakeClock], Awaitable[T]], *, pool_max: int = 2
) -> T:
    """Use a pool on an event loop of its own, and close it."""

    async def run() -> T:
        clock = FakeClock()
        pool = ConnectionPool(replace(postgres_options(dsn), pool_max=pool_max), clock)
        try:
            return await use(pool, clock)
        finally:
            await pool.close()

    return asyncio.run(run())


async def pid(pool: ConnectionPool) -> int:
    async with pool.take() as connection:
        found: int = await connection.fetchval(PID)
        return found


def test_the_connection_that_was_used_last_is_lent_first(postgres_dsn: str) -> None:
    async def use(pool: ConnectionPool, _: FakeClock) -> None:
        async with pool.take() as first, pool.take() as second:
            pids = [await first.fetchval(PID), await second.fetchval(PID)]
        assert pids[0] != pids[1]
        assert [await pid(pool), await pid(pool)] == [pids[0], pids[0]]

    pooled(postgres_dsn, use)


def test_no_more_are_open_than_allowed(postgres_dsn: str) -> None:
    async def use(pool: ConnectionPool, _: FakeClock) -> set[int]:
        return set(await asyncio.gather(*(pid(pool) for _ in range(20))))

    assert len(pooled(postgres_dsn, use)) <= 2


def test_a_connection_that_is_cut_is_replaced(postgres_dsn: str) -> None:
    async def use(pool: ConnectionPool, _: FakeClock) -> None:
        with pytest.raises(asyncpg.PostgresError):
            async with pool.take() as connection:
                await connection.fetchval(
                    f"SELECT pg_terminate_backend({await pid_of(connection)})"
                )
        assert await pid(pool) > 0

    pooled(postgres_dsn, use, pool_max=1)


async def pid_of(connection: asyncpg.Connection) -> int:
    found: int = await connection.fetchval(PID)
    return found


def test_a_transaction_left_open_is_not_lent_to_the_next(postgres_dsn: str) -> None:
    async def use(pool: ConnectionPool, _: FakeClock) -> None:
        async with pool.take() as connection:
            await connection.execute("BEGIN")
            spoilt = await pid_of(connection)
        assert await pid(pool) != spoilt

    pooled(postgres_dsn, use, pool_max=1)


def test_a_connection_whose_user_was_cancelled_is_not_lent_again(postgres_dsn: str) -> None:
    async def use(pool: ConnectionPool, _: FakeClock) -> None:
        before = await pid(pool)

        async def sleep() -> None:
            async with pool.take() as connection:
                began.set()
                await connection.fetchval("SELECT pg_sleep(600)")

        began = asyncio.Event()
        task = asyncio.get_running_loop().create_task(sleep())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await pid(pool) != before

    pooled(postgres_dsn, use, pool_max=1)


def test_connections_that_nobody_needs_are_closed(postgres_dsn: str) -> None:
    async def use(pool: ConnectionPool, clock: FakeClock) -> None:
        async with pool.take(), pool.take():
            pass
        clock.slept_us += IDLE_US_MAX
        await pid(pool)
        assert len(pool._idle) == 2
        clock.slept_us += 1
        await pid(pool)
        assert len(pool._idle) == 1

    pooled(postgres_dsn, use)


def test_a_closed_pool_lends_nothing_and_waits_for_what_is_lent(postgres_dsn: str) -> None:
    async def use(pool: ConnectionPool, _: FakeClock) -> None:
        async with pool.take() as connection:
            closing = asyncio.get_running_loop().create_task(pool.close())
            await settle_down()
            with pytest.raises(asyncpg.InterfaceError, match="the store is closed"):
                await pid(pool)
            assert await pid_of(connection) > 0
            assert not closing.done()
        await closing
        assert connection.is_closed()
        pool._permits = asyncio.Semaphore(2)

    pooled(postgres_dsn, use)
