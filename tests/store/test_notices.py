"""Notices: what a commit tells the other stores, in this process and through the database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apsw
import asyncpg
import pytest

from tenure.kernel.errors import InvalidError
from tenure.kernel.model import TaskId
from tenure.kernel.ports import ANYTHING, CANCEL, Steps, Verb, queue_topic, transaction
from tenure.kernel.states import State
from tenure.store import claims, local_notices, migrate, queues, tasks
from tenure.store.postgres import PostgresStore
from tenure.store.postgres_notices import (
    NEVER_US,
    PAUSE_US,
    RECONNECT_US,
    NoticeChannel,
    NoticeThrottle,
)
from tenure.store.postgres_options import PostgresOptions
from tenure.store.sqlite import SqliteStore
from tenure.store.sqlite_sync import SqliteSyncStore
from tests.store.builders import a_request, a_task
from tests.store.drivers import FakeClock, postgres_options, sqlite_options

WORK = queue_topic("default")
PATIENCE_S = 30


class Ear:
    """Collects topics, and waits for one."""

    def __init__(self) -> None:
        self.topics: list[str] = []
        self._new = asyncio.Event()

    def hear(self, topic: str) -> None:
        self.topics.append(topic)
        self._new.set()

    async def wait_for(self, topic: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while topic not in self.topics:
                self._new.clear()
                await self._new.wait()

    def forget(self) -> None:
        self.topics.clear()


@transaction
def insert_and_refuse() -> Steps[None]:
    yield from tasks.insert(a_task())
    raise InvalidError("no")


# SQLite.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with tables and no rows."""
    store = SqliteSyncStore(sqlite_options(tmp_path / "tenure.db"), FakeClock())
    store.run(migrate.apply(migrate.migrations("sqlite")))
    store.close()
    return tmp_path / "tenure.db"


def listening(path: Path, use: Callable[[SqliteStore, Ear], Awaitable[Any]]) -> Any:
    """Open a store that listens, and call *use* with it."""

    async def main() -> Any:
        store, ear = SqliteStore(sqlite_options(path), FakeClock()), Ear()
        try:
            assert await store.watch(ear.hear) > 0
            return await use(store, ear)
        finally:
            await store.close()

    return asyncio.run(main())


def test_a_commit_of_another_store_of_the_process_is_told(path: Path) -> None:
    async def use(_: SqliteStore, ear: Ear) -> list[str]:
        other = SqliteStore(sqlite_options(path), FakeClock())
        await other.run(tasks.insert(a_task()))
        await other.close()
        return ear.topics

    assert WORK in listening(path, use)


def test_a_commit_of_a_sync_store_is_told(path: Path) -> None:
    async def use(_: SqliteStore, ear: Ear) -> list[str]:
        other = SqliteSyncStore(sqlite_options(path), FakeClock())
        other.run(tasks.insert(a_task()))
        other.run(tasks.cancel("", TaskId("task-1"), force=False, reason=""))
        other.close()
        return ear.topics

    assert {WORK, CANCEL} <= set(listening(path, use))


def test_a_commit_in_another_thread_is_told_on_the_loop_of_the_listener(path: Path) -> None:
    async def use(_: SqliteStore, ear: Ear) -> list[int]:
        told_in: list[int] = []
        subscription = local_notices.subscribe(
            path, lambda _: told_in.append(threading.get_ident())
        )

        def insert() -> None:
            other = SqliteSyncStore(sqlite_options(path), FakeClock())
            other.run(tasks.insert(a_task()))
            other.close()

        await asyncio.to_thread(insert)
        await ear.wait_for(WORK)
        subscription.cancel()
        return told_in

    assert [threading.get_ident()] == listening(path, use)


def test_what_is_undone_by_a_sync_store_is_not_told(path: Path) -> None:
    async def use(_: SqliteStore, ear: Ear) -> list[str]:
        other = SqliteSyncStore(sqlite_options(path), FakeClock())
        with pytest.raises(InvalidError):
            other.run(insert_and_refuse())
        other.close()
        return ear.topics

    assert WORK not in listening(path, use)


def test_a_topic_is_told_once_for_a_group(path: Path) -> None:
    async def use(store: SqliteStore, ear: Ear) -> list[str]:
        await asyncio.gather(*(store.run(tasks.insert(a_task(f"t{each}"))) for each in range(5)))
        return ear.topics

    assert [WORK] == [topic for topic in listening(path, use) if topic != ANYTHING]


