"""Migrations: what they make, who applies them, and which tables are refused."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tenure.kernel.errors import SchemaError, StoreError, TenureError
from tenure.store import migrate
from tenure.store.migrate import Applied, Migration
from tenure.store.statements import Dialect
from tests.store.drivers import (
    DRIVER_NAMES,
    START_US,
    ApswDriver,
    ApswSyncDriver,
    AsyncpgDriver,
    Driver,
    DriverName,
    FakeClock,
    PsycopgDriver,
)
from tests.store.schema import described, page

DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgres")
OPEN = """
import sys
from tenure.service.clockwork import SystemClock
from tenure.settings import Settings
from tenure.store.open import open_sync

sys.stdin.read(1)
open_sync(Settings(url=sys.argv[1]), SystemClock()).close()
"""


@pytest.fixture(params=DRIVER_NAMES)
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    """A store, through each driver, on a database without a table."""
    driver = open_bare(request.param, request, tmp_path)
    yield driver
    driver.close()


@pytest.fixture(params=["apsw_sync", "psycopg"])
def bare_either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driver]:
    """A store of each database, without a table."""
    driver = open_bare(request.param, request, tmp_path)
    yield driver
    driver.close()


def open_bare(name: DriverName, request: pytest.FixtureRequest, folder: Path) -> Driver:
    if name in ("apsw", "apsw_sync"):
        kind = ApswDriver if name == "apsw" else ApswSyncDriver
        return kind(folder / "tenure.db", FakeClock())
    dsn: str = request.getfixturevalue("postgres_dsn")
    return AsyncpgDriver(dsn, FakeClock()) if name == "asyncpg" else PsycopgDriver(dsn, FakeClock())


def ours(driver: Driver) -> list[Migration]:
    return migrate.migrations(driver.dialect)


def another(number: int = 9_000, text: str = "CREATE TABLE extra (id text);") -> Migration:
    return Migration(number=number, name="another", phase="before", text=text)


def as_applied(migration: Migration) -> Applied:
    return Applied(
        number=migration.number,
        name=migration.name,
        phase=migration.phase,
        checksum=migration.checksum,
        applied_at_us=START_US,
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_tables_are_as_they_are_described_in_the_reference(
    dialect: Dialect, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    driver = open_bare("apsw_sync" if dialect == "sqlite" else "psycopg", request, tmp_path)
    found = described(driver)
    driver.close()

    wanted = page(dialect).read_text(encoding="utf-8") if page(dialect).exists() else ""

    assert wanted == found, "run: python -m tests.store.schema"


def test_both_dialects_have_the_same_migrations() -> None:
    by_dialect = [
        [(each.number, each.name, each.phase) for each in migrate.migrations(dialect)]
        for dialect in DIALECTS
    ]

    assert by_dialect[0] == by_dialect[1]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_migrations_are_numbered_without_a_gap(dialect: Dialect) -> None:
    numbers = [each.number for each in migrate.migrations(dialect)]

    assert list(range(len(numbers))) == numbers


def test_a_database_without_our_tables_has_nothing_applied(bare: Driver) -> None:
    assert bare.run(migrate.applied()) is None


def test_what_was_applied_is_remembered(bare: Driver) -> None:
    applied = bare.run(migrate.apply(ours(bare)))

    assert ours(bare) == applied
    assert [as_applied(each) for each in ours(bare)] == bare.run(migrate.applied())


def test_nothing_is_applied_twice(bare: Driver) -> None:
    bare.run(migrate.apply(ours(bare)))

    assert [] == bare.run(migrate.apply(ours(bare)))


def test_what_is_missing_is_applied_to_what_is_there(bare: Driver) -> None:
    bare.run(migrate.apply(ours(bare)))

    applied = bare.run(migrate.apply([*ours(bare), another()]))

    assert [another()] == applied
    assert [] == bare.rows("SELECT * FROM extra")


def test_migrations_are_applied_all_or_none(bare: Driver) -> None:
    broken = another(text="CREATE TABLE extra (id text); CREATE TABLE extra (id text);")

    with pytest.raises(StoreError, match="extra"):
        bare.run(migrate.apply([*ours(bare), broken]))

    assert bare.run(migrate.applied()) is None


@pytest.mark.parametrize("kind", ["TABLE task (id text)", "VIEW queue AS SELECT 1 AS id"])
def test_a_table_of_somebody_else_is_refused(bare: Driver, kind: str) -> None:
    bare.rows(f"CREATE {kind}")

    with pytest.raises(SchemaError, match=f"a table '{kind.split()[1]}' that is not Tenure's"):
        bare.run(migrate.applied())


def test_nothing_is_applied_beside_a_table_of_somebody_else(bare: Driver) -> None:
    bare.rows("CREATE TABLE worker (id text)")

    with pytest.raises(SchemaError):
        bare.run(migrate.apply(ours(bare)))

    bare.rows("DROP TABLE worker")
    assert bare.run(migrate.applied()) is None


def test_a_table_of_migrations_that_is_not_ours_is_refused(bare: Driver) -> None:
    bare.rows("CREATE TABLE migration (id text)")

    with pytest.raises(SchemaError):
        bare.run(migrate.applied())


def test_a_verb_on_a_database_without_tables_says_what_to_do(bare: Driver) -> None:
    from tenure.store import workers

    with pytest.raises(SchemaError, match="run 'tenure db migrate'"):
        bare.run(workers.forget("worker-1"))


def test_processes_that_come_at_once_apply_everything_once(
    bare_either: Driver, tmp_path: Path
) -> None:
    bare = bare_either
    is_sqlite = isinstance(bare, ApswSyncDriver)
    url = f"sqlite:///{tmp_path}/tenure.db" if is_sqlite else getattr(bare, "dsn", "")
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN, url], stdin=subprocess.PIPE) for _ in range(3)
    ]

    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b".")
        process.stdin.close()
    ended = [process.wait(timeout=60) for process in processes]

    assert [0, 0, 0] == ended
    known = bare.run(migrate.applied())
    assert known is not None
    assert [each.number for each in ours(bare)] == [each.number for each in known]


# Which tables this code works with.

MINE = [
    Migration(number=0, name="zero", phase="before", text="0"),
    Migration(number=1, name="one", phase="before", text="1"),
    Migration(number=2, name="two", phase="after", text="2"),
]
NEWER = Migration(number=3, name="three", phase="before", text="3")


@pytest.mark.parametrize(
    ("known", "complaint"),
    [
        pytest.param(MINE, None, id="all"),
        pytest.param(MINE[:2], None, id="an after migration waits"),
        pytest.param([*MINE, NEWER], None, id="a newer before migration is not seen"),
        pytest.param(
            [*MINE, replace(NEWER, phase="after")],
            "too new: migration 0003 (three)",
            id="a newer after migration is",
        ),
        pytest.param(
            MINE[:1], "too old: 1 migration(s) from 0001 (one) on", id="a before migration misses"
        ),
        pytest.param([], "too old: 2 migration(s) from 0000 (zero) on", id="nothing"),
        pytest.param(
            [MINE[0], replace(MINE[1], text="edited")],
            "migration 0001 (one) was applied from another file",
            id="edited",
        ),
        pytest.param(
            [*MINE[:2], replace(MINE[2], text="edited")],
            "migration 0002 (two) was applied from another file",
            id="an edited after migration",
        ),
    ],
)
def test_tables_that_do_not_fit_are_refused(known: list[Migration], complaint: str | None) -> None:
    def refuse() -> None:
        migrate.refuse_mismatch([as_applied(each) for each in known], MINE)

    if complaint is None:
        refuse()
        return

    with pytest.raises(SchemaError, match=re.escape(complaint)):
        refuse()


@pytest.mark.parametrize(
    ("known", "phase", "wanted"),
    [
        (None, None, [0, 1, 2]),
        (None, "before", [0, 1]),
        (None, "after", [2]),
        ([0], "before", [1]),
        ([0, 1, 2], None, []),
        ([0, 2], None, [1]),
    ],
)
def test_what_is_pending_is_told_for_each_phase(
    known: list[int] | None, phase: migrate.Phase | None, wanted: list[int]
) -> None:
    applied = None if known is None else [as_applied(MINE[number]) for number in known]

    found = migrate.pending(applied, MINE, phase=phase)

    assert wanted == [each.number for each in found]


def test_an_edited_text_has_another_checksum() -> None:
    assert MINE[0].checksum != replace(MINE[0], text="0 ").checksum


def test_errors_of_the_schema_are_errors_of_ours() -> None:
    assert issubclass(SchemaError, TenureError)
