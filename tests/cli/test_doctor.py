"""`tenure doctor` and its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure import Client, Registry, Worker
from tenure.cli import findings
from tests.cli.conftest import Run, answer, write


def by_name(told: dict[str, list[dict[str, str]]]) -> dict[str, dict[str, str]]:
    return {finding["what"]: finding for finding in told["findings"]}


def test_a_sound_sqlite_store_has_no_problem(
    run: Run, tmp_path: Path, kinds: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/tenure.db"
    monkeypatch.setattr(findings, "file_system", lambda _folder: "ext4")
    monkeypatch.setattr(findings, "ROOM_MIN", 0)

    with Client(url) as client, Worker(client, registry=kinds):
        result = run("doctor", "--json", "--url", url)

    found = by_name(answer(result))
    assert 0 == result.exit_code
    assert {"ok"} == {finding["status"] for finding in found.values()}
    assert "full: journal_mode=wal, synchronous=2" == found["durability"]["text"]
    assert "1 alive" == found["workers"]["text"]
    assert {"python", "tenure", "apsw", "sqlite", "asyncpg", "psycopg", "uvloop", "file",
            "file system", "disk", "store", "clock", "tables", "setting"} <= set(found)  # fmt: skip


def test_a_careless_postgresql_is_a_problem(run: Run, client: Client, postgres_dsn: str) -> None:
    run("db", "migrate", "--url", postgres_dsn)

    url = f"{postgres_dsn}?options=-csynchronous_commit%3Doff"
    result = run("doctor", "--json", "--url", url)

    found = by_name(answer(result))
    assert 1 == result.exit_code
    assert "problem" == found["durability"]["status"]
    assert "synchronous_commit=off" in found["durability"]["text"]
    assert ("ok", "ok", "ok") == tuple(
        found[name]["status"] for name in ("postgresql", "clock", "tables")
    )


def test_a_skewed_clock_is_a_warning(
    run: Run, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("db", "migrate", "--url", postgres_dsn)
    monkeypatch.setattr("tenure.service.clockwork.SystemClock.now_us", lambda _self: 0)

    found = by_name(answer(run("doctor", "--json", "--url", postgres_dsn)))

    assert "warning" == found["clock"]["status"]
    assert "ahead of this machine's" in found["clock"]["text"]


def test_a_file_system_of_another_machine_is_a_problem(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/tenure.db"
    run("db", "migrate", "--url", url)
    monkeypatch.setattr(findings, "file_system", lambda _folder: "nfs4")

    result = run("doctor", "--url", url)

    assert 1 == result.exit_code
    assert "problem  file system" in result.stdout
    assert "-> keep the file on a local disk, or use PostgreSQL" in result.stdout


def test_an_unsafe_sqlite_is_a_problem(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenure.store.sqlite_session.is_unsafe", lambda _version: True)

    result = run("doctor")

    assert 1 == result.exit_code
    assert "has a race that can corrupt a database" in result.stdout


def test_an_unreachable_server_is_a_problem(run: Run) -> None:
    result = run("doctor", "--url", "postgresql://me:secret@127.0.0.1:1/x")

    assert 1 == result.exit_code
    assert "problem  store" in result.stdout
    assert "secret" not in result.stdout


def test_drift_stops_and_pauses_are_told(run: Run, client: Client, url: str) -> None:
    run("queues", "pause", "mail", "--url", url)

    result = run("doctor", "--url", url)

    assert "paused: mail" in result.stdout
    assert "-> start one with 'tenure worker app.py'" in result.stdout


def test_a_wrong_setting_is_a_problem_and_names_its_origin(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENURE_WORKER__SLOTS", "none")

    result = run("doctor")

    assert 1 == result.exit_code
    assert "'worker.slots' is 'none' (environment TENURE_WORKER__SLOTS)" in result.stdout


def test_settings_come_with_their_origin(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "tenure.toml", "[worker]\nslots = 7\nthreads = 3\n")
    monkeypatch.setenv("TENURE_WORKER__THREADS", "4")
    options = ["--set", "worker.lease_s=30", "--url", "postgresql://me:secret@host/d"]

    told = answer(run(*options, "doctor", "settings", "--changed", "--json"))
    everything = run("doctor", "settings")

    assert {
        ("url", "postgresql://me:***@host/d", "option --url"),
        ("worker.slots", "7 slots", "file tenure.toml"),
        ("worker.threads", "4 threads", "environment TENURE_WORKER__THREADS"),
        ("worker.lease_s", "30 s", "option --set worker.lease_s"),
    } == {(row["key"], row["value"], row["origin"]) for row in told["settings"]}
    assert "limits.payload_bytes_max" in everything.stdout


def test_an_option_after_the_command_wins(run: Run) -> None:
    arguments = ["--set", "worker.slots=7", "doctor", "settings", "--set", "worker.slots=8"]

    told = answer(run(*arguments, "--changed", "--json"))

    assert ["8 slots"] == [row["value"] for row in told["settings"]]


def test_the_nearest_mount_tells_the_file_system(tmp_path: Path) -> None:
    if not Path("/proc/self/mountinfo").exists():
        assert "" == findings.file_system(tmp_path)
    else:
        assert findings.file_system(tmp_path)
        assert "proc" == findings.file_system(Path("/proc"))
