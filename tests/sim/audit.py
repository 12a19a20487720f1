"""Triggers that write down every change of a task in the transaction that makes it.

Read by `checker.py` after each commit. What was rolled back leaves no entry, so the entries are
exactly what the database has come to. Each names the *deed*: which statement, with which claims,
from which host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import apsw

from tests.sim.ledger import ClaimKey


class Row(NamedTuple):
    """A task as the invariants look at it."""

    tenant: str
    id: str
    kind: str
    queue: str
    state: str
    lane: int
    cost: int
    run_at_us: int
    attempt: int
    attempts_max: int
    crashes: int
    claim_no: int
    worker_id: str | None
    lease_expires_at_us: int | None
    cancel_asked_at_us: int | None
    ended_at_us: int | None
    cause: str | None
    unique_key: str | None
    payload_bytes: int | None
    result_bytes: int | None
    progress: str | None
    schedule_id: str | None
    waiting_for: str | None
    carry: str | None


class Timetable(NamedTuple):
    """A schedule as the invariants look at it."""

    tenant: str
    id: str
    rule: str
    text: str
    zone: str
    start_us: int | None
    end_us: int | None
    policies: str
    paused_at_us: int | None
    trouble: str | None
    cursor_us: int
    steered_us: int | None
    next_fire_at_us: int | None
    held_by: str | None
    floor_us: int
    carry: str | None


@dataclass(frozen=True, slots=True)
class Deed:
    """One statement on its way into the database."""

    number: int
    host: str
    worker_id: str
    verb: str
    statement: str
    keys: frozenset[ClaimKey]
    now_us: int
    # What a claim asked for.
    limit: int = 0
    spare: int = 0
    slots: int = 0


class Change(NamedTuple):
    """One entry. `old` is None for something new, `new` for something deleted."""

    deed: int
    what: str
    old: tuple[Any, ...] | None
    new: tuple[Any, ...] | None


_EXPRESSIONS = {
    "payload_bytes": "length({0}.payload)",
    "result_bytes": "length({0}.result)",
    "progress": "CAST({0}.progress AS TEXT)",
    "carry": "CAST({0}.carry AS TEXT)",
}
_ATTEMPT = ("tenant", "task_id", "claim_no", "event", "worker_id", "attempt")
_QUEUE = ("name", "paused_at_us", "slots")
_FIRE = ("tenant", "schedule_id", "instant_us", "verdict", "task_id")
_WIDTH = len(Row._fields)
_OLD = [f"o{number}" for number in range(_WIDTH)]
_NEW = [f"n{number}" for number in range(_WIDTH)]

# How the audited statements learn who makes them: a function of the connection.
DEED_FUNCTION = "current_deed"


def install(connection: apsw.Connection) -> None:
    """Make the table of entries and the triggers that fill it."""
    columns = ", ".join([*_OLD, *_NEW])
    connection.execute(f"CREATE TABLE audit (seq INTEGER PRIMARY KEY, deed, what, {columns})")
    for operation in ("INSERT", "UPDATE", "DELETE"):
        _watch(connection, "task", operation, Row._fields)
        _watch(connection, "schedule", operation, Timetable._fields)
        _watch(connection, "fire", operation, _FIRE)
    _watch(connection, "attempt", "INSERT", _ATTEMPT)
    _watch(connection, "attempt", "UPDATE", _ATTEMPT)
    _watch(connection, "queue", "INSERT", _QUEUE)
    _watch(connection, "queue", "UPDATE", _QUEUE)


def _watch(
    connection: apsw.Connection, table: str, operation: str, fields: tuple[str, ...]
) -> None:
    sides = []
    for names, alias, absent in ((_OLD, "OLD", "INSERT"), (_NEW, "NEW", "DELETE")):
        if operation != absent:
            values = [_EXPRESSIONS.get(name, "{0}." + name).format(alias) for name in fields]
            sides.append((names[: len(fields)], values))
    columns = ", ".join(name for names, _ in sides for name in names)
    taken = ", ".join(value for _, values in sides for value in values)
    connection.execute(
        f"CREATE TRIGGER audit_{table}_{operation.lower()} AFTER {operation} ON {table} BEGIN "
        f"INSERT INTO audit (deed, what, {columns}) "
        f"VALUES ({DEED_FUNCTION}(), '{operation.lower()} {table}', {taken}); END"
    )


class Reader:
    """Reads the entries, each once."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._last = 0
        self._text = f"SELECT seq, deed, what, {', '.join([*_OLD, *_NEW])} FROM audit WHERE seq > ?"

    def changes(self) -> Iterator[Change]:
        """Yield what was committed since the last call."""
        row: tuple[Any, ...]
        for row in self._connection.execute(self._text, (self._last,)).fetchall():
            self._last = row[0]
            operation = row[2].partition(" ")[0]
            yield Change(
                deed=row[1],
                what=row[2],
                old=None if operation == "insert" else row[3 : 3 + _WIDTH],
                new=None if operation == "delete" else row[3 + _WIDTH :],
            )
