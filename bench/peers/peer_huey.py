"""Huey on SQLite, one worker thread, which is its default.

Variants: "fsync" asks for a durable commit, "" leaves Huey's default. Huey takes a task out of
the file before it runs it and keeps no history, so a crash loses the task.
"""

from __future__ import annotations

import os
import sqlite3

from huey import SqliteHuey

from adapter import DATA, TASKS, VARIANT, Peer, mark

SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}

options = {"fsync": True} if VARIANT == "fsync" else {}
huey = SqliteHuey("bench", filename=str(DATA / "huey.db"), **options)


@huey.task(name="noop")
def noop(number: int) -> int:
    mark(number)
    return 1


class Adapter(Peer):
    packages = ("huey",)
    has_bulk = False

    def enqueue(self, number: int) -> None:
        noop(number)

    def pending(self) -> int:
        return TASKS - huey.storage.result_store_size()

    def worker(self) -> None:
        os.execvp("huey_consumer", ["huey_consumer", "peer_huey.huey", "-q", "-w", "1"])

    def durability(self) -> str:
        (level,) = huey.storage.sql("PRAGMA synchronous", results=True)[0]
        return f"SQLite {sqlite3.sqlite_version}, WAL, synchronous {SYNCHRONOUS[level]}"
