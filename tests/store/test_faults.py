"""A check that has never failed is not yet a check: each guard in the SQL, left out, is missed.

A fault names a statement (or a migration), what is taken out of it, and the test of this folder
that fails then. The same test passes on the sound store, or it would fail where it stands.
"""

from __future__ import annotations

import re
from pathlib import Path

import apsw
import psycopg
import pytest

from tenure.kernel.errors import TenureError
from tenure.store import migrate, statements
from tenure.store.statements import Dialect
from tests.store.conftest import Drivers
from tests.store.drivers import Driver, DriverName
from tests.store.faults import (
    Fault,
    compiles,
    faulty_migrations,
    open_beside,
    open_new,
    statement_fault,
)
from tests.store.faults_of_schedules import ENDING, FIRING, SCHEDULE_CONSTRAINTS, SCHEDULING
from tests.store.faults_of_tables import ASKING, CONSTRAINTS, KEEPING, WORKING
from tests.store.faults_of_work import CLAIMING, SETTLING
from tests.store.sessions import WouldWaitError

WORKER: dict[Dialect, DriverName] = {"sqlite": "apsw_sync", "postgres": "psycopg"}

STATEMENTS = [
    *(*CLAIMING, *SETTLING, *ASKING, *KEEPING, *WORKING),
    *(*SCHEDULING, *FIRING, *ENDING),
]
FAILURES = (
    *(AssertionError, ValueError, IndexError, TypeError, WouldWaitError),
    *(TenureError, apsw.Error, psycopg.Error),
)


def cases(faults: list[Fault]) -> list[object]:
    return [
        pytest.param(fault, dialect, id=f"{dialect}: {fault.name}")
        for fault in faults
        for dialect in fault.old
    ]


def fails(fault: Fault, store: Driver) -> None:
    try:
        fault.check(store, *fault.arguments)
    except (*FAILURES, pytest.fail.Exception):
        return
    pytest.fail(f"{fault.check.__name__} does not miss it")


@pytest.mark.parametrize(("fault", "dialect"), cases(STATEMENTS))
def test_a_guard_left_out_of_a_statement_is_missed(
    fault: Fault, dialect: Dialect, drivers: Drivers
) -> None:
    sound = drivers.emptied(WORKER[dialect])
    with statement_fault(fault, dialect):
        faulty = open_beside(sound)
        assert compiles(faulty, fault.where)
        try:
            fails(fault, faulty)
        finally:
            faulty.close()


@pytest.mark.parametrize(("fault", "dialect"), cases([*CONSTRAINTS, *SCHEDULE_CONSTRAINTS]))
def test_a_constraint_left_out_of_a_migration_is_missed(
    fault: Fault, dialect: Dialect, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    dsn = request.getfixturevalue("postgres_dsn") if dialect == "postgres" else ""
    faulty = open_new(dialect, path=tmp_path / "tenure.db", dsn=dsn)
    try:
        faulty.run(migrate.apply(faulty_migrations(fault, dialect)))
        fails(fault, faulty)
    finally:
        faulty.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_statement_that_changes_or_locks_a_row_has_a_planted_fault(
    dialect: Dialect,
) -> None:
    changing = re.compile(r"\b(UPDATE|DELETE)\b")
    texts = statements._merged(dialect)
    guarded = {
        name
        for name, text in texts.items()
        if changing.search(text) and " WHERE " in " ".join(text.split())
    }
    planted = {fault.where for fault in STATEMENTS if dialect in fault.old}

    assert set() == guarded - planted
