"""What `tenure doctor` looks at, one function for each thing; each tells what it found.

A finding is ok, a warning or a problem. Advice says what to do, and stands only where there is
something to do.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tenure.cli import show
from tenure.cli.database import find_drift, troubles_of
from tenure.cli.reach import Reached
from tenure.cli.workers import status_of
from tenure.kernel.errors import StoreError
from tenure.service import health, queues, schema, workers
from tenure.settings import Settings
from tenure.store.open import dialect_of, sqlite_options

OK, WARNING, PROBLEM = "ok", "warning", "problem"

SKEW_MAX_US = 1_000_000
SLOW_US = 50_000
ROUNDS = 5
ROOM_MIN = 256 << 20
LOG_MAX = 256 << 20
# What to install for a package that is missing.
OPTIONAL = {"asyncpg": "postgres", "psycopg": "postgres", "uvloop": "fast"}
# File systems on other machines do not keep the promises that WAL mode needs.
REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs"}
PASSING = {"tmpfs", "ramfs"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's."""

    what: str
    status: str
    text: str
    advice: str = ""


def versions(settings: Settings | None) -> Iterator[Finding]:
    """Python, Tenure and what is installed beside it."""
    yield Finding("python", OK, f"{platform.python_version()} ({sys.platform})")
    yield Finding("tenure", OK, metadata.version("tenure"))
    yield Finding("apsw", OK, metadata.version("apsw"))
    is_postgres = settings is not None and dialect_of(settings.url) == "postgres"
    for package, extra in OPTIONAL.items():
        try:
            yield Finding(package, OK, metadata.version(package))
        except metadata.PackageNotFoundError:
            is_needed = is_postgres and extra == "postgres"
            yield Finding(
                package,
                PROBLEM if is_needed else OK,
                "not installed" if is_needed else "not installed, and not needed here",
                f"pip install 'tenure[{extra}]'" if is_needed else "",
            )


def library() -> Finding:
    """The SQLite library; an unsafe one is refused by the driver."""
    version = sqlite_version()
    if version.startswith("refused: "):
        return Finding("sqlite", PROBLEM, version.removeprefix("refused: "))
    return Finding("sqlite", OK, f"{version}, without the race in WAL mode")


def sqlite_version() -> str:
    """Return the library's version, or why the driver refuses it."""
    from dataclasses import replace

    from tenure.service.clockwork import SystemClock
    from tenure.store.sqlite_sync import SqliteSyncStore

    options = replace(sqlite_options(Settings()), path=Path(":memory:"))
    try:
        store = Reached(SqliteSyncStore(options, SystemClock()), SystemClock())
    except StoreError as error:
        return f"refused: {error}"
    try:
        return store.run(health.server())["version"]
    finally:
        store.store.close()


def sqlite_file(settings: Settings) -> Iterator[Finding]:
    """The file, its folder and the file system under it."""
    path = sqlite_options(settings).path
    folder = path.parent
    if not folder.is_dir():
        yield Finding("file", PROBLEM, f"there is no folder {folder}", "create it")
        return
    yield _permissions(path, folder)
    kind = file_system(folder)
    if kind in REMOTE:
        yield Finding(
            "file system",
            PROBLEM,
            f"{kind} is on another machine; WAL mode is not safe there",
            "keep the file on a local disk, or use PostgreSQL",
        )
    elif kind in PASSING:
        yield Finding(
            "file system",
            WARNING,
            f"{kind} is in memory; it is empty after a restart of the machine",
            "keep the file on a disk",
        )
    else:
        yield Finding("file system", OK, kind or "not known on this system")
    free = shutil.disk_usage(folder).free
    yield Finding(
        "disk",
        WARNING if free < ROOM_MIN else OK,
        f"{free >> 20:,} MiB free",
        "make room: without it nothing can be stored" if free < ROOM_MIN else "",
    )
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LOG_MAX:
        yield Finding(
            "write-ahead log",
            WARNING,
            f"{size >> 20:,} MiB",
            "some program keeps an old read transaction open; close it",
        )


def _permissions(path: Path, folder: Path) -> Finding:
    if not path.exists():
        return Finding(
            "file", PROBLEM, f"there is no {path}", "check --url, or run 'tenure db migrate'"
        )
    for place, needed in ((folder, "the folder"), (path, "the file")):
        if not os.access(place, os.W_OK):
            return Finding(
                "file",
                PROBLEM,
                f"{needed} {place} cannot be written by this user",
                "change its owner or its permissions; WAL mode writes beside the file too",
            )
    return Finding("file", OK, f"{path}, {path.stat().st_size >> 10:,} KiB, writable")