def test_a_commit_of_another_process_is_noticed_at_the_next_look(path: Path) -> None:
    async def use(store: SqliteStore, ear: Ear) -> list[list[str]]:
        await store.watch(ear.hear)
        quiet = list(ear.topics)
        # A connection that tells nobody is as good as another process.
        stranger = apsw.Connection(str(path))
        stranger.execute("DELETE FROM task")
        stranger.execute("INSERT INTO leader VALUES ('', 'office', 'worker-1', 1)")
        await store.watch(ear.hear)
        stranger.close()
        return [quiet, list(ear.topics)]

    quiet, told = listening(path, use)

    assert [] == quiet
    assert ANYTHING in told


def test_our_own_commits_are_not_taken_for_somebody_elses(path: Path) -> None:
    async def use(store: SqliteStore, ear: Ear) -> list[str]:
        await store.run(tasks.insert(a_task()))
        await store.watch(ear.hear)
        return ear.topics

    assert ANYTHING not in listening(path, use)


def test_a_closed_store_is_told_nothing_more(path: Path) -> None:
    async def use(_: SqliteStore, ear: Ear) -> Ear:
        return ear

    ear = listening(path, use)
    local_notices.tell(path, WORK)

    assert [] == ear.topics
    assert path not in local_notices._subscriptions


def test_stores_of_other_files_are_told_nothing(path: Path) -> None:
    async def use(_: SqliteStore, ear: Ear) -> list[str]:
        local_notices.tell(path.with_name("other.db"), WORK)
        return ear.topics

    assert [] == listening(path, use)


# PostgreSQL.


def connected(
    dsn: str,
    use: Callable[[PostgresStore, Ear], Awaitable[Any]],
    **options: Any,
) -> Any:
    """Open a store on a database with tables, and call *use* with it."""

    async def main() -> Any:
        chosen = replace(postgres_options(dsn), **options)
        store, ear = PostgresStore(chosen, FakeClock(), uses_store_clock=False), Ear()
        await store.open()
        try:
            await store.run(migrate.apply(migrate.migrations("postgres")))
            return await use(store, ear)
        finally:
            await store.close()

    return asyncio.run(main())


