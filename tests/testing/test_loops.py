"""Any loop of the engine is taken at its word, and one that only polls makes no moments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

import tenure
from tenure.engine.loop import Loop
from tenure.observe.events import EngineEvent, TasksPruned, TickFailed
from tenure.testing import Platform
from tests.testing.conftest import START

HOUR_US = 3_600_000_000
START_US = int(START.timestamp()) * 1_000_000


class Hourly(Loop):
    """A loop such as nobody has listed: it fires every hour, and knows when."""

    def __init__(self, platform: Platform) -> None:
        worker = platform._stage._worker
        super().__init__("hourly", worker._around.emit)
        self.platform = platform
        self._clock = worker._clock
        self._next_us = self._clock.now_us() + HOUR_US
        self.fired_us: list[int] = []
        self.turns = 0

    async def tick(self) -> int:
        self.turns += 1
        if self._clock.now_us() >= self._next_us:
            self.fired_us.append(self._clock.now_us())
            self._next_us += HOUR_US
            self.emit(TasksPruned(count=1))
        return self._next_us - self._clock.now_us()


class Poll(Loop):
    """A loop that looks every so often, for nothing."""

    def __init__(self, platform: Platform, every_us: int) -> None:
        super().__init__("poll", platform._stage._worker._around.emit)
        self.every_us = every_us
        self.turns = 0

    async def tick(self) -> int:
        self.turns += 1
        return self.every_us


class Capped(Hourly):
    """The same, but it comes regularly too, as its settings say, and only the leader fires."""

    async def tick(self) -> int:
        worker = self.platform._stage._worker
        every_us = worker._around.settings.reaper.every_us
        if not worker.elector.is_leader:
            return every_us
        return min(every_us, await super().tick())


class Sick(Loop):
    """A loop that fails so many times in a row, and again after a turn that does not."""

    def __init__(self, platform: Platform, *failures: int) -> None:
        super().__init__("sick", platform._stage._worker._around.emit)
        self.left = list(failures)

    async def tick(self) -> int:
        if self.left and self.left[0]:
            self.left[0] -= 1
            raise RuntimeError("a planted failure")
        del self.left[:1]
        return 0 if self.left else HOUR_US


class Onlooker(Loop):
    """A loop that notes when it first sees something."""

    def __init__(self, platform: Platform, sees: Callable[[], bool]) -> None:
        super().__init__("onlooker", platform._stage._worker._around.emit)
        self._clock = platform._stage.clock
        self._sees = sees
        self.saw_us: int | None = None

    async def tick(self) -> int:
        if self.saw_us is None and self._sees():
            self.saw_us = self._clock.now_us()
        return 1_000_000


def add(platform: Platform, loop: Loop, *, first: bool = False) -> None:
    loops = platform._stage._worker._loops
    loops.insert(0 if first else len(loops), loop)


def test_a_new_loop_has_its_turn_at_the_very_moments_it_wishes(platform: Platform) -> None:
    hourly = Hourly(platform)
    add(platform, hourly)

    platform.travel("1d")

    assert [START_US + HOUR_US * hour for hour in range(1, 25)] == hourly.fired_us


def test_a_loop_that_comes_regularly_too_fires_at_its_moments_all_the_same(
    platform: Platform,
) -> None:
    capped = Capped(platform)
    platform.run_until_idle()
    add(platform, capped, first=True)

    platform.travel("3h")

    assert [START_US + HOUR_US * hour for hour in range(1, 4)] == capped.fired_us


def test_what_one_loop_has_told_another_sees_at_the_same_moment(platform: Platform) -> None:
    hourly = Hourly(platform)
    onlooker = Onlooker(platform, lambda: bool(hourly.fired_us))
    add(platform, hourly)
    add(platform, onlooker, first=True)

    platform.travel("1d")

    assert START_US + HOUR_US == onlooker.saw_us


def test_what_a_handler_has_stored_a_loop_sees_at_the_same_moment(
    platform: Platform, registry: tenure.Registry
) -> None:
    @registry.task
    def stores() -> None:
        platform.client.enqueue(stores.options(queue="unserved"))

    onlooker = Onlooker(platform, lambda: bool(platform.client.find(queue="unserved")))
    add(platform, onlooker, first=True)
    platform.enqueue(stores.options(delay=60))

    platform.travel("1d")

    assert START_US + 60_000_000 == onlooker.saw_us


@pytest.mark.parametrize("every_us", [1_000, 1_000_000, 60_000_000, 7 * HOUR_US])
def test_a_loop_that_only_polls_makes_no_moments(platform: Platform, every_us: int) -> None:
    poll = Poll(platform, every_us)
    add(platform, poll)

    platform.travel(days=365)

    assert 2 <= poll.turns <= 5


def test_whoever_polls_has_a_turn_at_the_moments_of_the_others(platform: Platform) -> None:
    hourly, poll = Hourly(platform), Poll(platform, 1)
    add(platform, hourly)
    add(platform, poll)

    platform.travel("1d")

    assert poll.turns >= 25


def test_a_loop_that_fails_for_a_while_is_tried_again(platform: Platform) -> None:
    told: list[EngineEvent] = []
    platform._stage._worker._around.bus.subscribe(told.append)
    add(platform, Sick(platform, 3, 49, 49))

    platform.travel("1h")

    failed = [event.failures for event in told if isinstance(event, TickFailed)]
    assert [*range(1, 4), *range(1, 50), *range(1, 50)] == failed
    assert START + timedelta(hours=1) == platform.now


def test_a_loop_that_fails_for_good_fails_the_test(platform: Platform) -> None:
    add(platform, Sick(platform, 50))

    with pytest.raises(RuntimeError, match="a planted failure"):
        platform.run_until_idle()


def test_the_loops_are_those_of_the_supervisor(platform: Platform) -> None:
    names = {each.name for each in platform._stage._worker._loops}

    assert {"settler", "claimer default", "elector", "pruner"} <= names


def test_a_handler_on_another_queue_of_the_registry_is_served(platform: Platform) -> None:
    registry = tenure.Registry()
    seen: list[str] = []

    @registry.task(queue="mail")
    def send(word: str) -> None:
        seen.append(word)

    with tenure.testing.platform(registry=registry) as other:
        other.enqueue(send, "hello")
        other.enqueue(send.options(queue="elsewhere"), "unheard")
        other.run_until_idle()

    assert ["hello"] == seen
