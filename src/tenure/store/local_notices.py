"""Notices within one process, for stores that have no channel of their own.

A SQLite file tells nobody that it was written. Whoever commits tells the other stores of
this process here; those of other processes look at the file every few milliseconds.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_lock = threading.Lock()
_subscriptions: dict[Path, list[Subscription]] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """Someone who wants to be told, on the event loop it lives on."""

    path: Path
    loop: asyncio.AbstractEventLoop
    tell: Callable[[str], None]

    def cancel(self) -> None:
        """Be told no more."""
        with _lock:
            listeners = _subscriptions.get(self.path, [])
            if self in listeners:
                listeners.remove(self)
            if not listeners:
                _subscriptions.pop(self.path, None)


def subscribe(path: Path, call: Callable[[str], None]) -> Subscription:
    """Call back, on the running event loop, for every notice about the file."""
    subscription = Subscription(path=path, loop=asyncio.get_running_loop(), tell=call)
    with _lock:
        _subscriptions.setdefault(path, []).append(subscription)
    return subscription


def tell(path: Path, topic: str) -> None:
    """Tell every subscriber of this process; may be called from any thread."""
    with _lock:
        listeners = list(_subscriptions.get(path, ()))
    here = _running_loop()
    for listener in listeners:
        if listener.loop is here:
            listener.tell(topic)
        elif not listener.loop.is_closed():
            listener.loop.call_soon_threadsafe(listener.tell, topic)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
