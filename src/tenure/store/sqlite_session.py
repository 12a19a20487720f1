"""One connection to a SQLite file: opened safely, fed with verbs, its errors translated.

What both sides of the store have in common. A library with the race that can corrupt a file
in WAL mode is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from tenure.kernel.errors import (
    ConflictError,
    InvalidError,
    SchemaError,
    StoreBusyError,
    StoreDownError,
    StoreError,
)
from tenure.kernel.ports import Batch, Clock, Mode, Rows, Script, Step, Verb
from tenure.store.statements import Compiled, load

T = TypeVar("T")

CACHE_KIB = 16 * 1024
CHECKPOINT_PAGES = 4000

_MEANINGS: tuple[tuple[tuple[type[apsw.Error], ...], type[StoreError], str], ...] = (
    (
        (apsw.BusyError, apsw.LockedError),
        StoreBusyError,
        "the SQLite file is locked by another connection; try again, or raise store.busy_s",
    ),
    (
        (apsw.ReadOnlyError,),
        StoreDownError,
        "the SQLite file cannot be written; check the permissions of the file and of its folder",
    ),
    ((apsw.CantOpenError,), StoreDownError, "the SQLite file cannot be opened"),
    ((apsw.FullError, apsw.IOError), StoreDownError, "the disk is full or failing"),
    (
        (apsw.NotADBError, apsw.CorruptError),
        StoreDownError,
        "the file is not a sound SQLite database",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteOptions:
    """Where the file is and how it is written.

    With `durable` a commit is on disk before it is answered. Without, a power cut may take the
    last commits with it, though never a part of one; a crash of the process takes nothing.
    """

    path: Path
    durable: bool
    busy_us: int
    watch_us: int


def is_unsafe(version: tuple[int, int, int]) -> bool:
    """Return whether a SQLite library has the race that can corrupt a file in WAL mode.

    It came with WAL in 3.7.0 and was mended in 3.51.3; 3.44.6 and 3.50.7 have the mend too.
    """
    if version >= (3, 51, 3) or version < (3, 7, 0):
        return False
    mended = {(3, 44): 6, (3, 50): 7}
    return version[2] < mended.get(version[:2], 1_000_000)


class Session:
    """One connection, its statements, and the feeding of verbs."""

    def __init__(self, connection: apsw.Connection, clock: Clock) -> None:
        self.connection: apsw.Connection = connection
        self.notices: list[str] = []
        self._clock = clock
        self._statements = load("sqlite", store_clock=False)

    def feed(self, verb: Verb[T]) -> T:
        """Run a verb's statements inside of whatever transaction is open."""
        steps = verb.steps
        asked = 0
        try:
            step = next(steps)
            while True:
                asked += 1
                assert asked == 1 or verb.mode is not Mode.SINGLE, f"{verb.name} is not single"
                step = steps.send(self._execute(step))
        except StopIteration as stop:
            value: T = stop.value
            return value
        except apsw.Error as error:
            raise translated(error) from error

    def transact(self, verb: Verb[T]) -> T:
        """Run a verb in a transaction of its own, and wait for the write lock if need be."""
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            value = self.feed(verb)
            connection.execute("COMMIT")
        except apsw.Error as error:
            raise translated(error) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
                self.take_notices()
        return value

    def _execute(self, step: Step) -> Rows:
        if isinstance(step, Script):
            return self.connection.execute(step.text).fetchall()
        compiled = self._statements[step.name]
        if step.notice is not None:
            self.notices.append(step.notice)
        if isinstance(step, Batch):
            return self._execute_batch(compiled, step)
        params = step.params
        values = [
            self._clock.now_us() if name == "now_us" else params[name] for name in compiled.names
        ]
        return self.connection.execute(compiled.text, values).fetchall()

    def _execute_batch(self, compiled: Compiled, batch: Batch) -> Rows:
        now_us = self._clock.now_us()
        if compiled.document:
            values = {"now_us": now_us, "document": _document(batch, compiled), **batch.params}
            ordered = [values[name] for name in compiled.names]
            return self.connection.execute(compiled.text, ordered).fetchall()
        count = len(next(iter(batch.columns.values())))
        columns: list[Any] = []
        for name in compiled.names:
            if name in batch.columns:
                columns.append(batch.columns[name])
            else:
                columns.append([now_us if name == "now_us" else batch.params[name]] * count)
        rows = zip(*columns, strict=True)
        if not compiled.echo:
            return self.connection.executemany(compiled.text, rows).fetchall()
        echoes = zip(*(batch.columns[name] for name in compiled.echo), strict=True)
        cursor, changes, text = self.connection.cursor(), self.connection.changes, compiled.text
        changed: list[tuple[object, ...]] = []
        for row, echo in zip(rows, echoes, strict=True):
            cursor.execute(text, row)
            if changes():
                changed.append(echo)
        return changed

    def take_notices(self) -> list[str]:
        """Return the topics told since the last call, each once."""
        taken, self.notices = list(dict.fromkeys(self.notices)), []
        return taken


