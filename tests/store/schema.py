"""Write down what the migrations make of an empty database, for people and for test_migrate.py.

`python -m tests.store.schema` writes docs/reference/schema-sqlite.txt and schema-postgres.txt
anew after a migration was added; the test compares them with what the migrations make.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tenure.store import migrate
from tenure.store.statements import Dialect
from tests.store.drivers import ApswSyncDriver, Driver, FakeClock, PsycopgDriver
from tests.support.postgres import start_cluster

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def described(driver: Driver) -> str:
    """Return the description of the tables that the migrations make of an empty database."""
    driver.run(migrate.apply(migrate.migrations(driver.dialect)))
    return "\n".join([*driver.run(migrate.describe()), ""])


def page(dialect: Dialect) -> Path:
    """Return the file that describes the tables of a dialect."""
    return REFERENCE / f"schema-{dialect}.txt"


def write() -> None:
    """Write both descriptions."""
    cluster = start_cluster()
    with tempfile.TemporaryDirectory() as folder:
        drivers: list[Driver] = [
            ApswSyncDriver(Path(folder) / "tenure.db", FakeClock()),
            PsycopgDriver(cluster.create_database("schema"), FakeClock()),
        ]
        for driver in drivers:
            page(driver.dialect).write_text(described(driver), encoding="utf-8")
            driver.close()
    cluster.stop()


if __name__ == "__main__":
    write()
