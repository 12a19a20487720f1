"""Find out that another connection has committed to a SQLite file.

By the kernel's word where there is one, else by looking every few milliseconds. The word is
checked: a commit that was not told (some mounted file systems tell nothing) ends the trust.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import apsw

from tenure.kernel.ports import ANYTHING
from tenure.store import local_notices
from tenure.store.file_watch import FileWatch, watch_file

# How often to look although the kernel would tell, and how often to pass its word on at most.
NET_US = 1_000_000
PAUSE_S = 0.005


class SqliteWatch:
    """The one who looks, for one store."""

    def __init__(self, connection: apsw.Connection, path: Path, *, watch_us: int) -> None:
        self._connection = connection
        self._path = path
        self._watch_us = watch_us
        self._version = -1
        self._tell: Callable[[str], None] | None = None
        self._subscription: local_notices.Subscription | None = None
        self._file: FileWatch | None = None
        self._pause: asyncio.TimerHandle | None = None

    def look(self, tell: Callable[[str], None]) -> int:
        """Look once; return in how many microseconds to look again."""
        if self._tell is None:
            self._begin(tell)
        was_told = self._file is not None and self._file.drain()
        if self._has_changed():
            tell(ANYTHING)
            if self._file is not None and not was_told and self._pause is None:
                self._stop_trusting()
        return self._watch_us if self._file is None else NET_US

    def close(self) -> None:
        """Look no more."""
        if self._subscription is not None:
            self._subscription.cancel()
        self._stop_trusting()

    def _begin(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._version = self._connection.pragma("data_version")
        self._subscription = local_notices.subscribe(self._path, tell)
        self._file = watch_file(self._path.with_name(f"{self._path.name}-wal"))
        if self._file is not None:
            asyncio.get_running_loop().add_reader(self._file.descriptor, self._told)

    def _told(self) -> None:
        """The kernel says that the file was written, perhaps by ourselves."""
        if self._file is None or not self._file.drain() or self._pause is not None:
            return
        loop = asyncio.get_running_loop()
        self._pause = loop.call_later(PAUSE_S, self._after_pause)
        self._pass_on()

    def _after_pause(self) -> None:
        """Look once more for what came during the pause."""
        self._pause = None
        self._pass_on()

    def _pass_on(self) -> None:
        if self._has_changed() and self._tell is not None:
            self._tell(ANYTHING)

    def _has_changed(self) -> bool:
        version: int = self._connection.pragma("data_version")
        changed = version != self._version
        self._version = version
        return changed

    def _stop_trusting(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._file is not None:
            asyncio.get_running_loop().remove_reader(self._file.descriptor)
            self._file.close()
            self._file = None
