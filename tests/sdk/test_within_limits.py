"""Which connections are taken, and what those are told that are not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as async_alchemy

import tenure
from tenure import (
    AsyncClient,
    Client,
    DuplicateError,
    InvalidError,
    Registry,
    SchemaError,
    StoreBusyError,
    StoreDownError,
)
from tests.support.postgres import Cluster

registry = Registry()


@registry.task
def double(n: int) -> int:
    return 2 * n


CALL = double.call(1)


@pytest.fixture
def client(sqlite_url: str) -> Iterator[Client]:
    with Client(sqlite_url) as opened:
        yield opened


@pytest.fixture
def path(sqlite_url: str) -> str:
    return sqlite_url.removeprefix("sqlite:///")


@pytest.fixture
def own(client: Client, path: str) -> Iterator[apsw.Connection]:
    """A connection of the user's to the client's file."""
    connection = apsw.Connection(path)
    connection.execute("CREATE TABLE orders (n)")
    yield connection
    connection.close()


def payloads(client: Client) -> set[bytes | None]:
    return {task.payload for task in client.find()}


def test_on_apsw_a_task_comes_and_goes_with_the_transaction(
    client: Client, own: apsw.Connection
) -> None:
    enqueuer = client.within(own)

    own.execute("BEGIN")
    own.execute("INSERT INTO orders VALUES (1)")
    enqueuer.enqueue(double, 1)
    own.execute("ROLLBACK")
    own.execute("BEGIN")
    enqueuer.enqueue_many([double.call(2), double.call(3)])
    before = payloads(client)
    own.execute("COMMIT")

    assert before == set()
    assert payloads(client) == {b'{"n":2}', b'{"n":3}'}
    assert own.execute("SELECT COUNT(*) FROM orders").get == 0


def test_on_apsw_a_duplicate_leaves_the_transaction_as_it_was(
    client: Client, own: apsw.Connection
) -> None:
    unique = double.options(unique="one")
    client.enqueue(unique, 1)
    enqueuer = client.within(own)

    with own:
        enqueuer.enqueue(double, 2)
        with pytest.raises(DuplicateError):
            enqueuer.enqueue(unique, 3)
        with pytest.raises(DuplicateError):
            enqueuer.enqueue_many([double.call(4), unique.call(5)])

    assert payloads(client) == {b'{"n":1}', b'{"n":2}'}


def test_on_apsw_without_a_transaction_a_task_is_stored_at_once(
    client: Client, own: apsw.Connection
) -> None:
    tenure.enqueue_on(own, double.call(1))
    client.within(own).enqueue_many([double.call(2)])

    assert payloads(client) == {b'{"n":1}', b'{"n":2}'}


def test_on_apsw_a_worker_hears_of_the_commit(client: Client, own: apsw.Connection) -> None:
    own.set_busy_timeout(30_000)
    with tenure.Worker(client, registry=registry):
        with own:
            handle = client.within(own).enqueue(double, 4)

        assert handle.result(timeout=30) == 8


def test_on_apsw_a_transaction_waits_for_its_turn_to_write(
    client: Client, own: apsw.Connection
) -> None:
    """It was looked up first where the connection leads, and SQLite lets no reader in between."""
    other = apsw.Connection(own.db_filename("main"))
    other.execute("BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)")
    waits: list[int] = []

    def let_go(_: int) -> bool:
        waits.append(1)
        other.execute("COMMIT")
        return True

    own.set_busy_handler(let_go)
    with own:
        client.within(own).enqueue(double, 1)

    assert waits == [1]
    assert payloads(client) == {b'{"n":1}'}
    other.close()


def test_on_apsw_a_locked_file_is_told_at_once(client: Client, own: apsw.Connection) -> None:
    other = apsw.Connection(own.db_filename("main"))
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreBusyError, match="locked by another connection"):
        client.within(own).enqueue(double, 1)

    other.close()


def test_a_closed_apsw_connection_is_refused(client: Client, own: apsw.Connection) -> None:
    own.close()

    with pytest.raises(InvalidError, match="the connection is closed"):
        client.within(own).enqueue(double, 1)


def test_another_file_than_the_clients_is_refused(client: Client, tmp_path: Path) -> None:
    with Client(f"sqlite:///{tmp_path / 'other.db'}"):
        pass
    other = apsw.Connection(str(tmp_path / "other.db"))

    with pytest.raises(InvalidError, match=r"other\.db'.* not where this client keeps its tasks"):
        client.within(other).enqueue(double, 1)

    other.close()


def test_a_file_without_tables_is_refused(client: Client, tmp_path: Path) -> None:
    empty = apsw.Connection(str(tmp_path / "empty.db"))

    with pytest.raises(SchemaError, match=r"no such table: task.*run 'tenure db migrate'"):
        tenure.enqueue_on(empty, CALL)

    empty.close()


def test_pythons_own_sqlite_is_refused_with_the_reason(client: Client, path: str) -> None:
    connection = sqlite3.connect(path)

    with pytest.raises(InvalidError, match="two SQLite libraries in one process undo") as refused:
        client.within(connection)

    assert refused.value.field == "connection"
    connection.close()


def test_sqlalchemy_on_sqlite_is_refused_with_the_reason(client: Client, path: str) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")

    with engine.connect() as connection, pytest.raises(InvalidError, match="two SQLite libraries"):
        client.within(connection).enqueue(double, 1)
    with orm.Session(engine) as session, pytest.raises(InvalidError, match="two SQLite libraries"):
        tenure.enqueue_on(session, CALL)

    engine.dispose()


class Closable:
    """Something of nobody's."""

    def close(self) -> None:
        """Do nothing."""


