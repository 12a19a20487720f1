"""What an attempt comes to, whatever a handler does; and what a handler finds around it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tenure.kernel.errors import InvalidError, LimitError
from tenure.kernel.model import Attempt, ErrorReport, Task
from tenure.kernel.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Waiting,
)
from tenure.kernel.retry import Fixed, RetryPolicy
from tenure.kernel.states import Event, State
from tenure.observe.events import KindUnknown
from tenure.sdk.context import TaskContext, context
from tenure.sdk.retrying import GiveUp, RetryLater
from tests.engine.rig import Parts, Rig
from tests.engine.virtual import settle_down
from tests.store.builders import a_task
from tests.store.drivers import SECOND_US

Handler = Callable[..., Coroutine[Any, Any, Any]]

WAIT_US = 7 * SECOND_US
POLICY = RetryPolicy(attempts_max=3, backoff=Fixed(delay_us=WAIT_US))


async def perform(rig: Rig, handler: Handler, *args: Any, **fields: Any) -> tuple[Task, Parts]:
    """Run one attempt of a handler to its end; return the task as it is then."""
    kind = rig.registry.task(name="work", retry=POLICY)(handler)
    await rig.enqueue(kind, *args, **fields)
    parts = rig.parts()
    await parts.claimer.tick()
    await parts.write()
    return await rig.task(), parts


async def last_attempt(rig: Rig) -> Attempt:
    return (await rig.attempts())[-1]


def raising(error: BaseException) -> Handler:
    async def work() -> None:
        raise error

    return work


def returning(value: object) -> Handler:
    async def work() -> Any:
        return value

    return work


class OddError(Exception):
    """An error that cannot even say what it is."""

    def __str__(self) -> str:
        raise ValueError("no text")


async def test_a_value_becomes_the_result(rig: Rig) -> None:
    task, _ = await perform(rig, returning({"sum": 3}))

    assert (State.COMPLETED, b'{"sum":3}') == (task.state, task.result)


async def test_a_result_too_large_for_its_row_is_kept_aside(rig: Rig) -> None:
    rig.set(limits={"inline_bytes_max": 10})

    task, _ = await perform(rig, returning("x" * 100))

    assert (State.COMPLETED, b'"' + b"x" * 100 + b'"') == (task.state, task.result)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyboardInterrupt("no"),
        SystemExit("no"),
        GeneratorExit("no"),
        StopAsyncIteration("no"),
        asyncio.CancelledError("no"),
        TimeoutError("no"),
        ExceptionGroup("no", [ValueError()]),
        BaseException("no"),
        OddError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_handler_raises_fails_its_attempt_and_not_the_worker(
    rig: Rig, error: BaseException
) -> None:
    task, parts = await perform(rig, raising(error))

    assert (State.PENDING, 1) == (task.state, task.attempt)
    told = (await last_attempt(rig)).error
    assert told is not None
    assert type(error).__name__ == told.type.rpartition(".")[2]
    assert "raise error" in told.traceback
    assert 0 == len(parts.running)


async def test_stop_iteration_out_of_a_coroutine_is_an_error_like_others(rig: Rig) -> None:
    task, _ = await perform(rig, raising(StopIteration("no")))

    told = (await last_attempt(rig)).error
    assert told is not None
    assert (State.PENDING, "RuntimeError") == (task.state, told.type)


async def test_a_retry_is_due_after_the_policys_wait(rig: Rig) -> None:
    task, _ = await perform(rig, raising(ValueError()))

    assert rig.clock.now_us() + WAIT_US == task.run_at_us


async def test_the_last_attempt_fails_for_good(rig: Rig) -> None:
    task, _ = await perform(rig, raising(ValueError("no")), attempts_max=1)

    assert (State.FAILED, "ValueError") == (task.state, task.cause)


async def test_an_error_that_the_policy_does_not_allow_fails_for_good(rig: Rig) -> None:
    picky = RetryPolicy(attempts_max=3, never_on=(LookupError,))

    @rig.registry.task(retry=picky)
    async def work() -> None:
        raise KeyError("no")

    await rig.enqueue(work)
    parts = rig.parts()
    await parts.claimer.tick()
    await parts.write()

    assert State.FAILED is (await rig.task()).state


async def test_retry_later_waits_as_long_as_it_says(rig: Rig) -> None:
    task, _ = await perform(rig, raising(RetryLater("busy", after=90)))

    assert (State.PENDING, 1) == (task.state, task.attempt)
    assert rig.clock.now_us() + 90 * SECOND_US == task.run_at_us


async def test_give_up_fails_for_good(rig: Rig) -> None:
    task, _ = await perform(rig, raising(GiveUp("never")))

    assert (State.FAILED, 1) == (task.state, task.attempt)


@pytest.mark.parametrize(
    ("outcome", "state", "attempt", "event"),
    [
        (Completed(result=b"1"), State.COMPLETED, 1, Event.COMPLETE),
        (Failed(error=ErrorReport(type="t", message="m")), State.PENDING, 1, Event.RETRY),
        (
            Failed(error=ErrorReport(type="t", message="m"), retryable=False),
            State.FAILED,
            1,
            Event.FAIL,
        ),
        (Snoozed(delay_us=WAIT_US), State.PENDING, 0, Event.SNOOZE),
        (Waiting(on="payment"), State.WAITING, 0, Event.WAIT),
        (Cancelled(reason="no use"), State.CANCELLED, 1, Event.CANCEL),
        (Released(), State.PENDING, 0, Event.RELEASE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Outcome) else "",
)
async def test_a_handler_may_return_what_its_attempt_came_to(
    rig: Rig, outcome: Outcome, state: State, attempt: int, event: Event
) -> None:
    task, _ = await perform(rig, returning(outcome))

    assert (state, attempt) == (task.state, task.attempt)
    assert event is (await last_attempt(rig)).event


@pytest.mark.parametrize(
    "outcome",
    [
        Snoozed(delay_us=-1),
        Snoozed(delay_us=2**70),
        Snoozed(delay_us="soon"),  # type: ignore[arg-type] # what untyped code can return
        Waiting(on=""),
        Waiting(on=None),  # type: ignore[arg-type] # what untyped code can return
        Completed(result="text"),  # type: ignore[arg-type] # what untyped code can return
        Failed(error="text"),  # type: ignore[arg-type] # what untyped code can return
        Cancelled(reason=3),  # type: ignore[arg-type] # what untyped code can return
    ],
    ids=str,
)
async def test_an_outcome_that_cannot_be_fails_for_good(rig: Rig, outcome: Outcome) -> None:
    """Any of these once stopped the worker: it could be neither decided nor written."""
    task, parts = await perform(rig, returning(outcome))

    assert State.FAILED is task.state
    assert 0 == len(parts.running)


async def test_a_reason_that_is_no_text_for_a_database_is_written_in_escapes(rig: Rig) -> None:
    task, _ = await perform(rig, returning(Cancelled(reason="as \udcff said")))

    assert (State.CANCELLED, "as \\udcff said") == (task.state, task.cause)


async def test_a_result_over_the_bound_fails_for_good_and_says_what_to_do(rig: Rig) -> None:
    rig.set(limits={"result_bytes_max": 1024})

    task, _ = await perform(rig, returning("x" * 2000))

    told = (await last_attempt(rig)).error
    assert told is not None
    assert State.FAILED is task.state
    assert "2,002 bytes; at most 1,024" in told.message
    assert "limits.result_bytes_max" in told.message


async def test_an_outcomes_result_has_the_same_bound(rig: Rig) -> None:
    rig.set(limits={"result_bytes_max": 1024})

    task, _ = await perform(rig, returning(Completed(result=b"x" * 2000)))

    assert (State.FAILED, f"{LimitError.__module__}.LimitError") == (task.state, task.cause)


async def test_a_result_that_is_no_json_fails_for_good(rig: Rig) -> None:
    task, _ = await perform(rig, returning(object()))

    assert (State.FAILED, f"{InvalidError.__module__}.InvalidError") == (task.state, task.cause)


async def test_a_payload_that_does_not_fit_fails_for_good_and_does_not_begin(rig: Rig) -> None:
    begun: list[int] = []

    async def work(number: int) -> None:
        begun.append(number)

    task, _ = await perform(rig, work, 1, payload=b'{"number":"one"}')

    assert (State.FAILED, []) == (task.state, begun)
    told = (await last_attempt(rig)).error
    assert told is not None
    assert "does not fit the signature of 'work'" in told.message


async def test_a_task_of_an_unknown_kind_is_put_back_with_its_attempt(rig: Rig) -> None:
    rig.set(claimer={"unknown_kind_us": WAIT_US})
    await rig.insert(a_task(kind="nobody's"))
    parts = rig.parts()

    await parts.claimer.tick()
    await parts.write()

    task = await rig.task()
    assert (State.PENDING, 0) == (task.state, task.attempt)
    assert rig.clock.now_us() + WAIT_US == task.run_at_us
    assert [KindUnknown(kind="nobody's", queue="default", delay_us=WAIT_US)] == rig.told(
        KindUnknown
    )


async def test_a_handler_knows_its_attempt(rig: Rig) -> None:
    seen: list[tuple[object, ...]] = []

    async def work() -> None:
        here = context()
        seen.append((here.task_id, here.kind, here.attempt, here.attempts_max, here.queue))
        seen.append((here.is_last_attempt, here.cancel_asked, here.tags, here.deadline))

    await perform(rig, work, tags=("red",))

    assert [("task-1", "work", 1, 3, "default"), (False, False, ("red",), None)] == seen


async def test_what_a_handler_sets_in_its_context_is_gone_in_the_next_attempt(rig: Rig) -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="clean")
    seen: list[str] = []

    @rig.registry.task
    async def work(waits: bool) -> None:
        seen.append(mark.get())
        mark.set("dirty")
        if waits:
            await rig.clock.sleep(1)
            seen.append(mark.get())

    for number, waits in enumerate((False, True, False)):
        await rig.enqueue(work, waits, id=f"task-{number}")
    parts = rig.parts()
    await parts.claimer.tick()
    await rig.clock.sleep(10)

    assert ["clean"] * 3 + ["dirty"] == seen
    assert "clean" == mark.get()


async def test_each_of_many_attempts_sees_its_own_context_after_every_wait(rig: Rig) -> None:
    seen: dict[str, set[TaskContext]] = {}

    @rig.registry.task
    async def work() -> None:
        name = context().task_id
        for _ in range(3):
            await rig.clock.sleep(100)
            seen.setdefault(name, set()).add(context())
            assert name == context().task_id

    await rig.enqueue_many(work, 10)
    parts = rig.parts()
    await parts.claimer.tick()
    await rig.clock.sleep(1_000)
    await parts.write()

    assert [1] * 10 == [len(contexts) for contexts in seen.values()]
    assert State.COMPLETED is (await rig.task()).state


async def fail_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(raising(ValueError())())
        await asyncio.get_running_loop().create_future()


async def test_asyncios_own_tools_work_inside_a_handler(rig: Rig) -> None:
    async def work() -> list[object]:
        loop = asyncio.get_running_loop()
        me = asyncio.current_task()
        found: list[object] = [me is not None]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await loop.create_future()
        with pytest.raises(ExceptionGroup):
            await fail_in_a_group()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.create_future(), 0.001)
        assert me is asyncio.current_task()
        assert me is not None
        found.append(me.cancelling())
        return found

    kind = rig.registry.task(work)
    await rig.enqueue(kind)
    parts = rig.parts()
    await parts.claimer.tick()
    await rig.clock.sleep(SECOND_US)
    await parts.write()

    assert b"[true,0]" == (await rig.task()).result


async def test_progress_is_kept_for_the_renewer_and_the_last_word_counts(rig: Rig) -> None:
    async def work() -> None:
        context().progress(0.2)
        context().progress(0.4, text="half")
        await rig.clock.sleep(SECOND_US)

    kind = rig.registry.task(work)
    await rig.enqueue(kind)

    run = await rig.parts().start()

    assert b'{"fraction":0.4,"text":"half"}' == run.said


async def test_the_last_word_on_progress_is_written_with_the_outcome(rig: Rig) -> None:
    """A task that ended within a second of its last word kept the word before it."""

    async def work() -> None:
        context().progress(1, text="done")

    task, _ = await perform(rig, work)

    assert (State.COMPLETED, b'{"fraction":1,"text":"done"}') == (task.state, task.progress)


async def test_an_outcome_is_written_for_every_claim_that_was_started(rig: Rig) -> None:
    async def work() -> None:
        await settle_down(1)

    kind = rig.registry.task(work)
    rig.set(worker={"slots": 3})
    await rig.enqueue_many(kind, 10)
    parts = rig.parts()
    parts.executor.start(await rig.claim(), lease_ends_us=10**12)
    await settle_down(30)
    await parts.write()

    ended = [(await rig.task(f"task-{number}")).state for number in range(1, 11)]
    assert [State.COMPLETED] * 10 == ended
