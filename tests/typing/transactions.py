"""Enqueueing within one's own transaction: every connection and session that is taken."""

from __future__ import annotations

from typing import Any, assert_type

import apsw
import asyncpg
import psycopg
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as async_alchemy

import tenure
from tenure import AsyncClient, AsyncEnqueuer, AsyncHandle, Client, Enqueuer, Handle
from tests.typing.handlers import fetch, mine


def functions(
    client: Client,
    plain: psycopg.Connection[Any],
    connection: sqlalchemy.Connection,
    session: orm.Session,
    scoped: orm.scoped_session[orm.Session],
    file: apsw.Connection,
) -> None:
    """For plain functions."""
    assert_type(client.within(plain), Enqueuer)
    assert_type(client.within(connection).enqueue(fetch, "http://a"), Handle[bytes])
    assert_type(client.within(session).enqueue_many([mine.call(1)]), list[Handle[int]])
    assert_type(tenure.enqueue_on(scoped, mine.call(1)), str)
    assert_type(tenure.enqueue_on(file, mine.options(delay=1).call(1), tenant="a"), str)


async def coroutines(
    client: AsyncClient,
    plain: psycopg.AsyncConnection[Any],
    native: asyncpg.Connection[asyncpg.Record],
    connection: async_alchemy.AsyncConnection,
    session: async_alchemy.AsyncSession,
) -> None:
    """For coroutines."""
    assert_type(client.within(plain), AsyncEnqueuer)
    assert_type(await client.within(native).enqueue(fetch, "http://a"), AsyncHandle[bytes])
    assert_type(client.within(connection), AsyncEnqueuer)
    handles = await client.within(session).enqueue_many([mine.call(1)])
    assert_type(handles, list[AsyncHandle[int]])
    assert_type(await tenure.enqueue_on_async(session, mine.call(1)), str)
