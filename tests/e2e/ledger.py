"""A file outside of the database in which handlers note what they really do.

Each line is one append, which the kernel does not tear, so it stands even if the process is
killed by the next instruction. What the database says is held against it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from tenure import TaskContext

Moment = Literal["begin", "end"]


class Entry(msgspec.Struct, frozen=True):
    """One line: an attempt begins or ends in a process."""

    task_id: str
    attempt: int
    pid: int
    moment: Moment
    at_ns: int


class Mark(msgspec.Struct, frozen=True):
    """The result of a handler: who worked, and at which attempt."""

    pid: int
    attempt: int


class Ledger:
    """Reads and writes the file; one for each test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def entry(self, context: TaskContext) -> Iterator[Mark]:
        """Note the beginning of an attempt, and its end if it comes to that."""
        self._write(context, "begin")
        yield Mark(os.getpid(), context.attempt)
        self._write(context, "end")

    def entries(self) -> list[Entry]:
        """Return every line so far."""
        if not self.path.exists():
            return []
        return [msgspec.json.decode(line, type=Entry) for line in self.path.read_bytes().split()]

    def marks(self, moment: Moment, task_id: str = "") -> list[tuple[str, Mark]]:
        """Return who noted a moment, of one task or of all, in order."""
        return [
            (entry.task_id, Mark(entry.pid, entry.attempt))
            for entry in self.entries()
            if entry.moment == moment and task_id in ("", entry.task_id)
        ]

    def busiest(self) -> int:
        """Return how many attempts were under way at most; only for ledgers without a crash."""
        under_way = most = 0
        for entry in sorted(self.entries(), key=lambda entry: entry.at_ns):
            under_way += 1 if entry.moment == "begin" else -1
            most = max(most, under_way)
        return most

    def _write(self, context: TaskContext, moment: Moment) -> None:
        entry = Entry(context.task_id, context.attempt, os.getpid(), moment, time.monotonic_ns())
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, msgspec.json.encode(entry) + b"\n")
        finally:
            os.close(file)
