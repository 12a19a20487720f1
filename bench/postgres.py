"""Run a private PostgreSQL server for the length of a benchmark.

Owns one data directory and one server process, a child of the runner. It listens on the
loopback at a free port and keeps every default that bears on durability.

PostgreSQL refuses to run as root; in that case it runs as the user `postgres`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

SYSTEM_USER = "postgres"
START_WAIT_S = 30
STOP_WAIT_S = 20
DATABASE = "bench"
SETTINGS_SHOWN = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "wal_sync_method",
    "shared_buffers",
)


class Cluster:
    """One server. `open` before use, `close` at the end whatever happened."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._binaries = find_binaries()
        self._server: subprocess.Popen[bytes] | None = None
        self.port = int(os.environ.get("BENCH_PGPORT", "0")) or _free_port()

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def open(self) -> None:
        """Create the cluster and start the server; return when it answers."""
        identity = _identity()
        self._directory.mkdir(parents=True)
        if identity:
            shutil.chown(self._directory, SYSTEM_USER, identity["group"])
        data = self._directory / "data"
        create = [self._binaries / "initdb", "-D", data, "-A", "trust", "-U", "postgres"]
        locale = ["--encoding=UTF8", "--no-locale"]
        subprocess.run(
            [*create, *locale],
            check=True,
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            **identity,
        )
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", self._directory]
        with (self._directory.parent / "logs" / "postgres.log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._binaries / "postgres", "-D", data, *options],
                cwd=self._directory,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **identity,
            )
        self._wait_until_ready()

    def close(self) -> None:
        """Stop the server by its id; force it if it does not end in time."""
        if self._server is None or self._server.poll() is not None:
            return
        self._server.send_signal(signal.SIGINT)
        try:
            self._server.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(STOP_WAIT_S)

    def renew_database(self, database: str = DATABASE) -> None:
        """Replace a database by an empty one."""
        self.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", database="postgres")
        self.sql(f"CREATE DATABASE {database}", database="postgres")

    def tidy_up(self, database: str = DATABASE) -> None:
        """Bring statistics, visibility map and checkpoint up to date, for every system alike."""
        self.sql("VACUUM ANALYZE", database=database)
        self.sql("CHECKPOINT", database=database)

    def settings(self) -> dict[str, str]:
        """Return version and durability settings as the server reports them."""
        return {name: self.sql(f"SHOW {name}", database="postgres") for name in SETTINGS_SHOWN}

    def sql(self, text: str, *, database: str) -> str:
        """Run one statement and return its bare output."""
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        answer = subprocess.run(
            [self._binaries / "psql", "-X", "-q", "-A", "-t", *address, "-c", text],
            check=False,
            capture_output=True,
            text=True,
        )
        if answer.returncode:
            raise RuntimeError(f"{text!r} failed: {answer.stderr.strip()}")
        return answer.stdout.strip()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START_WAIT_S
        while time.monotonic() < end:
            try:
                self.sql("SELECT 1", database="postgres")
            except RuntimeError:
                time.sleep(0.1)
            else:
                return
        self.close()
        raise RuntimeError(f"PostgreSQL did not start within {START_WAIT_S} s, see postgres.log")


def find_binaries() -> Path:
    """Return the directory of initdb, postgres and psql: PGBIN, the search path, Debian's place."""
    places = [Path(os.environ["PGBIN"])] if "PGBIN" in os.environ else []
    if found := shutil.which("postgres"):
        places.append(Path(found).resolve().parent)
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    places += sorted(debian, key=lambda place: int(place.parent.name), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "psql").exists():
            return place
    raise RuntimeError("no PostgreSQL binaries found; set PGBIN to their directory")


def _identity() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
