"""From a URL and settings to an open store, with its tables in place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tenure.config import Settings
from tenure.kernel.errors import ConfigError, SchemaError
from tenure.kernel.ports import AsyncStore, Clock, SyncStore
from tenure.setting_forms import mask_url
from tenure.store import migrate
from tenure.store.sqlite import SqliteStore
from tenure.store.sqlite_session import SqliteOptions
from tenure.store.sqlite_sync import SqliteSyncStore
from tenure.store.statements import Dialect

if TYPE_CHECKING:
    from tenure.store.postgres_options import PostgresOptions

SQLITE_SCHEME = "sqlite:///"
POSTGRES_SCHEMES = ("postgresql://", "postgres://")


def dialect_of(url: str) -> Dialect:
    """Return which database a URL names.

    Raises:
        ConfigError: none that we know.
    """
    if url.startswith(SQLITE_SCHEME) and len(url) > len(SQLITE_SCHEME):
        return "sqlite"
    if url.startswith(POSTGRES_SCHEMES):
        return "postgres"
    raise ConfigError(
        f"url {mask_url(url)!r} is neither sqlite:///path/to/file.db nor postgresql://user@host/database",
        key="url",
    )


async def open_async(settings: Settings, clock: Clock) -> AsyncStore:
    """Open a store for coroutines, and make its tables if it has none.

    Raises:
        ConfigError: the URL, or a missing package.
        StoreDownError: it cannot be opened.
        SchemaError: its tables are not of this version.
    """
    store: AsyncStore
    dialect = dialect_of(settings.url)
    if dialect == "sqlite":
        store = SqliteStore(sqlite_options(settings), clock)
    else:
        _require("asyncpg")
        from tenure.store.postgres import PostgresStore

        postgres = PostgresStore(postgres_options(settings), clock)
        await postgres.open()
        store = postgres
    try:
        known = await store.run(migrate.applied())
        available = migrate.migrations(dialect)
        if known is None:
            _refuse_never(settings)
            await store.run(migrate.apply(available))
        else:
            migrate.refuse_mismatch(known, available)
    except BaseException:
        await store.close()
        raise
    return store


def open_sync(settings: Settings, clock: Clock, *, check: bool = True) -> SyncStore:
    """Open a store for plain functions; as `open_async`.

    Without *check* the tables are left as they are, whatever they are.
    """
    store: SyncStore
    dialect = dialect_of(settings.url)
    if dialect == "sqlite":
        store = SqliteSyncStore(sqlite_options(settings), clock)
    else:
        _require("psycopg")
        from tenure.store.postgres_sync import PostgresSyncStore

        store = PostgresSyncStore(postgres_options(settings), clock)
    if not check:
        return store
    try:
        known = store.run(migrate.applied())
        available = migrate.migrations(dialect)
        if known is None:
            _refuse_never(settings)
            store.run(migrate.apply(available))
        else:
            migrate.refuse_mismatch(known, available)
    except BaseException:
        store.close()
        raise
    return store


def sqlite_options(settings: Settings) -> SqliteOptions:
    """Return what the settings say about a SQLite file."""
    return SqliteOptions(
        path=Path(settings.url.removeprefix(SQLITE_SCHEME)).absolute(),
        durable=settings.store.durability == "full",
        busy_us=settings.store.busy_us,
        watch_us=settings.store.watch_us,
    )


def postgres_options(settings: Settings) -> PostgresOptions:
    """Return what the settings say about a PostgreSQL database."""
    from tenure.store.postgres_options import PostgresOptions

    return PostgresOptions(
        url=settings.url,
        durable=settings.store.durability == "full",
        pool_max=settings.store.pool_max,
        prepare=settings.store.prepare,
        listen=settings.store.listen,
        connect_s=settings.store.busy_us / 1_000_000,
        probe_us=settings.listener.probe_us,
        patience_us=settings.listener.patience_us,
    )


def _require(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise ConfigError(
            f"PostgreSQL needs the package {package!r}: pip install 'tenure[postgres]'",
            key="url",
        )


def _refuse_never(settings: Settings) -> None:
    if settings.store.migrate == "never":
        raise SchemaError(
            "the database has no tables of Tenure's and store.migrate is 'never': run "
            "'tenure db migrate'"
        )
