"""From a URL to an open store: what is made, and how each thing that can be wrong is told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import apsw
import psycopg
import pytest

from tenure.kernel.errors import ConfigError, SchemaError, StoreDownError, StoreError
from tenure.kernel.ports import Verb
from tenure.settings import Settings, StoreSettings
from tenure.store import migrate, tasks
from tenure.store.open import dialect_of, open_async, open_sync, sqlite_options
from tests.store.builders import a_task
from tests.store.drivers import FakeClock
from tests.support.postgres import Cluster

Opens = Callable[[Settings], None]


def open_and_insert_async(settings: Settings) -> None:
    async def use() -> None:
        store = await open_async(settings, FakeClock())
        try:
            await store.run(tasks.insert(a_task()))
        finally:
            await store.close()

    asyncio.run(use())


def open_and_insert(settings: Settings) -> None:
    store = open_sync(settings, FakeClock())
    try:
        store.run(tasks.insert(a_task()))
    finally:
        store.close()


@pytest.fixture(params=[open_and_insert, open_and_insert_async], ids=["sync", "async"])
def opens(request: pytest.FixtureRequest) -> Opens:
    """Open a store and insert a task, through either door."""
    chosen: Opens = request.param
    return chosen


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tenure.db"
    dsn: str = request.getfixturevalue("postgres_dsn")
    return dsn


def settings_for(url: str, **store: object) -> Settings:
    quick = StoreSettings(busy_us=2_000_000)
    return Settings(url=url, store=replace(quick, **store))  # type: ignore[arg-type]  # by name


def on_store(settings: Settings, verb: Verb[object]) -> None:
    store = open_sync(settings, FakeClock(), check=False)
    store.run(verb)
    store.close()


def test_the_tables_are_made_when_there_are_none(opens: Opens, url: str) -> None:
    opens(settings_for(url))
    opens(settings_for(url))


def test_a_person_makes_the_tables_if_that_is_asked_for(opens: Opens, url: str) -> None:
    with pytest.raises(SchemaError, match=r"store\.migrate is 'never'"):
        opens(settings_for(url, migrate="never"))

    on_store(settings_for(url), migrate.apply(migrate.migrations(dialect_of(url))))
    opens(settings_for(url, migrate="never"))


def test_tables_that_are_too_old_are_refused(opens: Opens, url: str) -> None:
    on_store(settings_for(url), migrate.apply(migrate.migrations(dialect_of(url))[:1]))

    with pytest.raises(SchemaError, match="too old"):
        opens(settings_for(url))


def test_tables_of_another_build_are_refused(opens: Opens, url: str) -> None:
    first, *others = migrate.migrations(dialect_of(url))
    edited = replace(first, text=f"{first.text}\n-- edited")
    on_store(settings_for(url), migrate.apply([edited, *others]))

    with pytest.raises(SchemaError, match="was applied from another file"):
        opens(settings_for(url))


def test_tables_that_are_too_new_are_refused(opens: Opens, url: str) -> None:
    newer = migrate.Migration(number=9_000, name="newer", phase="after", text="SELECT 1;")
    on_store(settings_for(url), migrate.apply([*migrate.migrations(dialect_of(url)), newer]))

    with pytest.raises(SchemaError, match="too new"):
        opens(settings_for(url))


@pytest.mark.parametrize(
    "url", ["", "tenure.db", "sqlite://", "sqlite:///", "mysql://me:secret@host/database"]
)
def test_a_url_of_no_database_that_we_know_is_refused_without_its_password(
    opens: Opens, url: str
) -> None:
    with pytest.raises(ConfigError, match="is neither sqlite:///") as caught:
        opens(settings_for(url))

    assert "url" == caught.value.key
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_durability_reaches_the_file(tmp_path: Path, durability: str) -> None:
    settings = settings_for(f"sqlite:///{tmp_path}/tenure.db", durability=durability)

    assert (durability == "full") == sqlite_options(settings).durable


# SQLite.


def test_a_missing_folder_is_named(opens: Opens, tmp_path: Path) -> None:
    with pytest.raises(StoreDownError, match=f"no folder {tmp_path}/missing; create it"):
        opens(settings_for(f"sqlite:///{tmp_path}/missing/tenure.db"))


def test_a_folder_is_not_a_file(opens: Opens, tmp_path: Path) -> None:
    with pytest.raises(StoreDownError, match=r"cannot be opened \(.*\)"):
        opens(settings_for(f"sqlite:///{tmp_path}"))


def test_what_is_not_a_database_is_told_and_left_alone(opens: Opens, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n" * 500)

    with pytest.raises(StoreDownError, match="not a sound SQLite database"):
        opens(settings_for(f"sqlite:///{path}"))

    assert "buy milk\n" * 500 == path.read_text()


def test_a_library_with_the_race_is_refused(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.46.1")

    with pytest.raises(StoreDownError, match=r"SQLite 3\.46\.1 has a race"):
        opens(settings_for(f"sqlite:///{tmp_path}/tenure.db"))

    assert not list(tmp_path.iterdir())


def as_nobody(deed: Callable[[], None]) -> str:
    """Do something in a child that may not write everywhere, and return what it raised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        text = "nothing"
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            deed()
        except StoreError as error:
            text = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(child, 0)
    return told


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can walk into."""
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_file_that_may_only_be_read_is_told(opens: Opens, open_folder: Path) -> None:
    settings = settings_for(f"sqlite:///{open_folder}/tenure.db")
    opens(settings)
    (open_folder / "tenure.db").chmod(0o444)
    open_folder.chmod(0o555)

    told = as_nobody(lambda: opens(settings))
    open_folder.chmod(0o755)

    assert told.startswith("StoreDownError: "), told
    assert f"{open_folder}/tenure.db" in told


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_folder_that_may_only_be_read_is_told(opens: Opens, open_folder: Path) -> None:
    open_folder.chmod(0o555)

    told = as_nobody(lambda: opens(settings_for(f"sqlite:///{open_folder}/tenure.db")))
    open_folder.chmod(0o755)

    assert told.startswith("StoreDownError: "), told


# PostgreSQL.


def with_role(cluster: Cluster, dsn: str, *, may_connect: bool = True) -> str:
    """Make a role that may do nothing in the database, and return its URL."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS tenure_limited")
        connection.execute("CREATE ROLE tenure_limited LOGIN PASSWORD 'secret'")
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.execute("GRANT USAGE ON SCHEMA public TO tenure_limited")
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"tenure_limited:secret@{parts.hostname}:{parts.port}").geturl()


