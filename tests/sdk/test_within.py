"""Enqueueing in the user's own transaction, through every kind of connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext import asyncio as async_alchemy

import tenure
from tenure import (
    AsyncClient,
    AsyncEnqueuer,
    Client,
    DuplicateError,
    Enqueuer,
    LimitError,
    Registry,
    State,
    TenureError,
)

registry = Registry()


@registry.task
def double(n: int) -> int:
    return 2 * n


@registry.task
async def shout(text: str) -> str:
    return text.upper()


# Each way opens a connection of some kind, and says how its owner speaks to it.


class Own:
    """A connection or session of the user's, whatever it is called there."""

    def __init__(self, connection: Any, execute: Callable[[str], object]) -> None:
        self.connection = connection
        self.execute = execute

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()


def alchemy_url(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://")


@contextmanager
def by_psycopg(url: str) -> Iterator[Own]:
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        yield Own(connection, connection.execute)
        connection.rollback()


@contextmanager
def by_alchemy_connection(url: str) -> Iterator[Own]:
    engine = sqlalchemy.create_engine(alchemy_url(url, "psycopg"))
    with engine.connect() as connection:
        yield Own(connection, connection.exec_driver_sql)
    engine.dispose()


@contextmanager
def by_alchemy_session(url: str) -> Iterator[Own]:
    engine = sqlalchemy.create_engine(alchemy_url(url, "psycopg"))
    with orm.Session(engine) as connection:
        yield Own(connection, lambda text: connection.execute(sqlalchemy.text(text)))
    engine.dispose()


@contextmanager
def by_alchemy_scoped_session(url: str) -> Iterator[Own]:
    engine = sqlalchemy.create_engine(alchemy_url(url, "psycopg"))
    session = orm.scoped_session(orm.sessionmaker(engine))
    yield Own(session, lambda text: session.execute(sqlalchemy.text(text)))
    session.remove()
    engine.dispose()


Way = Callable[[str], AbstractContextManager[Own]]
WAYS = [by_psycopg, by_alchemy_connection, by_alchemy_session, by_alchemy_scoped_session]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


@pytest.fixture
def client(postgres_url: str) -> Iterator[Client]:
    with Client(postgres_url) as opened:
        yield opened


@pytest.fixture
def own(client: Client, way: Way) -> Iterator[Own]:
    with way(client.settings.url) as opened:
        opened.execute("CREATE TABLE orders (n integer)")
        opened.commit()
        yield opened


def orders(client: Client) -> int:
    with psycopg.connect(client.settings.url) as connection:
        counted = connection.execute("SELECT COUNT(*) FROM orders").fetchone()
    assert counted is not None
    return int(counted[0])


def test_a_task_exists_once_its_transaction_commits(client: Client, own: Own) -> None:
    own.execute("INSERT INTO orders VALUES (1)")
    handle = client.within(own.connection).enqueue(double, 4)
    before = client.find()

    own.commit()

    assert before == []
    assert handle.task().state is State.PENDING
    assert orders(client) == 1


def test_a_task_never_was_if_its_transaction_is_rolled_back(client: Client, own: Own) -> None:
    own.execute("INSERT INTO orders VALUES (1)")
    client.within(own.connection).enqueue(double, 4)

    own.rollback()

    assert client.find() == []
    assert orders(client) == 0


def test_enqueueing_begins_the_transaction_if_nothing_has(client: Client, own: Own) -> None:
    enqueuer = client.within(own.connection)

    enqueuer.enqueue(double, 1)
    own.rollback()
    enqueuer.enqueue_many([double.call(2)])
    own.rollback()
    enqueuer.enqueue_many([double.call(3)])
    before = client.find()
    own.commit()

    assert before == []
    assert [task.payload for task in client.find()] == [b'{"n":3}']


def test_a_task_goes_with_the_savepoint_it_was_stored_in(client: Client, own: Own) -> None:
    enqueuer = client.within(own.connection)

    enqueuer.enqueue(double, 1)
    own.execute("SAVEPOINT mine")
    enqueuer.enqueue(double, 2)
    enqueuer.enqueue_many([double.call(3), shout.call("a")])
    own.execute("ROLLBACK TO SAVEPOINT mine")
    own.commit()

    assert [task.payload for task in client.find()] == [b'{"n":1}']


def test_many_are_stored_in_one_transaction(client: Client, own: Own) -> None:
    large = "x" * 10_000

    handles = client.within(own.connection).enqueue_many(
        [*(double.call(n) for n in range(2_500)), shout.call(large)]
    )
    before = client.find()
    own.commit()

    assert before == []
    assert len({handle.id for handle in handles}) == 2_501
    assert client.get(handles[0].id).payload == b'{"n":0}'
    assert client.get(handles[-1].id).payload == b'{"text":"%s"}' % large.encode()


def test_a_duplicate_leaves_the_transaction_as_it_was(client: Client, own: Own) -> None:
    holder = client.enqueue(double.options(unique="one"), 1)
    enqueuer = client.within(own.connection)

    own.execute("INSERT INTO orders VALUES (1)")
    with pytest.raises(DuplicateError) as refused:
        enqueuer.enqueue(double.options(unique="one"), 2)
    with pytest.raises(DuplicateError):
        enqueuer.enqueue_many([double.call(3), double.options(unique="one").call(4)])
    same = enqueuer.enqueue(double.options(unique="one", return_existing=True), 5)
    enqueuer.enqueue(double, 6)
    own.commit()

    assert refused.value.existing_id == holder.id == same.id
    assert {task.payload for task in client.find()} == {b'{"n":1}', b'{"n":6}'}
    assert orders(client) == 1


def test_what_is_refused_leaves_the_transaction_as_it_was(client: Client, own: Own) -> None:
    enqueuer = client.within(own.connection)
    own.execute("INSERT INTO orders VALUES (1)")

    with pytest.raises(LimitError):
        enqueuer.enqueue(shout, "x" * 2_000_000)
    own.commit()

    assert orders(client) == 1


def test_without_a_client_a_call_is_stored_on_a_connection(client: Client, own: Own) -> None:
    task_id = tenure.enqueue_on(own.connection, double.options(queue="mail").call(7))
    own.commit()

    assert client.get(task_id).queue == "mail"


def test_a_worker_sees_the_task_only_after_the_commit(client: Client, own: Own) -> None:
    with tenure.Worker(client, registry=registry):
        first = client.within(own.connection).enqueue(double, 21)
        second = client.enqueue(double, 1)
        assert second.result(timeout=30) == 2
        with pytest.raises(tenure.NotFoundError):
            first.task()
        own.commit()
        assert first.result(timeout=30) == 42


def test_a_transaction_that_has_failed_is_told_to_be_rolled_back(client: Client, own: Own) -> None:
    with pytest.raises(Exception, match="division by zero"):
        own.execute("SELECT 1 / 0")

    with pytest.raises(TenureError, match="roll it back before anything else"):
        client.within(own.connection).enqueue(double, 1)


def test_an_autocommitting_connection_stores_at_once(client: Client) -> None:
    with psycopg.connect(client.settings.url, autocommit=True) as connection:
        enqueuer = client.within(connection)
        enqueuer.enqueue(double, 1)
        enqueuer.enqueue_many(double.call(n) for n in (2, 3))
        seen = client.find()

    assert len(seen) == 3


def test_the_blocks_of_the_driver_enclose_the_task(client: Client) -> None:
    with psycopg.connect(client.settings.url, autocommit=True) as connection:
        enqueuer = client.within(connection)
        with connection.transaction():
            enqueuer.enqueue(double, 1)
            with connection.transaction(force_rollback=True):
                enqueuer.enqueue_many([double.call(2)])

    assert [task.payload for task in client.find()] == [b'{"n":1}']


def test_the_delay_is_counted_by_the_clock_of_the_server(client: Client) -> None:
    with psycopg.connect(client.settings.url) as connection:
        handle = client.within(connection).enqueue(double.options(delay=60), 1)

    task = handle.task()
    assert task.run_at_us - task.created_at_us == 60_000_000


def test_the_tenant_is_that_of_the_client(postgres_url: str) -> None:
    with Client(postgres_url, tenant="acme") as client:
        with psycopg.connect(postgres_url) as connection:
            handle = client.within(connection).enqueue(double, 1)

        assert handle.task().tenant == "acme"
        with Client(postgres_url) as nobody:
            assert nobody.find() == []


def test_a_function_that_enqueues_need_not_know_in_what(client: Client) -> None:
    def place_order(enqueuer: Enqueuer) -> str:
        return enqueuer.enqueue(double, 5).id

    with psycopg.connect(client.settings.url) as connection:
        ids = [place_order(client), place_order(client.within(connection))]

    assert sorted(ids) == sorted(task.id for task in client.find())


# The same for coroutines.


class AsyncOwn:
    """As `Own`."""

    def __init__(
        self,
        connection: Any,
        execute: Callable[[str], Any],
        commit: Callable[[], Any],
        rollback: Callable[[], Any],
    ) -> None:
        self.connection = connection
        self.execute = execute
        self.commit = commit
        self.rollback = rollback


@asynccontextmanager
async def by_asyncpg(url: str) -> AsyncIterator[AsyncOwn]:
    connection = await asyncpg.connect(url)
    await connection.execute("BEGIN")

    async def end(how: str) -> None:
        await connection.execute(how)
        await connection.execute("BEGIN")

    yield AsyncOwn(connection, connection.execute, lambda: end("COMMIT"), lambda: end("ROLLBACK"))
    await connection.close()


@asynccontextmanager
async def by_asyncpg_pool(url: str) -> AsyncIterator[AsyncOwn]:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as taken:
        transaction = taken.transaction()
        await transaction.start()

        async def end(how: str) -> None:
            nonlocal transaction
            await (transaction.commit() if how == "commit" else transaction.rollback())
            transaction = taken.transaction()
            await transaction.start()

        yield AsyncOwn(taken, taken.execute, lambda: end("commit"), lambda: end("rollback"))
        await transaction.rollback()


@asynccontextmanager
async def by_async_psycopg(url: str) -> AsyncIterator[AsyncOwn]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield AsyncOwn(connection, connection.execute, connection.commit, connection.rollback)
        await connection.rollback()


def by_async_alchemy(
    driver: str, *, as_session: bool
) -> Callable[[str], AbstractAsyncContextManager[AsyncOwn]]:
    @asynccontextmanager
    async def way(url: str) -> AsyncIterator[AsyncOwn]:
        engine = async_alchemy.create_async_engine(alchemy_url(url, driver))
        opened: Any = async_alchemy.AsyncSession(engine) if as_session else engine.connect()
        async with opened as connection:
            yield AsyncOwn(
                connection,
                lambda text: connection.execute(sqlalchemy.text(text)),
                connection.commit,
                connection.rollback,
            )
        await engine.dispose()

    way.__name__ = f"by_{driver}_{'session' if as_session else 'connection'}"
    return way


ASYNC_WAYS = [
    by_asyncpg,
    by_asyncpg_pool,
    by_async_psycopg,
    *(
        by_async_alchemy(driver, as_session=as_session)
        for driver in ("asyncpg", "psycopg")
        for as_session in (False, True)
    ),
]

AsyncWay = Callable[[str], AbstractAsyncContextManager[AsyncOwn]]


@pytest.fixture(params=ASYNC_WAYS, ids=lambda way: way.__name__)
def async_way(request: pytest.FixtureRequest) -> AsyncWay:
    chosen: AsyncWay = request.param
    return chosen


@asynccontextmanager
async def opened_async(
    url: str, way: AsyncWay
) -> AsyncIterator[tuple[AsyncClient, AsyncOwn, AsyncEnqueuer]]:
    async with AsyncClient(url) as client, way(url) as own:
        yield client, own, client.within(own.connection)


def test_async_commit_and_rollback(postgres_url: str, async_way: AsyncWay) -> None:
    async def main() -> None:
        async with opened_async(postgres_url, async_way) as (client, own, enqueuer):
            await enqueuer.enqueue(double, 1)
            await own.rollback()
            await enqueuer.enqueue_many([double.call(2), shout.call("b")])
            await own.rollback()
            kept = await enqueuer.enqueue(double, 3)
            many = await enqueuer.enqueue_many([double.call(4), shout.call("x" * 9_000)])
            assert await client.find() == []
            await own.commit()
            assert {task.id for task in await client.find()} == {kept.id, *(h.id for h in many)}

    asyncio.run(main())


def test_async_savepoints_and_duplicates(postgres_url: str, async_way: AsyncWay) -> None:
    async def main() -> None:
        async with opened_async(postgres_url, async_way) as (client, own, enqueuer):
            holder = await client.enqueue(double.options(unique="one"), 1)
            await own.execute("SAVEPOINT mine")
            await enqueuer.enqueue_many([double.call(2)])
            await own.execute("ROLLBACK TO SAVEPOINT mine")
            with pytest.raises(DuplicateError):
                await enqueuer.enqueue(double.options(unique="one"), 3)
            with pytest.raises(DuplicateError):
                await enqueuer.enqueue_many([double.call(4), double.options(unique="one").call(5)])
            last = await enqueuer.enqueue(double, 6)
            await own.commit()
            assert {task.id for task in await client.find()} == {holder.id, last.id}

    asyncio.run(main())


def test_async_worker_sees_the_task_only_after_the_commit(
    postgres_url: str, async_way: AsyncWay
) -> None:
    async def main() -> None:
        async with (
            opened_async(postgres_url, async_way) as (client, own, enqueuer),
            tenure.Worker(client, registry=registry),
        ):
            first = await enqueuer.enqueue(shout, "late")
            second = await client.enqueue(shout, "early")
            assert await second.result(timeout=30) == "EARLY"
            with pytest.raises(tenure.NotFoundError):
                await first.task()
            await own.commit()
            assert await first.result(timeout=30) == "LATE"

    asyncio.run(main())


def test_async_without_a_client(postgres_url: str, async_way: AsyncWay) -> None:
    async def main() -> None:
        async with opened_async(postgres_url, async_way) as (client, own, _):
            task_id = await tenure.enqueue_on_async(own.connection, double.call(1))
            await own.commit()
            assert (await client.get(task_id)).kind == "double"

    asyncio.run(main())