def file_system(folder: Path) -> str:
    """Return the kind of file system under a folder, or nothing where it cannot be told."""
    mounts = Path("/proc/self/mountinfo")
    if not mounts.exists():
        return ""
    best, kind = -1, ""
    inside = folder.resolve()
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4].replace("\\040", " "))
        # The last one wins among equals: it is mounted over the others.
        if inside.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split()[0]
    return kind


def server(store: Reached, settings: Settings) -> Iterator[Finding]:
    """What the database says of itself, and whether a commit is as durable as it is meant."""
    told = store.run(health.server())
    is_full = settings.store.durability == "full"
    if dialect_of(settings.url) == "sqlite":
        in_force = told["journal_mode"] == "wal" and told["synchronous"] == (
            "2" if is_full else "1"
        )
        text = f"journal_mode={told['journal_mode']}, synchronous={told['synchronous']}"
        yield _durability(settings, text, is_kept=in_force)
        return
    yield Finding("postgresql", OK, f"{told['version']}, schema {told['schema'] or 'none'}")
    if told["read_only"] == "on":
        yield Finding(
            "writing",
            PROBLEM,
            "the server is read-only: a standby, or default_transaction_read_only",
            "connect to the primary instead",
        )
    names = ("synchronous_commit", "fsync", "full_page_writes")
    text = ", ".join(f"{name}={told[name]}" for name in names)
    keeps_pages = told["fsync"] == "on" and told["full_page_writes"] == "on"
    keeps_commits = not is_full or told["synchronous_commit"] != "off"
    yield _durability(settings, text, is_kept=keeps_pages and keeps_commits)


def _durability(settings: Settings, text: str, *, is_kept: bool) -> Finding:
    meant = settings.store.durability
    if not is_kept:
        return Finding(
            "durability",
            PROBLEM,
            f"store.durability is {meant}, but {text}",
            "a power cut can lose what was acknowledged; turn these on in the server",
        )
    status = OK if meant == "full" else WARNING
    advice = "" if meant == "full" else "a power cut may take the last moments; that is your choice"
    return Finding("durability", status, f"{meant}: {text}", advice)


def clock(store: Reached, settings: Settings) -> Iterator[Finding]:
    """How far the store is, and how far its clock is from ours."""
    if dialect_of(settings.url) == "sqlite":
        yield Finding("clock", OK, "a SQLite store goes by this machine's")
        return
    best_us, skew_us = 0, 0
    for turn in range(ROUNDS):
        before_us = store.clock.now_us()
        theirs_us = store.run(workers.clock())
        trip_us = store.clock.now_us() - before_us
        if turn == 0 or trip_us < best_us:
            best_us, skew_us = trip_us, theirs_us - (before_us + trip_us // 2)
    is_slow = best_us > SLOW_US
    yield Finding(
        "round trip",
        WARNING if is_slow else OK,
        show.span(best_us),
        "run workers nearer to the database" if is_slow else "",
    )
    is_off = abs(skew_us) > SKEW_MAX_US
    side = "ahead of" if skew_us > 0 else "behind"
    yield Finding(
        "clock",
        WARNING if is_off else OK,
        f"the store's is {show.span(abs(skew_us))} {side} this machine's",
        "due times are the store's; set both machines by NTP" if is_off else "",
    )


def tables(store: Reached, settings: Settings) -> Iterator[Finding]:
    """The version of the tables, and drift."""
    state = store.run(schema.state(dialect_of(settings.url)))
    drift, obstacle = find_drift(settings, state)
    troubles = troubles_of(state, drift, obstacle)
    advice = "'tenure db check' tells more" if drift else ""
    for trouble in troubles:
        yield Finding("tables", PROBLEM, trouble, advice)
    if not troubles:
        yield Finding("tables", OK, f"at {state.number:04}, as their migrations made them")


def activity(store: Reached, settings: Settings) -> Iterator[Finding]:
    """Workers and queues."""
    now_us = store.run(workers.clock())
    found = store.run(workers.listing())
    statuses = [status_of(worker, settings, now_us) for worker in found]
    alive = statuses.count("alive")
    text = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    advice = "" if alive else "start one with 'tenure worker app.py'"
    if "stuck" in statuses:
        advice = "handlers ignore their timeouts; restart that worker"
    is_well = alive and "stuck" not in statuses
    yield Finding("workers", OK if is_well else WARNING, text or "none", advice)
    paused = [
        counts.queue.name
        for counts in store.run(queues.listing())
        if counts.queue.paused_at_us is not None
    ]
    if paused:
        yield Finding(
            "queues", WARNING, f"paused: {', '.join(paused)}", "'tenure queues resume NAME'"
        )
