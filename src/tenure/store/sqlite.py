"""SQLite for coroutines: verbs on the event loop, with group commit.

A statement takes microseconds, a hop to a thread a hundred of them, so all runs inline. Verbs
that are asked for in the same turn of the loop share one transaction and one sync to disk,
and nobody is answered before it is written. The sync side is in `sqlite_sync.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import apsw

from tenure.kernel.errors import StoreDownError
from tenure.kernel.ports import Clock, Mode, Verb
from tenure.store import local_notices
from tenure.store.sqlite_session import Session, SqliteOptions, connect, translated
from tenure.store.sqlite_watch import SqliteWatch

T = TypeVar("T")

# A bound on how long one commit may keep others waiting.
GROUP_MAX = 1000
BUSY_WAIT_S = 0.002


class SqliteStore:
    """The async side: one connection, on the event loop's thread."""

    def __init__(self, options: SqliteOptions, clock: Clock) -> None:
        self.dialect = "sqlite"
        self._options = options
        self._clock = clock
        self._session = Session(connect(options), clock)
        self._asked: deque[tuple[Verb[Any], asyncio.Future[Any]]] = deque()
        self._is_scheduled = False
        self._level = ""
        self._busy_since_us: int | None = None
        self._watch = SqliteWatch(self._session.connection, options.path, watch_us=options.watch_us)

    async def run(self, verb: Verb[T]) -> T:
        """Run one verb; see `kernel.ports.AsyncStore`."""
        if verb.mode is Mode.READ:
            return self._session.feed(verb)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._asked.append((verb, future))
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._commit_group)
        return await future

    async def watch(self, tell: Callable[[str], None]) -> int:
        """Look whether another connection has committed."""
        return self._watch.look(tell)

    async def close(self) -> None:
        """Write what is waiting, and close the file."""
        while self._asked:
            await asyncio.wait([future for _, future in self._asked])
        self._watch.close()
        self._session.connection.close()

    def _commit_group(self) -> None:
        """Run all verbs that are waiting in one transaction; answer them after the commit."""
        loop = asyncio.get_running_loop()
        try:
            self._begin()
        except apsw.BusyError as error:
            if self._is_patient():
                loop.call_later(BUSY_WAIT_S, self._commit_group)
            else:
                self._is_scheduled = False
                self._refuse_all(translated(error))
            return
        except apsw.Error as error:
            self._is_scheduled = False
            self._refuse_all(translated(error))
            return
        self._busy_since_us = None
        group = [self._asked.popleft() for _ in range(min(len(self._asked), GROUP_MAX))]
        answers = [(future, *self._run_in_group(verb)) for verb, future in group]
        failure = self._commit()
        for future, value, trouble in answers:
            _answer(future, value, failure or trouble)
        if failure is None:
            for topic in self._session.take_notices():
                local_notices.tell(self._options.path, topic)
        self._is_scheduled = bool(self._asked)
        if self._is_scheduled:
            loop.call_soon(self._commit_group)

    def _begin(self) -> None:
        """Take the write lock; what is soft alone need not wait for the disk at the commit."""
        must_last = self._options.durable and not all(verb.is_soft for verb, _ in self._asked)
        level = "FULL" if must_last else "NORMAL"
        if level != self._level:
            self._session.connection.pragma("synchronous", level)
            self._level = level
        self._session.connection.execute("BEGIN IMMEDIATE")

    def _run_in_group(self, verb: Verb[T]) -> tuple[T | None, Exception | None]:
        """Run one verb so that its failure undoes only what it wrote itself."""
        connection = self._session.connection
        if not connection.in_transaction:
            # SQLite undid the group, for want of space or so; alone, this verb would stand.
            return None, None
        if verb.mode is Mode.SINGLE:
            # A statement that fails undoes itself.
            try:
                return self._session.feed(verb), None
            except Exception as error:  # noqa: BLE001 - handed to the one who asked
                return None, error
        connection.execute("SAVEPOINT verb")
        try:
            value = self._session.feed(verb)
        except Exception as error:  # noqa: BLE001 - handed to the one who asked
            # A full disk, for one, can make SQLite undo the whole transaction by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK TO verb")
                connection.execute("RELEASE verb")
            return None, error
        connection.execute("RELEASE verb")
        return value, None

    def _commit(self) -> Exception | None:
        connection = self._session.connection
        if not connection.in_transaction:
            self._session.take_notices()
            return StoreDownError("the database undid the transaction: disk full or I/O error")
        try:
            connection.execute("COMMIT")
        except apsw.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._session.take_notices()
            return translated(error)
        return None

    def _is_patient(self) -> bool:
        now_us = self._clock.monotonic_us()
        if self._busy_since_us is None:
            self._busy_since_us = now_us
        return now_us - self._busy_since_us < self._options.busy_us

    def _refuse_all(self, error: Exception) -> None:
        self._busy_since_us = None
        while self._asked:
            _, future = self._asked.popleft()
            _answer(future, None, error)


def _answer(future: asyncio.Future[Any], value: object, error: Exception | None) -> None:
    if future.done():  # the one who asked was cancelled meanwhile
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)
