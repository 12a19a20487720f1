"""DBOS queued workflows, polling every 10 ms instead of its default of one second.

Variants: "sqlite", "postgres". There is no limit on concurrency, which is its default. There is
no bulk call either: many enqueues in one transaction is the nearest.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterable

from adapter import BULK_ROWS, DATA, POSTGRES_URL, VARIANT, Peer, mark

with contextlib.suppress(ImportError):
    # Its SQLite mode needs SQLite 3.42, newer than the one that some Pythons are linked with.
    # It must be in place before SQLAlchemy is imported.
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3

import sqlite3

import sqlalchemy
from dbos import DBOS, DBOSClient

IS_SQLITE = VARIANT == "sqlite"
URL = f"sqlite:///{DATA / 'dbos.sqlite'}" if IS_SQLITE else POSTGRES_URL
TABLE = "workflow_status" if IS_SQLITE else "dbos.workflow_status"
UNFINISHED = (
    f"SELECT count(*) FROM {TABLE} WHERE queue_name = 'bench' AND status IN ('ENQUEUED', 'PENDING')"
)
OPTIONS = {"queue_name": "bench", "workflow_name": "noop", "app_version": "1"}
POLL_S = 0.01


def launch() -> None:
    """Register the workflow and the queue, and start the engine in this process."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": URL,
            "log_level": "ERROR",
            "application_version": "1",
        }
    )

    @DBOS.workflow(name="noop")
    async def noop(number: int) -> int:
        mark(number)
        return 1

    DBOS.launch()
    DBOS.register_queue("bench", polling_interval_sec=POLL_S)


class Adapter(Peer):
    packages = ("dbos", "sqlalchemy")

    def setup(self) -> None:
        launch()
        DBOS.destroy()

    def open(self) -> None:
        self._client = DBOSClient(system_database_url=URL)
        self._engine = sqlalchemy.create_engine(URL.replace("postgresql:", "postgresql+psycopg:"))

    def close(self) -> None:
        self._engine.dispose()
        self._client.destroy()

    def enqueue(self, number: int) -> None:
        self._client.enqueue(OPTIONS, number)

    def enqueue_bulk(self, numbers: Iterable[int]) -> None:
        rest = list(numbers)
        while rest:
            batch, rest = rest[:BULK_ROWS], rest[BULK_ROWS:]
            with self._engine.begin() as connection:
                for number in batch:
                    self._client.enqueue_in_transaction(connection, OPTIONS, number)

    def pending(self) -> int:
        with self._engine.connect() as connection:
            return connection.execute(sqlalchemy.text(UNFINISHED)).scalar_one()

    def worker(self) -> None:
        launch()
        threading.Event().wait()

    def durability(self) -> str:
        if not IS_SQLITE:
            return super().durability()
        # It sets no pragma, so these are the library's defaults.
        return f"SQLite {sqlite3.sqlite_version}, rollback journal, synchronous FULL"