@pytest.fixture
def limited_dsn(postgres_cluster: Cluster, postgres_dsn: str) -> Iterator[str]:
    """The URL of an empty database for a role that may not make tables there."""
    yield with_role(postgres_cluster, postgres_dsn)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP OWNED BY tenure_limited")
        connection.execute("DROP ROLE tenure_limited")


def test_a_role_that_may_not_make_tables_is_told(opens: Opens, limited_dsn: str) -> None:
    with pytest.raises(StoreDownError, match="does not let us write: permission denied"):
        opens(settings_for(limited_dsn))


def test_a_role_that_may_not_touch_the_tables_is_told(
    opens: Opens, postgres_dsn: str, limited_dsn: str
) -> None:
    opens(settings_for(postgres_dsn))

    with pytest.raises(StoreDownError, match="permission denied for table migration"):
        opens(settings_for(limited_dsn))


def test_a_database_that_may_only_be_read_is_told(opens: Opens, postgres_dsn: str) -> None:
    opens(settings_for(postgres_dsn))
    name = urlsplit(postgres_dsn).path.removeprefix("/")
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    with pytest.raises(StoreDownError, match="does not let us write"):
        opens(settings_for(postgres_dsn))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"path": "/no_such_database"}, id="no such database"),
        pytest.param({"netloc": "nobody:secret@127.0.0.1:1"}, id="nobody listens"),
        pytest.param({"netloc": "nobody:secret@host.invalid"}, id="no such host"),
        pytest.param({"netloc": "nobody:secret@127.0.0.1:many"}, id="a port of letters"),
        pytest.param({"query": "sslmode=perhaps"}, id="an option that is none"),
    ],
)
def test_a_server_that_cannot_be_reached_is_told_without_the_password(
    opens: Opens, postgres_dsn: str, damage: dict[str, str]
) -> None:
    url = urlsplit(postgres_dsn)._replace(**damage).geturl()

    with pytest.raises(StoreDownError, match="cannot open postgresql://") as caught:
        opens(settings_for(url))

    password = urlsplit(url).password
    assert password is None or f":{password}@" not in str(caught.value)


@pytest.mark.parametrize("durability", ["full", "relaxed"])
@pytest.mark.parametrize("prepare", [True, False])
def test_options_in_the_url_are_kept(
    opens: Opens, postgres_dsn: str, durability: str, prepare: bool
) -> None:
    """With relaxed durability the schema that a URL named was not used by plain functions."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA elsewhere")
    url = f"{postgres_dsn}?options=-csearch_path%3Delsewhere"

    opens(settings_for(url, durability=durability, prepare=prepare))

    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute("SELECT id FROM elsewhere.task").fetchall()
    assert [("task-1",)] == found
