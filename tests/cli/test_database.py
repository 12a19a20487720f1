"""`tenure db`: from no tables to sound ones, and every way they can be unsound."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from tenure.cli.main import main
from tenure.store import migrate
from tenure.store.migrate import Migration
from tenure.store.statements import Dialect
from tests.cli.conftest import Run, answer

LATE = Migration(
    number=9_001, name="late", phase="after", text="CREATE INDEX late_one ON task (kind)"
)
EARLY = Migration(
    number=9_000, name="early", phase="before", text="CREATE INDEX early_one ON task (kind)"
)

Alter = Callable[[str], None]


@pytest.fixture
def alter(url: str) -> Alter:
    """Run a statement on the database, past Tenure."""

    def on_sqlite(text: str) -> None:
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        with connection:
            connection.execute(text)
        connection.close()

    def on_postgres(text: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(text.encode())

    return on_sqlite if url.startswith("sqlite") else on_postgres


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make this version have more migrations."""
    original = migrate.migrations

    def add(*more: Migration) -> None:
        def migrations(dialect: Dialect) -> list[Migration]:
            return [*original(dialect), *more]

        monkeypatch.setattr("tenure.store.migrate.migrations", migrations)
        monkeypatch.setattr("tenure.cli.database.migrations", migrations)

    return add


def test_migrate_makes_the_tables_and_then_has_nothing_to_do(run: Run, url: str) -> None:
    planned = run("db", "plan", "--url", url)
    missing = run("db", "check", "--url", url)
    first = run("db", "migrate", "--url", url)
    second = run("db", "migrate", "--url", url)
    afterwards = run("db", "plan", "--url", url)
    checked = run("db", "check", "--url", url)

    assert "CREATE TABLE task (" in planned.stdout
    assert (1, True) == (missing.exit_code, "there are no tables" in missing.stdout)
    assert "applied 0001 tasks (before)" in first.stdout
    assert second.stdout.startswith("nothing to do: the tables are at 0002 schedules (before)")
    assert afterwards.stdout.startswith("-- nothing to do")
    assert (0, True) == (checked.exit_code, "check   ok" in checked.stdout)


