"""An event loop whose time is a number, and hosts whose callbacks can be held or dropped.

Used by everything in the simulator. The selector never waits: it moves the time to the next
timer. Each callback belongs to the host in whose context it was scheduled; those of a frozen
host are kept until it thaws, those of a dead one vanish, as a stopped or killed process would
have it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

HOST: ContextVar[Host | None] = ContextVar("simulated_host", default=None)


class HostDiedError(BaseException):
    """The process ends at this very statement; raised where only the loop may catch it."""


class DeadlockError(Exception):
    """Nothing is left that could ever run, and the simulation has not ended."""


class Host:
    """One simulated process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self.is_frozen = False
        self.frozen_us = 0  # in all
        self._held: deque[tuple[Guard, tuple[Any, ...]]] = deque()
        self._frozen_since_us = 0
        self.when_dead: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return self.name

    def hold(self, guard: Guard, args: tuple[Any, ...]) -> None:
        """Keep a callback whose time has come while the host is frozen, or dead."""
        self._held.append((guard, args))

    def freeze(self, now_us: int) -> None:
        """Give none of its coroutines a turn from now on."""
        assert not self.is_frozen
        self.is_frozen = True
        self._frozen_since_us = now_us

    def thaw(self, now_us: int) -> None:
        """Go on, with everything that would have happened meanwhile happening now."""
        assert self.is_frozen
        self.is_frozen = False
        self.frozen_us += now_us - self._frozen_since_us
        self._let_go()

    def die(self) -> None:
        """Vanish: nothing of it runs again, and nothing is tidied up."""
        if self.is_dead:
            return
        self.is_dead = True
        for call in self.when_dead:
            call()

    def exhume(self) -> None:
        """Let what is left be unwound once the simulation is over."""
        self.is_dead = False
        self.is_frozen = False
        self._let_go()

    def _let_go(self) -> None:
        while self._held:
            guard, args = self._held.popleft()
            guard.come_again(args)


class Guard:
    """A callback that first asks its host whether it may run."""

    __slots__ = ("callback", "context", "handle", "host", "loop")

    def __init__(
        self, loop: VirtualLoop, host: Host, callback: Callable[..., object], context: Context
    ) -> None:
        self.loop = loop
        self.host = host
        self.callback = callback
        self.context = context
        self.handle: asyncio.Handle | None = None

    def __call__(self, *args: Any) -> None:
        host = self.host
        if host.is_dead or host.is_frozen:
            host.hold(self, args)
            return
        try:
            self.callback(*args)
        except HostDiedError:
            host.die()

    def come_again(self, args: tuple[Any, ...]) -> None:
        """Be called on the next turn, unless cancelled by then."""
        asyncio.BaseEventLoop.call_soon(self.loop, self._again, args, context=self.context)

    def _again(self, args: tuple[Any, ...]) -> None:
        if self.handle is None or not self.handle.cancelled():
            self(*args)


class VirtualLoop(asyncio.BaseEventLoop):
    """asyncio's own machinery on a time that jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 0
        self.turns = 0
        self.troubles: list[str] = []
        self.watchdog: Callable[[], None] | None = None
        self._selector = _Jumper(self)
        self._clock_resolution = 1e-6
        self.set_exception_handler(self._note_trouble)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now_us / 1_000_000

    def call_soon(  # type: ignore[override]  # a guard takes the place of the callback
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule for the next turn, on behalf of the context's host."""
        guard = self._guard(callback, context)
        if guard is None:
            return super().call_soon(callback, *args, context=context)
        guard.handle = super().call_soon(guard, *args, context=guard.context)
        return guard.handle

    def call_at(  # type: ignore[override]  # a guard takes the place of the callback
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule for a time, on behalf of the context's host."""
        guard = self._guard(callback, context)
        if guard is None:
            return super().call_at(when, callback, *args, context=context)
        handle = super().call_at(when, guard, *args, context=guard.context)
        guard.handle = handle
        return handle

    def _guard(self, callback: Callable[..., object], context: Context | None) -> Guard | None:
        host = HOST.get() if context is None else context.get(HOST)
        if host is None:
            return None
        return Guard(self, host, callback, copy_context() if context is None else context)

    def _note_trouble(self, loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        error = about.get("exception")
        self.troubles.append(f"{about.get('message')}: {error!r}")

    # What the base class wants of a loop that has sockets.

    def _process_events(self, events: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""


class _Jumper:
    """A selector that waits by moving the time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        """Pass the time until the next timer."""
        loop = self._loop
        if timeout is None:
            raise DeadlockError("no callback and no timer is left")
        if timeout > 0:
            loop.now_us += max(1, math.ceil(timeout * 1_000_000))
            loop.turns = 0
            return []
        loop.turns += 1
        if loop.turns > TURNS_MAX:
            raise DeadlockError(f"{TURNS_MAX} turns in a row without a moment of time passing")
        return []


# A loop that wakes itself for ever would stop the time; nothing sound needs so many turns at once.
TURNS_MAX = 100_000
