"""Programs: verbs and pauses in a row, on a store that is busy now and then."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import pytest

from tenure.kernel.errors import NotFoundError, StoreBusyError
from tenure.kernel.ports import Statement, Steps, Verb, read
from tenure.service.program import Now, Pause, Program, patiently, run_async, run_sync

T = TypeVar("T")


@read
def answer() -> Steps[int]:
    """Ask for a number."""
    rows = yield Statement("number", {})
    return int(rows[0][0])


class TickingClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.time_us = 0
        self.waits: list[int] = []

    def now_us(self) -> int:
        return self.time_us

    def monotonic_us(self) -> int:
        return self.time_us

    def block(self, us: int) -> None:
        self.waits.append(us)
        self.time_us += us

    async def sleep(self, us: int) -> None:
        self.block(us)


class Moody:
    """Runs verbs, but is busy the first so many times."""

    def __init__(self, busy: int) -> None:
        self.busy = busy
        self.asked = 0

    def run(self, verb: Verb[T]) -> T:
        self.asked += 1
        if self.asked <= self.busy:
            raise StoreBusyError("busy")
        steps = verb.steps
        next(steps)
        with pytest.raises(StopIteration) as stopped:
            steps.send([(42,)])
        value: T = stopped.value.value
        return value


class AsyncMoody:
    """The same, for coroutines."""

    def __init__(self, busy: int) -> None:
        self.inner = Moody(busy)

    async def run(self, verb: Verb[T]) -> T:
        return self.inner.run(verb)


def run_both(make: Any, *, busy: int = 0) -> tuple[Any, list[int]]:
    """Run a program in both ways; they must come to the same."""
    clock, other = TickingClock(), TickingClock()
    value = run_sync(make(), Moody(busy), clock)
    assert value == asyncio.run(run_async(make(), AsyncMoody(busy), other))
    assert clock.waits == other.waits
    return value, clock.waits


def test_a_program_is_sent_what_its_steps_come_to() -> None:
    def program() -> Program[tuple[int, int, int]]:
        before = yield Now()
        number = yield answer()
        yield Pause(7)
        after = yield Now()
        return before, number, after

    assert run_both(program) == ((0, 42, 7), [7])


def test_a_busy_store_is_asked_again_after_growing_waits() -> None:
    value, waits = run_both(lambda: patiently(answer, patience_us=1_000_000), busy=4)

    assert value == 42
    assert waits == [5_000, 10_000, 20_000, 40_000]


def test_waits_grow_up_to_a_bound() -> None:
    _, waits = run_both(lambda: patiently(answer, patience_us=60_000_000), busy=10)

    assert max(waits) == waits[-1] == waits[-2] == 500_000


def test_patience_ends_before_its_time_and_not_after() -> None:
    store, clock = Moody(busy=100), TickingClock()

    with pytest.raises(StoreBusyError):
        run_sync(patiently(answer, patience_us=100_000), store, clock)

    assert sum(clock.waits) <= 100_000
    assert store.asked == len(clock.waits) + 1


def test_without_patience_it_is_asked_once() -> None:
    store, clock = Moody(busy=1), TickingClock()

    with pytest.raises(StoreBusyError):
        run_sync(patiently(answer, patience_us=0), store, clock)

    assert (store.asked, clock.waits) == (1, [])


def test_a_program_may_go_on_after_a_busy_store() -> None:
    def program() -> Program[str]:
        try:
            yield answer()
        except StoreBusyError:
            return "gone on"
        return "never busy"

    assert run_both(program, busy=1) == ("gone on", [])


def test_other_errors_end_the_program() -> None:
    class Empty:
        def run(self, verb: Verb[T]) -> T:
            raise NotFoundError("none")

    with pytest.raises(NotFoundError):
        run_sync(patiently(answer, patience_us=1_000_000), Empty(), TickingClock())