def test_looking_makes_no_file(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/not-there.db"

    codes = [
        run(*command, "--url", url).exit_code
        for command in [
            ("db", "plan"),
            ("db", "check"),
            ("tasks", "ls"),
            ("queues",),
            ("workers",),
            ("doctor",),
        ]
    ]

    assert [0, 1, 3, 3, 3, 1] == codes
    assert not (tmp_path / "not-there.db").exists()


def test_a_database_without_our_tables_is_told(run: Run, url: str, alter: Alter) -> None:
    alter("CREATE TABLE theirs (id INTEGER)")

    result = run("tasks", "ls", "--url", url)

    assert 3 == result.exit_code
    assert "has no tables of Tenure's" in result.stderr
    assert "tenure db migrate" in result.stderr


def test_a_table_of_somebody_elses_is_told(run: Run, url: str, alter: Alter) -> None:
    alter("CREATE TABLE task (id INTEGER)")

    for command in ["migrate", "plan", "check"]:
        result = run("db", command, "--url", url)

        assert 3 == result.exit_code
        assert "a table 'task' that is not Tenure's" in result.stderr


def test_tables_that_are_too_old_are_refused_until_migrated(
    run: Run, url: str, newer: Callable[..., None]
) -> None:
    run("db", "migrate", "--url", url)
    newer(EARLY)

    refused = run("tasks", "ls", "--url", url)
    checked = run("db", "check", "--url", url)
    planned = answer(run("db", "plan", "--json", "--url", url))
    migrated = answer(run("db", "migrate", "--json", "--url", url))

    assert 3 == refused.exit_code
    assert "the tables are too old" in refused.stderr
    assert "migration 9000 early (before) is pending" in checked.stdout
    assert [EARLY.text] == [each["sql"] for each in planned["pending"]]
    assert [9_000] == [each["number"] for each in migrated["applied"]]
    assert 0 == run("db", "check", "--url", url).exit_code


def test_tables_that_are_too_new_are_refused(run: Run, url: str, alter: Alter) -> None:
    run("db", "migrate", "--url", url)
    alter(
        "INSERT INTO migration (number, name, phase, checksum, applied_at_us) "
        "VALUES (9001, 'late', 'after', 'x', 1)"
    )

    listed = run("tasks", "ls", "--url", url)
    migrated = run("db", "migrate", "--url", url)
    checked = run("db", "check", "--url", url)

    assert [3, 3, 1] == [listed.exit_code, migrated.exit_code, checked.exit_code]
    assert "the tables are too new: migration 9001" in listed.stderr
    assert "the tables are too new: migration 9001" in migrated.stderr
    assert "upgrade Tenure" in checked.stdout


def test_a_migration_of_another_build_is_refused(run: Run, url: str, alter: Alter) -> None:
    run("db", "migrate", "--url", url)
    alter("UPDATE migration SET checksum = 'x' WHERE number = 1")

    migrated = run("db", "migrate", "--url", url)
    checked = run("db", "check", "--url", url)

    assert (3, 1) == (migrated.exit_code, checked.exit_code)
    assert "from another file" in migrated.stderr
    assert "from another file" in checked.stdout


def test_check_shows_drift_line_by_line(run: Run, url: str, alter: Alter) -> None:
    run("db", "migrate", "--url", url)
    alter("DROP INDEX task_ended")
    alter("CREATE INDEX mine ON task (kind)")
    alter("CREATE TABLE theirs (id INTEGER)")

    result = run("db", "check", "--url", url)
    told = answer(run("db", "check", "--json", "--url", url))

    assert 1 == result.exit_code
    assert "differ from their migrations in 2 place(s)" in result.stdout
    assert "  - index task_ended " in result.stdout
    assert "  + index mine " in result.stdout
    assert "theirs" not in result.stdout
    assert [1, 1] == [len(told["drift"][side]) for side in ("missing", "extra")]
    assert told["ok"] is False


def test_check_sees_a_changed_column(run: Run, url: str, alter: Alter) -> None:
    run("db", "migrate", "--url", url)
    alter("ALTER TABLE worker ADD COLUMN colour text")

    result = run("db", "check", "--url", url)

    assert 1 == result.exit_code
    assert "colour" in result.stdout


def test_check_leaves_nothing_behind(run: Run, postgres_dsn: str) -> None:
    url = f"{postgres_dsn}?options=-csearch_path%3Dtenure"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA tenure")

    run("db", "migrate", "--url", url)
    result = run("db", "check", "--url", url)

    assert 0 == result.exit_code
    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute(
            "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = 'task'"
        ).fetchall()
    assert [("tenure",)] == found


def test_late_migrations_are_only_applied_when_that_is_said(
    run: Run, url: str, newer: Callable[..., None]
) -> None:
    run("db", "migrate", "--url", url)
    newer(EARLY, LATE)

    unsure = run("db", "migrate", "--url", url)
    early = run("db", "migrate", "--phase", "before", "--url", url)
    sure = run("db", "migrate", "--yes", "--url", url)

    assert 2 == unsure.exit_code
    assert "9001 late (after) locks out processes of the version before" in unsure.stderr
    assert early.stdout == "applied 9000 early (before)\n"
    assert "still pending: 9001 late (after)" in early.stderr
    assert sure.stdout == "applied 9001 late (after)\n"


def test_a_late_migration_is_asked_about_on_a_terminal(
    run: Run, url: str, newer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("db", "migrate", "--url", url)
    newer(LATE)
    monkeypatch.setattr("tenure.cli.database.is_terminal", lambda: True)

    declined = CliRunner().invoke(main, ["db", "migrate", "--url", url], input="n\n")
    agreed = CliRunner().invoke(main, ["db", "migrate", "--url", url], input="y\n")

    assert 130 == declined.exit_code
    assert (0, True) == (agreed.exit_code, "applied 9001" in agreed.stdout)


def test_a_read_only_database_is_told(run: Run, postgres_dsn: str, app: str) -> None:
    run("db", "migrate", "--url", postgres_dsn)
    url = f"{postgres_dsn}?options=-cdefault_transaction_read_only%3Don"

    looked = run("tasks", "ls", "--url", url)
    paused = run("queues", "pause", "mail", "--url", url)
    stored = run("enqueue", app, "add", "[1]", "--url", url)
    worked = run("worker", app, "--url", url)

    assert 0 == looked.exit_code
    assert [3, 3, 3] == [each.exit_code for each in (paused, stored, worked)]
    for each in (paused, stored, worked):
        assert "does not let us write" in each.stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me:secret@127.0.0.1:1/x", "cannot open postgresql://me:***@127.0.0.1:1/x"),
        ("sqlite:////nowhere/at/all.db", "there is no SQLite file /nowhere/at/all.db"),
    ],
)
@pytest.mark.parametrize("command", [["tasks", "ls"], ["queues"], ["workers"]])
def test_an_unreachable_store_is_exit_code_3(
    command: list[str], url: str, expected: str, run: Run
) -> None:
    result = run(*command, "--url", url)

    assert 3 == result.exit_code
    assert expected in result.stderr
    assert "secret" not in result.stderr


def test_a_wrong_password_is_told_without_it(run: Run, postgres_dsn: str) -> None:
    before, _, host = postgres_dsn.rpartition("@")
    url = f"{before.rpartition(':')[0]}:wrong-secret@{host}"

    result = run("tasks", "ls", "--url", url)

    assert 3 == result.exit_code
    assert "wrong-secret" not in result.stderr


def test_a_database_that_is_not_there_is_told(run: Run, postgres_dsn: str) -> None:
    result = run("db", "migrate", "--url", f"{postgres_dsn}_missing")

    assert 3 == result.exit_code
    assert "does not exist" in result.stderr
