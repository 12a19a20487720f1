"""What every loop has in common: waiting, being woken, failing and ending."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tenure.engine.loop import FAILURE_FIRST_US, FAILURE_LAST_US, SLEEP_MAX_US, Loop
from tenure.observe.events import EngineEvent, TickFailed
from tests.engine.virtual import VirtualClock, settle_down
from tests.store.drivers import SECOND_US

Turn = Callable[[], Awaitable[int]]


class Diary(Loop):
    """Notes when it ticks, and does then what it is told."""

    def __init__(self, clock: VirtualClock, *, waits_us: int = SECOND_US) -> None:
        self.events: list[EngineEvent] = []
        super().__init__("diary", self.events.append)
        self.at_us: list[int] = []
        self.waits_us = waits_us
        self.errors: list[BaseException] = []
        self.turn: Turn | None = None
        self._clock = clock

    async def tick(self) -> int:
        self.at_us.append(self._clock.monotonic_us())
        if self.errors:
            raise self.errors.pop(0)
        if self.turn is not None:
            return await self.turn()
        return self.waits_us

    def failures(self) -> list[TickFailed]:
        return [event for event in self.events if isinstance(event, TickFailed)]


async def follow(diary: Diary, clock: VirtualClock, *, us: int) -> list[int]:
    """Let the loop run for so long; return when it ticked."""
    task = asyncio.get_running_loop().create_task(diary.run())
    await clock.sleep(us)
    diary.stop()
    await task
    return diary.at_us


async def test_a_loop_ticks_again_when_its_tick_said(clock: VirtualClock) -> None:
    diary = Diary(clock, waits_us=400_000)

    assert [0, 400_000, 800_000] == await follow(diary, clock, us=SECOND_US)


async def test_a_wait_has_a_ceiling(clock: VirtualClock) -> None:
    diary = Diary(clock, waits_us=100 * SLEEP_MAX_US)

    assert [0, SLEEP_MAX_US] == await follow(diary, clock, us=SLEEP_MAX_US + 1)


async def test_a_wake_ends_the_wait(clock: VirtualClock) -> None:
    diary = Diary(clock)
    asyncio.get_running_loop().call_later(0.3, diary.wake)

    assert [0, 300_000] == await follow(diary, clock, us=SECOND_US)


async def test_a_wake_runs_nothing_by_itself(clock: VirtualClock) -> None:
    diary = Diary(clock)

    diary.wake()

    assert [] == diary.at_us


async def test_a_wake_during_a_tick_is_not_lost(clock: VirtualClock) -> None:
    diary = Diary(clock)

    async def turn() -> int:
        if len(diary.at_us) == 1:
            diary.wake()
            await clock.sleep(10_000)
        return SECOND_US

    diary.turn = turn

    assert [0, 10_000] == await follow(diary, clock, us=SECOND_US - 1)


async def test_a_wake_before_the_start_costs_no_second_tick(clock: VirtualClock) -> None:
    diary = Diary(clock)
    diary.wake()

    assert [0] == await follow(diary, clock, us=SECOND_US - 1)


async def test_many_wakes_make_one_tick(clock: VirtualClock) -> None:
    diary = Diary(clock)
    for _ in range(5):
        asyncio.get_running_loop().call_later(0.3, diary.wake)

    assert [0, 300_000] == await follow(diary, clock, us=SECOND_US)


async def test_an_error_is_told_and_the_next_wait_is_longer_each_time(clock: VirtualClock) -> None:
    diary = Diary(clock)
    diary.errors = [ValueError(str(number)) for number in range(3)]

    at_us = await follow(diary, clock, us=SECOND_US)

    assert [0, 100_000, 300_000, 700_000] == at_us
    told = [(event.loop, str(event.error), event.failures) for event in diary.failures()]
    assert [("diary", "0", 1), ("diary", "1", 2), ("diary", "2", 3)] == told
    assert [100_000, 200_000, 400_000] == [event.wait_us for event in diary.failures()]


async def test_the_wait_after_errors_has_a_ceiling(clock: VirtualClock) -> None:
    diary = Diary(clock)
    diary.errors = [ValueError()] * 40

    await follow(diary, clock, us=300 * SECOND_US)

    assert FAILURE_LAST_US == diary.failures()[-1].wait_us
    assert 30 < len(diary.failures())


async def test_one_good_tick_makes_up_for_all_errors(clock: VirtualClock) -> None:
    diary = Diary(clock, waits_us=50_000)
    diary.errors = [ValueError(), ValueError()]

    await follow(diary, clock, us=310_000)
    diary.errors = [ValueError()]
    diary._is_stopping = False
    await follow(diary, clock, us=10_000)

    assert [1, 2, 1] == [event.failures for event in diary.failures()]


async def test_a_wake_does_not_hurry_a_loop_that_fails(clock: VirtualClock) -> None:
    diary = Diary(clock)
    diary.errors = [ValueError()]
    loop = asyncio.get_running_loop()
    loop.call_later(0.01, diary.wake)

    assert [0, FAILURE_FIRST_US] == await follow(diary, clock, us=FAILURE_FIRST_US + 1)


async def test_a_wake_during_a_tick_that_fails_does_not_hurry_it(clock: VirtualClock) -> None:
    diary = Diary(clock)

    async def turn() -> int:
        diary.wake()
        raise ValueError

    diary.turn = turn

    assert [0, FAILURE_FIRST_US] == await follow(diary, clock, us=FAILURE_FIRST_US + 1)


async def test_stop_ends_a_wait(clock: VirtualClock) -> None:
    diary = Diary(clock)

    await follow(diary, clock, us=10_000)

    assert 10_000 == clock.monotonic_us()


async def test_stop_ends_the_wait_of_a_loop_that_fails(clock: VirtualClock) -> None:
    diary = Diary(clock)
    diary.errors = [ValueError()]

    await follow(diary, clock, us=10_000)

    assert 10_000 == clock.monotonic_us()


async def test_stop_lets_the_present_tick_come_to_its_end(clock: VirtualClock) -> None:
    diary = Diary(clock)
    ended: list[int] = []

    async def turn() -> int:
        await clock.sleep(500_000)
        ended.append(clock.monotonic_us())
        return 0

    diary.turn = turn
    await follow(diary, clock, us=10_000)

    assert ([0], [500_000]) == (diary.at_us, ended)


async def test_a_loop_that_was_stopped_before_its_start_does_nothing(clock: VirtualClock) -> None:
    diary = Diary(clock)
    diary.stop()

    await diary.run()

    assert [] == diary.at_us


async def test_cancelling_ends_a_loop_in_its_wait_and_in_its_tick(clock: VirtualClock) -> None:
    waiting, ticking = Diary(clock), Diary(clock)
    ticking.turn = lambda: clock.sleep(SECOND_US)  # type: ignore[assignment] # never ends
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(diary.run()) for diary in (waiting, ticking)]
    await settle_down()

    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert [asyncio.CancelledError] * 2 == [type(end) for end in ended]


async def test_a_cancellation_that_is_not_its_own_does_not_end_a_loop(clock: VirtualClock) -> None:
    """A future that someone else cancelled would have ended the settler without a word."""
    diary = Diary(clock)
    diary.errors = [asyncio.CancelledError()]

    at_us = await follow(diary, clock, us=FAILURE_FIRST_US + 1)

    assert [0, FAILURE_FIRST_US] == at_us
    assert [asyncio.CancelledError] == [type(event.error) for event in diary.failures()]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_process_ends_a_loop(
    clock: VirtualClock, error: type[BaseException]
) -> None:
    diary = Diary(clock)
    diary.errors = [error()]

    with pytest.raises(error):
        await diary.run()

    assert [] == diary.events


async def test_a_wake_can_be_wished_for_later(clock: VirtualClock) -> None:
    diary = Diary(clock)
    diary.wake_in(300_000)

    assert [0, 300_000] == await follow(diary, clock, us=SECOND_US)


async def test_the_earliest_wish_counts(clock: VirtualClock) -> None:
    diary = Diary(clock)
    for us in (500_000, 300_000, 700_000):
        diary.wake_in(us)

    assert [0, 300_000] == await follow(diary, clock, us=SECOND_US)


async def test_a_wish_that_was_granted_does_not_stand_in_the_way_of_the_next(
    clock: VirtualClock,
) -> None:
    diary = Diary(clock, waits_us=10 * SECOND_US)
    loop = asyncio.get_running_loop()
    diary.wake_in(300_000)
    loop.call_later(0.5, diary.wake_in, 100_000)

    assert [0, 300_000, 600_000] == await follow(diary, clock, us=SECOND_US)
