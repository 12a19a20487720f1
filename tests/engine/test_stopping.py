"""Runs that are stopped from outside, and handlers that do not like it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tenure.engine.executor import TIDY_LEAST_US
from tenure.engine.running import Run, Stop
from tenure.kernel.errors import LeaseLostError
from tenure.kernel.model import ErrorReport, Task
from tenure.kernel.outcome import Cancelled
from tenure.kernel.retry import Fixed, RetryPolicy
from tenure.kernel.states import Event, State
from tenure.sdk.context import TaskContext, context
from tenure.sdk.retrying import GiveUp, RetryLater
from tests.engine.rig import Parts, Rig
from tests.engine.virtual import settle_down
from tests.store.drivers import SECOND_US

POLICY = RetryPolicy(attempts_max=3, backoff=Fixed(delay_us=SECOND_US))
Handler = Callable[..., Coroutine[Any, Any, Any]]


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def begin(rig: Rig, handler: Handler, **options: Any) -> tuple[Parts, Run]:
    """Start a handler that waits; return its run."""
    kind = rig.registry.task(name="work", retry=POLICY, **options)(handler)
    await rig.enqueue(kind)
    parts = rig.parts()
    return parts, await parts.start()


async def error_of(rig: Rig) -> ErrorReport:
    error = (await rig.attempts())[-1].error
    assert error is not None
    return error


async def outcome_of(rig: Rig, parts: Parts) -> Task:
    await parts.write()
    assert 0 == len(parts.running)
    return await rig.task()


async def test_a_timeout_cancels_the_handler_and_fails_the_attempt(rig: Rig) -> None:
    parts, _ = await begin(rig, for_ever, timeout=5)

    await rig.clock.sleep(5 * SECOND_US)
    task = await outcome_of(rig, parts)

    error = await error_of(rig)
    assert (State.PENDING, "timeout") == (task.state, error.type)
    assert "the attempt did not end within 5 s" == error.message


async def test_a_timeout_does_not_hit_a_handler_that_ended_before(rig: Rig) -> None:
    async def work() -> None:
        await rig.clock.sleep(5 * SECOND_US - 1)

    parts, _ = await begin(rig, work, timeout=5)

    await rig.clock.sleep(10 * SECOND_US)

    assert State.COMPLETED is (await outcome_of(rig, parts)).state


async def test_a_handler_that_is_silent_for_too_long_is_stopped(rig: Rig) -> None:
    parts, _ = await begin(rig, for_ever, heartbeat=3)

    await rig.clock.sleep(3 * SECOND_US)
    task = await outcome_of(rig, parts)

    assert (State.PENDING, "heartbeat") == (task.state, (await error_of(rig)).type)


async def test_each_sign_of_life_counts_from_its_own_time(rig: Rig) -> None:
    async def work() -> None:
        for sign in (context().heartbeat, lambda: context().progress(0.5)):
            await rig.clock.sleep(2 * SECOND_US)
            sign()
        await for_ever()

    _, run = await begin(rig, work, heartbeat=3)

    await rig.clock.sleep(7 * SECOND_US - 1)
    before = run.stop
    await rig.clock.sleep(2)

    assert (None, Stop.SILENT) == (before, run.stop)


async def test_a_handler_that_beats_for_days_leaves_no_timers_behind(rig: Rig) -> None:
    async def work() -> None:
        for _ in range(500):
            await rig.clock.sleep(SECOND_US)
            context().heartbeat()
        await for_ever()

    _, run = await begin(rig, work, heartbeat=3)

    await rig.clock.sleep(500 * SECOND_US)

    assert len(run.timers) < 5


async def test_a_wish_to_cancel_is_seen_by_the_handler_which_may_end_tidily(rig: Rig) -> None:
    async def work() -> Cancelled:
        while not context().cancel_asked:
            await rig.clock.sleep(SECOND_US)
        return Cancelled(reason="tidied up")

    parts, run = await begin(rig, work)

    parts.executor.ask_to_cancel(run)
    await rig.clock.sleep(2 * SECOND_US)

    task = await outcome_of(rig, parts)
    assert (State.CANCELLED, "tidied up") == (task.state, task.cause)


async def test_a_handler_that_does_not_heed_the_wish_is_cut_short_after_the_grace(rig: Rig) -> None:
    rig.set(worker={"cancel_grace_us": 4 * SECOND_US})
    parts, run = await begin(rig, for_ever)

    parts.executor.ask_to_cancel(run)
    await rig.clock.sleep(4 * SECOND_US - 1)
    before = run.stop
    await rig.clock.sleep(2)

    assert (None, Stop.CANCEL) == (before, run.stop)
    assert State.CANCELLED is (await outcome_of(rig, parts)).state


async def test_asking_again_does_not_lengthen_the_grace(rig: Rig) -> None:
    rig.set(worker={"cancel_grace_us": 4 * SECOND_US})
    parts, run = await begin(rig, for_ever)
    parts.executor.ask_to_cancel(run)

    await rig.clock.sleep(3 * SECOND_US)
    parts.executor.ask_to_cancel(run)
    await rig.clock.sleep(SECOND_US)

    assert State.CANCELLED is (await outcome_of(rig, parts)).state


async def test_a_task_that_has_not_begun_is_cancelled_at_once(rig: Rig) -> None:
    rig.set(worker={"slots": 1})
    kind = rig.registry.task(for_ever)
    await rig.enqueue_many(kind, 2)
    parts = rig.parts()
    parts.executor.start(await rig.claim(), lease_ends_us=10**12)
    await settle_down()
    waiting = next(run for run in parts.running if not run.has_slot)

    parts.executor.ask_to_cancel(waiting)
    await parts.write()

    assert State.CANCELLED is (await rig.task(waiting.claim.id)).state


async def test_a_lost_lease_stops_the_run_and_nothing_is_written(rig: Rig) -> None:
    parts, run = await begin(rig, for_ever)

    parts.executor.stop(run, Stop.LOST)
    await settle_down()

    assert (0, True) == (len(parts.running), parts.settler.is_empty)
    assert [] == await rig.attempts()
    assert 100 == parts.executor.slots.promise(1_000) - parts.executor.slots._pace.ahead()


async def test_a_lease_lost_before_the_start_means_that_the_handler_never_runs(rig: Rig) -> None:
    begun: list[str] = []

    async def work() -> None:
        begun.append(context().task_id)
        await for_ever()

    rig.set(worker={"slots": 1})
    await rig.enqueue_many(rig.registry.task(work), 2)
    parts = rig.parts()
    parts.executor.start(await rig.claim(), lease_ends_us=10**12)
    await settle_down()
    first, second = parts.runs

    parts.executor.stop(second, Stop.LOST)
    parts.executor.stop(first, Stop.DRAIN)
    await parts.write()

    assert ["task-1"] == begun


async def test_a_handler_whose_lease_is_lost_is_told_when_it_beats(rig: Rig) -> None:
    told: list[str] = []

    async def work() -> None:
        here: TaskContext = context()
        try:
            await for_ever()
        finally:
            with pytest.raises(LeaseLostError, match="was taken back"):
                here.heartbeat()
            told.append(here.task_id)

    parts, run = await begin(rig, work)

    parts.executor.stop(run, Stop.LOST)
    await settle_down()

    assert ["task-1"] == told


async def test_a_drained_run_gives_its_attempt_back(rig: Rig) -> None:
    parts, run = await begin(rig, for_ever)

    parts.executor.stop(run, Stop.DRAIN)
    task = await outcome_of(rig, parts)

    assert (State.PENDING, 0) == (task.state, task.attempt)
    assert [Event.RELEASE] == [attempt.event for attempt in await rig.attempts()]


async def test_what_has_not_begun_is_released_and_what_runs_goes_on(rig: Rig) -> None:
    rig.set(worker={"slots": 2})
    await rig.enqueue_many(rig.registry.task(for_ever), 5)
    parts = rig.parts()
    parts.executor.start(await rig.claim(), lease_ends_us=10**12)
    await settle_down()

    released = parts.executor.release_waiting()
    await parts.write()

    assert 3 == released
    assert ["task-1", "task-2"] == [run.claim.id for run in parts.running]
    assert [State.PENDING] * 3 == [(await rig.task(f"task-{n}")).state for n in (3, 4, 5)]


@pytest.mark.parametrize(
    ("why", "state"),
    [(Stop.DRAIN, State.PENDING), (Stop.CANCEL, State.CANCELLED), (Stop.TIMEOUT, State.PENDING)],
)
async def test_what_a_handler_raises_when_it_is_cut_short_is_not_why_it_ended(
    rig: Rig, why: Stop, state: State
) -> None:
    """A driver that turns a cancellation into its own error cost an attempt at every shutdown."""

    async def work() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError as error:
            raise ConnectionError("the query was cancelled") from error

    parts, run = await begin(rig, work)

    parts.executor.stop(run, why)
    task = await outcome_of(rig, parts)

    assert state is task.state
    assert "ConnectionError" not in str((await rig.attempts())[-1].error)


async def test_what_a_handler_says_expressly_when_it_is_cut_short_counts(rig: Rig) -> None:
    async def work() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            raise GiveUp("it will never be faster") from None

    parts, _ = await begin(rig, work, timeout=1)

    await rig.clock.sleep(SECOND_US)
    task = await outcome_of(rig, parts)

    assert (State.FAILED, "it will never be faster") == (task.state, (await error_of(rig)).message)


async def test_retry_later_out_of_a_timeout_is_heeded(rig: Rig) -> None:
    async def work() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            raise RetryLater("busy", after=77) from None

    parts, _ = await begin(rig, work, timeout=1)

    await rig.clock.sleep(SECOND_US)
    task = await outcome_of(rig, parts)

    assert rig.clock.now_us() + 77 * SECOND_US == task.run_at_us


async def test_a_handler_that_swallows_its_cancellation_and_returns_has_its_result(
    rig: Rig,
) -> None:
    async def work() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await for_ever()
        return "late"

    parts, _ = await begin(rig, work, timeout=1)

    await rig.clock.sleep(SECOND_US)
    task = await outcome_of(rig, parts)

    assert (State.COMPLETED, b'"late"') == (task.state, task.result)


async def test_a_handler_may_tidy_up_for_as_long_as_the_grace(rig: Rig) -> None:
    tidied: list[int] = []

    async def work() -> None:
        try:
            await for_ever()
        finally:
            await rig.clock.sleep(3 * SECOND_US)
            tidied.append(rig.clock.monotonic_us())

    rig.set(worker={"cancel_grace_us": 4 * SECOND_US})
    parts, _ = await begin(rig, work, timeout=1)

    await rig.clock.sleep(4 * SECOND_US)
    task = await outcome_of(rig, parts)

    assert ([4 * SECOND_US], State.PENDING) == (tidied, task.state)


async def swallow_everything() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await for_ever()


async def ignore_even_the_end() -> None:
    while True:
        try:
            await for_ever()
        except BaseException:  # noqa: BLE001 - what must not stop a worker from stopping
            continue


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("handler", [swallow_everything, ignore_even_the_end])
async def test_a_handler_that_never_ends_is_taken_away_after_the_grace(
    rig: Rig, handler: Handler
) -> None:
    """It held its slot for ever, and the worker could not be stopped."""
    rig.set(worker={"cancel_grace_us": 4 * SECOND_US, "slots": 1})
    parts, _ = await begin(rig, handler, timeout=1)

    await rig.clock.sleep(5 * SECOND_US - 1)
    held = parts.executor.slots.has_room(1)
    await rig.clock.sleep(2)
    task = await outcome_of(rig, parts)

    assert (False, True) == (held, parts.executor.slots.has_room(1))
    assert (State.PENDING, "timeout") == (task.state, (await error_of(rig)).type)


async def test_without_a_grace_a_handler_still_has_a_moment_to_tidy_up(rig: Rig) -> None:
    tidied: list[bool] = []

    async def work() -> None:
        try:
            await for_ever()
        finally:
            await rig.clock.sleep(TIDY_LEAST_US - 1)
            tidied.append(True)

    rig.set(worker={"cancel_grace_us": 0})
    parts, run = await begin(rig, work)

    parts.executor.ask_to_cancel(run)
    await rig.clock.sleep(2 * TIDY_LEAST_US)

    assert ([True], State.CANCELLED) == (tidied, (await outcome_of(rig, parts)).state)


async def test_a_lease_lost_after_another_stop_keeps_its_outcome_from_being_written(
    rig: Rig,
) -> None:
    """The loss was not noted, told again every second, and the outcome sent in vain."""
    parts, run = await begin(rig, swallow_everything, timeout=1)
    await rig.clock.sleep(SECOND_US)

    parts.executor.stop(run, Stop.LOST)
    await rig.clock.sleep(rig.settings.worker.cancel_grace_us)
    await settle_down()

    assert (0, True) == (len(parts.running), parts.settler.is_empty)


async def test_the_first_reason_counts(rig: Rig) -> None:
    parts, run = await begin(rig, for_ever)

    parts.executor.stop(run, Stop.CANCEL)
    parts.executor.stop(run, Stop.TIMEOUT)

    assert State.CANCELLED is (await outcome_of(rig, parts)).state


async def test_a_run_that_is_being_settled_is_not_stopped_any_more(rig: Rig) -> None:
    async def work() -> str:
        return "done"

    kind = rig.registry.task(work)
    await rig.enqueue(kind)
    parts = rig.parts()
    run = await parts.start()

    parts.executor.stop(run, Stop.CANCEL)

    assert State.COMPLETED is (await outcome_of(rig, parts)).state


async def test_closing_leaves_no_runner_behind(rig: Rig) -> None:
    parts, _ = await begin(rig, swallow_everything)

    await parts.executor.close()

    assert (set(), 0) == (parts.executor._runners._tasks, len(parts.running))