async def on_server(dsn: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(query)
    await connection.close()
    return [row[0] for row in rows]


def channel_of(store: PostgresStore) -> NoticeChannel:
    return store._channel


def listener_of(store: PostgresStore) -> asyncpg.Connection:
    connection = channel_of(store)._connection
    assert connection is not None
    return connection


def test_whoever_begins_to_listen_is_told_to_look(postgres_dsn: str) -> None:
    async def use(store: PostgresStore, ear: Ear) -> tuple[int, list[str]]:
        return await store.watch(ear.hear), ear.topics

    assert (30_000_000, [ANYTHING]) == connected(postgres_dsn, use)


@pytest.mark.parametrize("prepare", [True, False])
def test_an_insert_is_told_to_the_other_stores(postgres_dsn: str, prepare: bool) -> None:
    async def use(store: PostgresStore, ear: Ear) -> None:
        await store.watch(ear.hear)
        other = PostgresStore(postgres_options(postgres_dsn, prepare=prepare), FakeClock())
        await other.open()
        await other.run(tasks.insert(a_task(queue="mail")))
        await ear.wait_for("queue:mail")
        await other.close()

    connected(postgres_dsn, use)


@pytest.mark.parametrize(
    ("verb", "topic"),
    [
        (tasks.insert_many(a_task(), [TaskId("b")], [b""], inline_bytes_max=1), WORK),
        (tasks.cancel("", TaskId("a"), force=False, reason=""), CANCEL),
        (tasks.revive("", TaskId("over")), WORK),
    ],
    ids=repr,
)
def test_what_makes_work_or_ends_it_is_told(
    postgres_dsn: str, verb: Verb[object], topic: str
) -> None:
    async def use(store: PostgresStore, ear: Ear) -> None:
        await store.run(tasks.insert(a_task("a", queue="other")))
        await store.run(tasks.insert(a_task("over")))
        await store.run(tasks.cancel("", TaskId("over"), force=False, reason=""))
        # The first notices are heard before the one that matters.
        await store.watch(ear.hear)
        ear.forget()
        await store.run(verb)
        await ear.wait_for(topic)

    connected(postgres_dsn, use)


def test_a_psycopg_commit_is_told_to_the_engine(postgres_dsn: str) -> None:
    from tenure.store.postgres_sync import PostgresSyncStore

    async def use(store: PostgresStore, ear: Ear) -> None:
        await store.watch(ear.hear)
        other = PostgresSyncStore(postgres_options(postgres_dsn), FakeClock())
        other.run(tasks.insert(a_task()))
        other.run(tasks.cancel("", TaskId("task-1"), force=False, reason=""))
        other.close()
        await ear.wait_for(WORK)
        await ear.wait_for(CANCEL)

    connected(postgres_dsn, use)


def test_what_is_undone_is_not_told(postgres_dsn: str) -> None:
    async def use(store: PostgresStore, ear: Ear) -> list[str]:
        await store.watch(ear.hear)
        with pytest.raises(InvalidError):
            await store.run(insert_and_refuse())
        await store.run(tasks.insert(a_task("b", queue="after")))
        await ear.wait_for("queue:after")
        return ear.topics

    assert WORK not in connected(postgres_dsn, use)


def test_a_channel_that_lives_proves_it(postgres_dsn: str) -> None:
    async def use(store: PostgresStore, ear: Ear) -> tuple[int, list[str]]:
        await store.watch(ear.hear)
        ear.forget()
        return await store.watch(ear.hear), ear.topics

    assert (30_000_000, []) == connected(postgres_dsn, use)


def test_a_channel_whose_server_process_died_is_replaced(postgres_dsn: str) -> None:
    async def use(store: PostgresStore, ear: Ear) -> list[str]:
        await store.watch(ear.hear)
        pid = listener_of(store).get_server_pid()
        await on_server(postgres_dsn, f"SELECT pg_terminate_backend({pid}, 5000)")
        ear.forget()
        # Whether the socket's end has been read yet or not, the second look finds a new channel.
        pauses = [await store.watch(ear.hear), await store.watch(ear.hear)]
        assert set(pauses) <= {RECONNECT_US, 30_000_000}
        assert pid != listener_of(store).get_server_pid()
        await ear.wait_for(ANYTHING)
        await store.run(tasks.insert(a_task()))
        await ear.wait_for(WORK)
        return ear.topics

    assert ANYTHING in connected(postgres_dsn, use)


def test_a_channel_that_has_gone_deaf_is_replaced(postgres_dsn: str) -> None:
    async def use(store: PostgresStore, ear: Ear) -> tuple[int, int, list[str]]:
        await store.watch(ear.hear)
        await listener_of(store).execute("UNLISTEN *")
        ear.forget()
        return await store.watch(ear.hear), await store.watch(ear.hear), ear.topics

    found = connected(postgres_dsn, use, patience_us=50_000)

    assert (0, 30_000_000, [ANYTHING]) == found


def test_a_server_that_is_away_is_tried_again(postgres_dsn: str) -> None:
    options: PostgresOptions = postgres_options("postgresql://nobody@127.0.0.1:1/none")

    async def use() -> tuple[int, list[str]]:
        channel, ear = NoticeChannel(options, FakeClock()), Ear()
        pause = await channel.watch(ear.hear)
        await channel.close()
        return pause, ear.topics

    assert (RECONNECT_US, []) == asyncio.run(use())


def test_a_store_that_must_not_listen_does_not(postgres_dsn: str) -> None:
    async def use(store: PostgresStore, ear: Ear) -> tuple[int, object]:
        return await store.watch(ear.hear), channel_of(store)._connection

    assert (NEVER_US, None) == connected(postgres_dsn, use, listen=False)


class HeldClock(FakeClock):
    """Whoever sleeps, sleeps until he is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def sleep(self, us: int) -> None:
        await self.let_go.wait()
        await super().sleep(us)


def test_a_burst_of_inserts_sends_a_notice_at_its_start_and_one_at_its_end(
    postgres_dsn: str,
) -> None:
    async def use(store: PostgresStore, ear: Ear) -> list[str]:
        await store.watch(ear.hear)
        clock = HeldClock()
        other = PostgresStore(postgres_options(postgres_dsn), clock)
        await other.open()
        for place in range(10):
            await other.run(tasks.insert(a_task(f"t{place}")))
        await store.run(tasks.insert(a_task("mark", queue="mark")))
        await ear.wait_for("queue:mark")
        clock.let_go.set()
        await other.close()
        await store.run(tasks.insert(a_task("end", queue="end")))
        await ear.wait_for("queue:end")
        return ear.topics

    assert [ANYTHING, WORK, "queue:mark", WORK, "queue:end"] == connected(postgres_dsn, use)


def test_closing_sends_what_was_held_back(postgres_dsn: str) -> None:
    async def use(store: PostgresStore, ear: Ear) -> None:
        await store.watch(ear.hear)
        other = PostgresStore(postgres_options(postgres_dsn), FakeClock())
        await other.open()
        await other.run(tasks.insert(a_task("a")))
        await ear.wait_for(WORK)
        ear.forget()
        await other.run(tasks.insert(a_task("b")))
        await other.close()
        await ear.wait_for(WORK)

    connected(postgres_dsn, use)


def test_a_throttle_lets_a_topic_through_once_in_a_while() -> None:
    clock = FakeClock()
    throttle = NoticeThrottle(clock)

    at_once = [throttle.allows("a"), throttle.allows("a"), throttle.allows("b")]
    clock.slept_us += PAUSE_US

    assert [True, False, True] == at_once
    assert throttle.allows("a")


def followed(throttle: NoticeThrottle, clock: FakeClock, *rides: str) -> tuple[bool, int]:
    """Follow "a" while others do what *rides* says in each pause: tell of it, or be held back.

    Return what was answered and after how many pauses.
    """
    pauses = 0

    async def sleep(us: int) -> None:
        nonlocal pauses
        for ride in rides[pauses].split():
            clock.slept_us += us // 4
            assert throttle.allows("a") if ride == "tell" else not throttle.hold("a")
        clock.slept_us += us
        pauses += 1

    with patch.object(clock, "sleep", sleep):
        return asyncio.run(throttle.follow("a")), pauses


@pytest.fixture
def held() -> tuple[NoticeThrottle, FakeClock]:
    """A throttle that told of "a" a pause ago, and has held it back since."""
    clock = FakeClock()
    throttle = NoticeThrottle(clock)
    throttle.allows("a")
    clock.slept_us += PAUSE_US
    throttle.hold("a")
    return throttle, clock


def test_what_a_throttle_holds_back_has_one_follower() -> None:
    throttle = NoticeThrottle(FakeClock())
    throttle.allows("a")

    assert [True, False, True] == [throttle.hold("a"), throttle.hold("a"), throttle.hold("b")]


def test_a_follower_tells_what_nobody_else_told(held: tuple[NoticeThrottle, FakeClock]) -> None:
    throttle, clock = held

    assert (True, 1) == followed(throttle, clock, "")
    assert (False, True) == (throttle.allows("a"), throttle.hold("a"))


def test_a_follower_is_not_needed_where_others_told(held: tuple[NoticeThrottle, FakeClock]) -> None:
    throttle, clock = held

    assert (False, 1) == followed(throttle, clock, "hold tell")
    assert throttle.hold("a")


def test_a_follower_stays_while_others_tell_and_are_held_back_after_that(
    held: tuple[NoticeThrottle, FakeClock],
) -> None:
    throttle, clock = held

    assert (True, 3) == followed(throttle, clock, "tell hold", "tell hold", "")


def test_a_throttle_does_not_remember_topics_for_ever() -> None:
    throttle = NoticeThrottle(FakeClock())

    for place in range(5_000):
        throttle.allows(f"queue:{place}")

    assert len(throttle._sent_us) <= 1_001


def test_the_answer_of_a_verb_with_a_notice_is_its_own(postgres_dsn: str) -> None:
    async def use(store: PostgresStore, _: Ear) -> tuple[State, int]:
        await store.run(tasks.insert(a_task()))
        await store.run(queues.limit("default", 1))
        claimed = await store.run(claims.claim_limited(a_request()))
        state = await store.run(tasks.cancel("", TaskId("task-1"), force=False, reason=""))
        return state, len(claimed)

    assert (State.RUNNING, 1) == connected(postgres_dsn, use)
