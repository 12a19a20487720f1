"""Longer requests, written once for sync and async callers.

A *program* is a generator that yields verbs and pauses, and returns a value. Each verb is a
transaction of its own; errors come back in at the `yield`. The two runners below are all
that differs between the two kinds of client.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tenure.kernel.errors import StoreBusyError, TenureError
from tenure.kernel.ports import Clock, Verb

T = TypeVar("T")

FIRST_WAIT_US = 5_000
LAST_WAIT_US = 500_000


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long before going on."""

    us: int


@dataclass(frozen=True, slots=True)
class Now:
    """Ask for the monotonic time, in microseconds."""


# A program is sent whatever its last step came to, so the type of that is the step's own.
Program = Generator[Verb[Any] | Pause | Now, Any, T]


class Runner(Protocol):
    """What runs verbs for plain functions: a store, or a borrowed connection."""

    def run(self, verb: Verb[T]) -> T:
        """Run one verb."""
        ...


class AsyncRunner(Protocol):
    """What runs verbs for coroutines."""

    async def run(self, verb: Verb[T]) -> T:
        """Run one verb."""
        ...


class BlockingClock(Clock, Protocol):
    """A clock that can also stop a thread."""

    def block(self, us: int) -> None:
        """Stop this thread for so long."""
        ...


def run_sync(program: Program[T], store: Runner, clock: BlockingClock) -> T:
    """Run a program to its end."""
    answer: object = None
    error: TenureError | None = None
    try:
        while True:
            step = program.send(answer) if error is None else program.throw(error)
            answer, error = None, None
            match step:
                case Pause():
                    clock.block(step.us)
                case Now():
                    answer = clock.monotonic_us()
                case _:
                    try:
                        answer = store.run(step)
                    except TenureError as failed:
                        error = failed
    except StopIteration as stop:
        value: T = stop.value
        return value


async def run_async(program: Program[T], store: AsyncRunner, clock: Clock) -> T:
    """Run a program to its end."""
    answer: object = None
    error: TenureError | None = None
    try:
        while True:
            step = program.send(answer) if error is None else program.throw(error)
            answer, error = None, None
            match step:
                case Pause():
                    await clock.sleep(step.us)
                case Now():
                    answer = clock.monotonic_us()
                case _:
                    try:
                        answer = await store.run(step)
                    except TenureError as failed:
                        error = failed
    except StopIteration as stop:
        value: T = stop.value
        return value


def patiently(make: Callable[[], Verb[T]], *, patience_us: int) -> Program[T]:
    """Run a verb that may be run twice, again and again while the store is busy.

    *make* gives a new verb for each try. The last error is raised when patience is over.
    """
    started_us = yield Now()
    wait_us = FIRST_WAIT_US
    while True:
        try:
            answer: T = yield make()
        except StoreBusyError:
            now_us = yield Now()
            if now_us - started_us + wait_us > patience_us:
                raise
        else:
            return answer
        yield Pause(wait_us)
        wait_us = min(2 * wait_us, LAST_WAIT_US)
