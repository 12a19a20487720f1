"""Two at once: verbs that are interrupted between their statements, and sessions that wait.

Called by the tests of locks. A session on PostgreSQL keeps its transaction open until it is told
to commit; what it has to wait for, it reports at once as `WouldWaitError`. Nobody waits that
long for a lock by accident, since the other side does not move meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import psycopg

from tenure.kernel.ports import Mode, Steps, Verb
from tenure.store.postgres_sync import feed
from tenure.store.statements import load
from tests.store.drivers import Driver, PsycopgDriver

T = TypeVar("T")

LOOKS_MAX = 20_000


class WouldWaitError(Exception):
    """The verb needs a lock that another session holds."""


class Session:
    """One connection to the database of a store, in a transaction of its own."""

    def __init__(self, store: Driver) -> None:
        assert isinstance(store, PsycopgDriver)
        self._clock = store.clock
        self._statements = load("postgres", store_clock=False)
        self.connection = psycopg.connect(store.dsn)
        self.connection.execute("SET lock_timeout = '100ms'")
        self.connection.commit()
        self.pid = self.connection.info.backend_pid
        self.thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a thread is at work on the connection."""
        return self.thread is not None and self.thread.is_alive()

    def run(self, verb: Verb[T]) -> T:
        """Run a verb and leave the transaction open."""
        try:
            return feed(verb, self.connection, self._statements, self._clock)
        except psycopg.errors.LockNotAvailable as error:
            self.connection.rollback()
            raise WouldWaitError(verb.name) from error

    def run_at_once(self, verb: Verb[T]) -> T:
        """Run a verb and commit it."""
        value = self.run(verb)
        self.commit()
        return value

    def be_patient(self) -> None:
        """Wait for locks from now on; for sessions that run in a thread."""
        self.connection.execute("SET lock_timeout = 0")
        self.connection.commit()

    def commit(self) -> None:
        """End the transaction, and let others have what it locked."""
        self.connection.commit()

    def rollback(self) -> None:
        """Undo the transaction, and let others have what it locked."""
        self.connection.rollback()

    def is_waiting_for(self, pid: int) -> bool:
        """Return whether the session of that process waits for this one."""
        query = "SELECT %s = ANY (pg_blocking_pids(%s))"
        (row,) = self.connection.execute(query, [self.pid, pid]).fetchall()
        return bool(row[0])

    def close(self) -> None:
        """Undo what was not committed."""
        self.connection.close()


@contextmanager
def sessions(store: Driver, count: int = 2) -> Iterator[list[Session]]:
    """Open so many sessions on a store's database."""
    opened = [Session(store) for _ in range(count)]
    try:
        yield opened
    finally:
        # A test that fails may leave a session waiting for another. To close it under the hands
        # of its thread would end the process; when the others let go, it ends by itself.
        waiting = [session for session in opened if session.is_busy]
        for session in opened:
            if session not in waiting:
                session.close()
        for session in waiting:
            assert session.thread is not None
            session.thread.join(timeout=30)
            assert not session.is_busy, "nobody let go of the lock"
            session.close()


class Waiting(Generic[T]):
    """A verb that runs in a thread and has come to wait for a lock of *holder*."""

    def __init__(self, verb: Verb[T], session: Session, *, holder: Session) -> None:
        self._answers: list[T] = []
        self._errors: list[Exception] = []
        session.be_patient()
        self._thread = session.thread = threading.Thread(target=self._run, args=(verb, session))
        self._thread.start()
        for _ in range(LOOKS_MAX):
            if holder.is_waiting_for(session.pid) or not self._thread.is_alive():
                break
        assert self._thread.is_alive(), f"{verb.name} did not wait"

    def _run(self, verb: Verb[T], session: Session) -> None:
        try:
            self._answers.append(session.run(verb))
            session.commit()
        except Exception as error:  # noqa: BLE001 - told to the one who asks for the answer
            self._errors.append(error)

    def answer(self) -> T:
        """Return what the verb returned, once the holder has let go."""
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "nobody let go of the lock"
        if self._errors:
            raise self._errors[0]
        return self._answers[0]


def interrupted(verb: Verb[T], by: Callable[[], Any], *, after: int) -> Verb[T]:
    """Return a verb that does the same, but calls *by* once so many statements are done."""

    def steps() -> Steps[T]:
        inner = verb.steps
        count = 0
        try:
            step = next(inner)
            while True:
                rows = yield step
                count += 1
                if count == after:
                    by()
                step = inner.send(rows)
        except StopIteration as stop:
            value: T = stop.value
            return value

    return Verb(steps, mode=Mode.TRANSACTION, name=f"interrupted {verb.name}")
