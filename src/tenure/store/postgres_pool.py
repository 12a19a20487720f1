"""Connections to PostgreSQL, kept open and handed out to one verb at a time.

Not asyncpg's own pool: it makes a task to take a connection and another to give it back, which
costs as much as a small statement does. Decision 0014 has the figures.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tenure.kernel.ports import Clock
from tenure.store.postgres_options import PostgresOptions

IDLE_US_MAX = 300_000_000


class ConnectionPool:
    """At most `options.pool_max` connections; the one that was used last is handed out first."""

    def __init__(self, options: PostgresOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._idle: deque[tuple[asyncpg.Connection, int]] = deque()
        # One of these for each connection that may still be opened or handed out.
        self._permits = asyncio.Semaphore(options.pool_max)
        self._is_closed = False

    @asynccontextmanager
    async def take(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection; wait for at most `options.connect_s` for one to be given back.

        Raises:
            TimeoutError, OSError, asyncpg.PostgresError: there is none to be had.
        """
        if self._is_closed:
            raise asyncpg.InterfaceError("the store is closed")
        if self._permits.locked():
            async with asyncio.timeout(self._options.connect_s):
                await self._permits.acquire()
        else:
            await self._permits.acquire()
        try:
            connection = self._pop() or await self._connect()
            try:
                yield connection
            except asyncio.CancelledError:
                # Its statement may still be under way, and nobody will read the answer.
                connection.terminate()
                raise
            finally:
                self._put(connection)
        finally:
            self._permits.release()

    async def close(self) -> None:
        """Wait for what is lent, and close all."""
        self._is_closed = True
        for _ in range(self._options.pool_max):
            await self._permits.acquire()
        while connection := self._pop():
            await connection.close(timeout=self._options.connect_s)

    def _pop(self) -> asyncpg.Connection | None:
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def _put(self, connection: asyncpg.Connection) -> None:
        if not connection.is_closed() and connection.is_in_transaction():
            connection.terminate()
        now_us = self._clock.monotonic_us()
        if not connection.is_closed():
            self._idle.append((connection, now_us))
        while self._idle and now_us - self._idle[0][1] > IDLE_US_MAX:
            connection, _ = self._idle.popleft()
            connection.terminate()

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._options.url,
            statement_cache_size=100 if self._options.prepare else 0,
            timeout=self._options.connect_s,
            server_settings=self._options.server_settings,
        )
