"""Hear from the kernel that a file was written, where it tells (Linux).

SQLite has no notices across processes. Looking at the file a hundred times a second costs
some percent of a core; the kernel's word costs nothing until there is one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

_IN_MODIFY = 0x2
_IN_NONBLOCK = 0o4000
_IN_CLOEXEC = 0o2000000
_EVENTS_BYTES = 64 * 1024


class FileWatch:
    """A descriptor that becomes readable when the file is written."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def drain(self) -> bool:
        """Forget what has been told; return whether there was anything."""
        told = False
        with contextlib.suppress(BlockingIOError):
            while os.read(self.descriptor, _EVENTS_BYTES):
                told = True
        return told

    def close(self) -> None:
        """Hear no more."""
        os.close(self.descriptor)


def watch_file(path: Path) -> FileWatch | None:
    """Return a watch on an existing file, or None where the system has no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None, use_errno=True)
        descriptor = library.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
    except (OSError, AttributeError):
        return None
    if descriptor < 0:
        return None
    if library.inotify_add_watch(descriptor, os.fsencode(path), _IN_MODIFY) < 0:
        os.close(descriptor)
        return None
    return FileWatch(descriptor)