def run_within(verb: Verb[T], connection: apsw.Connection, clock: Clock) -> T:
    """Run a verb on a borrowed connection, in its transaction; after an error nothing stands.

    Workers are not told: those of this process, too, look at the file every few milliseconds.

    Raises:
        InvalidError: the connection is closed.
    """
    file_of(connection)
    session = Session(connection, clock)
    if verb.mode is not Mode.TRANSACTION:
        return session.feed(verb)
    try:
        with connection:  # a savepoint, or a transaction where there is none
            value = session.feed(verb)
    except apsw.Error as error:
        raise translated(error) from error
    return value


def file_of(connection: apsw.Connection) -> str:
    """Return the path of a connection's file.

    Raises:
        InvalidError: the connection is closed.
    """
    try:
        return connection.db_filename("main")
    except apsw.ConnectionClosedError as error:
        raise InvalidError(
            "the connection is closed: enqueue before it is closed", field="connection"
        ) from error


def connect(options: SqliteOptions) -> apsw.Connection:
    """Open a file safely, and set it up.

    Raises:
        StoreDownError: it cannot be opened, or not safely.
    """
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if is_unsafe((version[0], version[1], version[2])):
        raise StoreDownError(
            f"SQLite {apsw.sqlite_lib_version()} has a race that can corrupt a database in WAL "
            "mode; use 3.51.3 or newer (or 3.50.7, 3.44.6): pip install --upgrade apsw"
        )
    folder = options.path.parent
    if not folder.is_dir():
        raise StoreDownError(f"cannot open {options.path}: there is no folder {folder}; create it")
    try:
        connection = apsw.Connection(str(options.path))
        # While another process opens or recovers the file, even these wait for it.
        connection.set_busy_timeout(max(1, options.busy_us // 1000))
        _configure(connection, durable=options.durable)
        connection.set_busy_timeout(0)
    except apsw.Error as error:
        raise translated(error, path=options.path) from error
    return connection


def _configure(connection: apsw.Connection, *, durable: bool) -> None:
    mode = connection.pragma("journal_mode", "wal")
    if mode not in ("wal", "memory"):
        raise StoreDownError(f"the database cannot use WAL mode (it stays in {mode!r})")
    connection.pragma("synchronous", "FULL" if durable else "NORMAL")
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("temp_store", "MEMORY")
    connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
    connection.pragma("journal_size_limit", 64 * 1024 * 1024)
    # Without this SQLite plans a statement anew whenever a value that its planner looked at is
    # bound again, which costs a claim twenty times what its rows do.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def translated(error: apsw.Error, *, path: Path | None = None) -> StoreError | ConflictError:
    """Return our error for one of SQLite's."""
    where = f" ({path})" if path is not None else ""
    text = str(error)
    if text.startswith("UNIQUE constraint failed"):
        return ConflictError(f"another transaction was first{where}: {text}")
    if text.startswith(("no such table", "no such column")):
        return SchemaError(
            f"the database has not the tables this version needs{where} ({text}): run "
            "'tenure db migrate'"
        )
    for causes, meaning, sentence in _MEANINGS:
        if isinstance(error, causes):
            return meaning(f"{sentence}{where}: {text}")
    return StoreError(f"SQLite refused a statement{where}: {text}")


def _document(batch: Batch, compiled: Compiled) -> str:
    """Return the columns of a batch as one JSON array of rows, bytes in hexadecimal."""
    columns = [
        [value.hex() if isinstance(value, bytes) else value for value in batch.columns[name]]
        for name in compiled.document
    ]
    return msgspec.json.encode(list(zip(*columns, strict=True))).decode()