def test_something_else_is_refused_with_what_would_do(client: Client) -> None:
    with pytest.raises(InvalidError, match=r"test_within_limits\.Closable: use a connection of"):
        client.within(Closable())


# PostgreSQL.


def test_another_database_than_the_clients_is_refused(
    postgres_url: str, postgres_cluster: Cluster, postgres_template: str
) -> None:
    other = postgres_cluster.create_database("tenure_other", template=postgres_template)

    with (
        Client(postgres_url) as client,
        psycopg.connect(other) as connection,
        pytest.raises(InvalidError, match="'tenure_other', which is not where this client") as told,
    ):
        client.within(connection).enqueue(double, 1)

    assert postgres_url not in str(told.value), "the password must not be shown"
    postgres_cluster.drop_database("tenure_other")


def test_a_client_of_sqlite_and_a_connection_to_postgresql_are_refused(
    client: Client, postgres_url: str
) -> None:
    with (
        psycopg.connect(postgres_url) as connection,
        pytest.raises(InvalidError, match="not where this client keeps its tasks"),
    ):
        client.within(connection).enqueue(double, 1)


def test_a_database_without_tables_is_refused_and_its_transaction_goes_on(
    postgres_dsn: str,
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE orders (n integer)")

        with pytest.raises(SchemaError, match=r"has no table 'task'.*search_path"):
            tenure.enqueue_on(connection, CALL)

        connection.execute("INSERT INTO orders VALUES (1)")


def test_a_closed_connection_of_psycopg_is_refused(postgres_url: str) -> None:
    connection = psycopg.connect(postgres_url)
    connection.close()

    with pytest.raises(InvalidError, match="the connection is closed"):
        tenure.enqueue_on(connection, CALL)


def test_a_closed_connection_of_sqlalchemy_is_refused(postgres_url: str) -> None:
    engine = sqlalchemy.create_engine(
        postgres_url.replace("postgresql://", "postgresql+psycopg://")
    )
    with engine.connect() as connection:
        pass

    with pytest.raises(InvalidError, match="the connection is closed"):
        tenure.enqueue_on(connection, CALL)

    engine.dispose()


def test_a_read_only_transaction_is_told(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.read_only = True

        with pytest.raises(StoreDownError, match="does not let us write"):
            tenure.enqueue_on(connection, CALL)


def test_closed_async_connections_are_refused(postgres_url: str) -> None:
    async def refused(connection: Any) -> None:
        with pytest.raises(InvalidError, match="the connection is closed"):
            await tenure.enqueue_on_async(connection, CALL)

    async def main() -> None:
        alone = await asyncpg.connect(postgres_url)
        await alone.close()
        await refused(alone)
        async with asyncpg.create_pool(postgres_url, min_size=1, max_size=1) as pool:
            async with pool.acquire() as taken:
                pass
            await refused(taken)
        other = await psycopg.AsyncConnection.connect(postgres_url)
        await other.close()
        await refused(other)

    asyncio.run(main())


def test_an_idle_connection_of_asyncpg_stores_at_once(postgres_url: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(postgres_url)
        async with AsyncClient(postgres_url) as client:
            enqueuer = client.within(connection)
            await enqueuer.enqueue(double, 1)
            await enqueuer.enqueue_many([double.call(2)])
            assert len(await client.find()) == 2
        await connection.close()

    asyncio.run(main())


def test_a_transaction_of_asyncpg_that_has_failed_is_told(postgres_url: str) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute("BEGIN")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.execute("SELECT 1 / 0")
        with pytest.raises(tenure.StoreError, match="roll it back before anything else"):
            await tenure.enqueue_on_async(connection, CALL)
        await connection.close()

    asyncio.run(main())


def test_a_connection_for_coroutines_is_refused_by_the_sync_client(
    client: Client, postgres_url: str
) -> None:
    refused = pytest.raises(InvalidError, match=r"for coroutines: use AsyncClient\.within")

    async def main() -> None:
        connections: list[Any] = [
            await asyncpg.connect(postgres_url),
            await psycopg.AsyncConnection.connect(postgres_url),
        ]
        for connection in connections:
            with refused:
                client.within(connection)
            await connection.close()

    asyncio.run(main())


def test_a_connection_for_functions_is_refused_by_the_async_client(
    own: apsw.Connection, sqlite_url: str
) -> None:
    anything: Any = own

    with pytest.raises(InvalidError, match=r"for plain functions: use Client\.within"):
        AsyncClient(sqlite_url).within(anything)


def test_the_sync_view_of_an_async_connection_is_refused(postgres_url: str) -> None:
    async def main() -> None:
        engine = async_alchemy.create_async_engine(
            postgres_url.replace("postgresql://", "postgresql+asyncpg://")
        )
        async with engine.connect() as connection:
            anything: Any = connection.sync_connection
            with pytest.raises(InvalidError, match="for coroutines"):
                tenure.enqueue_on(anything, CALL)
        await engine.dispose()

    asyncio.run(main())


def test_the_client_must_be_open(own: apsw.Connection, client: Client) -> None:
    enqueuer = client.within(own)
    client.close()

    with pytest.raises(StoreDownError, match="the client is closed"):
        enqueuer.enqueue(double, 1)
