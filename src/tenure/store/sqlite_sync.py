"""SQLite for synchronous users: one connection for all threads, and none across a fork."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TypeVar

from tenure.kernel.ports import Clock, Mode, Verb
from tenure.store import local_notices
from tenure.store.sqlite_session import Session, SqliteOptions, connect

T = TypeVar("T")


class SqliteSyncStore:
    """The sync side: one connection behind a lock, usable from any thread.

    SQLite's own book of file locks must not cross a fork, so the file is closed before one and
    opened anew by parent and child when they need it.
    """

    def __init__(self, options: SqliteOptions, clock: Clock) -> None:
        self.dialect = "sqlite"
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._session: Session | None = self._open()
        _sync_stores.add(self)

    def run(self, verb: Verb[T]) -> T:
        """Run one verb; see `kernel.ports.SyncStore`."""
        with self._lock:
            session = self._session = self._session or self._open()
            if verb.mode is Mode.READ:
                return session.feed(verb)
            value = session.transact(verb)
            topics = session.take_notices()
        for topic in topics:
            local_notices.tell(self._options.path, topic)
        return value

    def close(self) -> None:
        """Close the file."""
        _sync_stores.discard(self)
        with self._lock:
            self._let_go()

    def prepare_fork(self) -> None:
        """Wait for the verb that runs, and close the file until the fork is done."""
        self._lock.acquire()
        self._let_go()

    def finish_fork(self) -> None:
        """Allow verbs again, in the parent or in the child."""
        self._lock.release()

    def _open(self) -> Session:
        session = Session(connect(self._options), self._clock)
        session.connection.set_busy_timeout(self._options.busy_us // 1000)
        return session

    def _let_go(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.connection.close()


_sync_stores: weakref.WeakSet[SqliteSyncStore] = weakref.WeakSet()
_forking: list[SqliteSyncStore] = []


def _prepare_fork() -> None:
    for store in list(_sync_stores):
        store.prepare_fork()
        _forking.append(store)


def _finish_fork() -> None:
    while _forking:
        _forking.pop().finish_fork()


os.register_at_fork(before=_prepare_fork, after_in_parent=_finish_fork, after_in_child=_finish_fork)
