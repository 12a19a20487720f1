"""Virtual time, and hosts that freeze and die."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextvars import copy_context
from typing import Any

import pytest

from tests.sim.loop import HOST, DeadlockError, Host, HostDiedError, VirtualLoop


class Stage:
    """A loop, a host, and what was said on it."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.host = Host("w1")
        self.said: list[tuple[str, float]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def say(self, word: str) -> None:
        self.said.append((word, self.loop.time()))

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Begin a coroutine on the host."""
        context = copy_context()
        context.run(HOST.set, self.host)
        self.tasks.append(self.loop.create_task(coroutine, context=context))

    def play(self, seconds: float) -> None:
        """Let so much time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.host.exhume()
    for task in made.tasks:
        task.cancel()
    made.play(0)
    made.loop.close()


async def count(stage: Stage) -> None:
    for word in ("one", "two", "three"):
        stage.say(word)
        await asyncio.sleep(1)


def test_an_hour_passes_in_no_time(stage: Stage) -> None:
    stage.play(3600)

    assert 3600 == stage.loop.time()


def test_what_befalls_a_frozen_host_befalls_it_when_it_thaws(stage: Stage) -> None:
    stage.begin(count(stage))
    stage.play(0.5)

    stage.host.freeze(stage.loop.now_us)
    stage.play(10)
    stage.host.thaw(stage.loop.now_us)
    stage.play(5)

    assert [("one", 0.0), ("two", 10.5), ("three", 11.5)] == stage.said
    assert 10_000_000 == stage.host.frozen_us


def test_a_timer_that_was_cancelled_after_the_thaw_does_not_ring(stage: Stage) -> None:
    async def race() -> None:
        loop = asyncio.get_running_loop()
        late = loop.call_later(2, stage.say, "late")
        loop.call_later(1, late.cancel)

    stage.begin(race())
    stage.play(0.5)

    stage.host.freeze(stage.loop.now_us)
    stage.play(5)
    stage.host.thaw(stage.loop.now_us)
    stage.play(5)

    assert [] == stage.said


def test_a_dead_host_does_nothing_any_more_and_tidies_nothing_up(stage: Stage) -> None:
    async def tidy() -> None:
        try:
            await count(stage)
        finally:
            stage.say("tidied")

    stage.begin(tidy())
    stage.play(0.5)

    stage.host.die()
    stage.play(5)

    assert [("one", 0.0)] == stage.said


def test_a_host_can_die_in_the_middle_of_a_callback(stage: Stage) -> None:
    def strike() -> None:
        raise HostDiedError

    async def doomed() -> None:
        asyncio.get_running_loop().call_soon(strike)
        await count(stage)

    stage.begin(doomed())
    stage.play(5)

    assert ([("one", 0.0)], True) == (stage.said, stage.host.is_dead)


def test_a_loop_without_any_timer_stands_still(stage: Stage) -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    task = stage.loop.create_task(forever())

    with pytest.raises(DeadlockError):
        stage.loop.run_until_complete(task)
    stage.tasks.append(task)


def test_an_error_in_a_callback_is_kept(stage: Stage) -> None:
    def fail() -> None:
        raise AssertionError("told")

    stage.loop.call_soon(fail)
    stage.play(1)

    assert 1 == len(stage.loop.troubles)
    assert "AssertionError('told')" in stage.loop.troubles[0]
