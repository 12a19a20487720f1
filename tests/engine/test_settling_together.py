"""What is settled with a verb of the user's, and what cannot be written as it is.

Neither may be lost, bar the way for others, or be tried for ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest

from tenure.engine.settler import REFUSALS_MAX
from tenure.kernel.errors import ConflictError, StoreBusyError, StoreDownError
from tenure.kernel.model import TaskId
from tenure.kernel.outcome import Completed, Outcome
from tenure.kernel.ports import Steps, Verb, transaction
from tenure.kernel.states import State
from tenure.observe.events import AttemptFailed, AttemptsSettled
from tenure.sdk.context import context
from tenure.store import tasks
from tests.engine.rig import Parts, Rig
from tests.engine.virtual import settle_down
from tests.store.builders import a_task

UNWRITABLE_US = 2**80


@transaction
def follow_up(id: str, error: Exception | None = None) -> Steps[None]:
    """Make another task, and then perhaps find that it must not be."""
    yield from tasks.insert(a_task(id, queue="later"))
    if error is not None:
        raise error


async def end_with(rig: Rig, outcomes: Mapping[str, Outcome]) -> Parts:
    """Return a worker with tasks of these names that came to these outcomes; nothing is written."""

    @rig.registry.task
    async def work() -> Any:
        return outcomes[context().task_id]

    rig.set(settler={"linger_us": 0})
    for name in outcomes:
        await rig.enqueue(work, id=name)
    parts = rig.parts()
    await parts.claimer.tick()
    await settle_down()
    return parts


def with_verb(verb: Verb[None]) -> Completed:
    return Completed(result=b'"done"', also=verb)


async def state(rig: Rig, id: str) -> State | None:
    task = await rig.run(tasks.get("", TaskId(id)))
    return None if task is None else task.state


async def test_the_verb_of_a_settlement_is_written_with_it(rig: Rig) -> None:
    parts = await end_with(rig, {"first": with_verb(follow_up("child"))})

    await parts.settler.tick()

    assert (State.COMPLETED, State.PENDING) == (
        await state(rig, "first"),
        await state(rig, "child"),
    )


async def test_the_verb_is_undone_if_its_settlement_is_not_written(rig: Rig) -> None:
    parts = await end_with(rig, {"first": with_verb(follow_up("child"))})
    await rig.expire()

    await parts.settler.tick()

    assert await state(rig, "child") is None


async def test_a_settlement_with_a_verb_goes_alone_and_in_its_place(rig: Rig) -> None:
    done = Completed()
    verb = with_verb(follow_up("child"))
    parts = await end_with(rig, {"a": done, "b": done, "c": verb, "d": done, "e": done})

    await parts.write()

    assert [2, 1, 2] == [event.count for event in rig.told(AttemptsSettled)]


async def test_a_verb_that_fails_fails_its_attempt_and_no_other(rig: Rig) -> None:
    bad = with_verb(follow_up("child", ConflictError("taken")))
    parts = await end_with(rig, {"before": Completed(), "bad": bad, "after": Completed()})

    await parts.write()

    assert State.COMPLETED is await state(rig, "before")
    assert State.COMPLETED is await state(rig, "after")
    assert (State.PENDING, None) == (await state(rig, "bad"), await state(rig, "child"))
    (attempt,) = await rig.attempts("bad")
    assert attempt.error is not None
    assert ("tenure.kernel.errors.ConflictError", "taken") == (
        attempt.error.type,
        attempt.error.message,
    )
    assert ["bad"] == [event.task_id for event in rig.told(AttemptFailed)]


async def test_a_verb_that_the_store_could_not_do_now_is_tried_again_after_the_others(
    rig: Rig,
) -> None:
    parts = await end_with(rig, {"first": with_verb(follow_up("child")), "second": Completed()})
    rig.store.refuse("settle", StoreBusyError("locked"))

    with pytest.raises(StoreBusyError):
        await parts.settler.tick()
    await parts.settler.tick()
    others_first = await state(rig, "first"), await state(rig, "second")
    await parts.settler.tick()

    assert (State.RUNNING, State.COMPLETED) == others_first
    assert (State.COMPLETED, State.PENDING) == (
        await state(rig, "first"),
        await state(rig, "child"),
    )


async def test_a_verb_that_is_always_refused_becomes_a_failure_in_the_end(rig: Rig) -> None:
    """A verb of the user's that raises what means "try again" was tried for ever."""
    parts = await end_with(rig, {"bad": with_verb(follow_up("child", StoreDownError("never")))})

    for _ in range(REFUSALS_MAX - 1):
        with pytest.raises(StoreDownError):
            await parts.settler.tick()
    await parts.settler.tick()
    await parts.settler.tick()

    assert parts.settler.is_empty
    assert (State.PENDING, None) == (await state(rig, "bad"), await state(rig, "child"))


async def test_refusals_do_not_add_up_once_the_store_has_written_something(rig: Rig) -> None:
    parts = await end_with(rig, {"first": with_verb(follow_up("child")), "second": Completed()})
    rig.store.refuse("settle", StoreBusyError("locked"), times=3)
    for _ in range(3):
        with pytest.raises(StoreBusyError):
            await parts.settler.tick()

    await parts.settler.tick()

    assert 0 == parts.settler._refused.total()


def spoil(parts: Parts, id: str) -> None:
    """Put something no store can keep into what is about to be written of a task.

    The executor lets nothing of the kind through, so it is done past it.
    """
    decided = parts.settler._decided
    for position, (run, settlement) in enumerate(decided):
        if settlement.task_id == id:
            decided[position] = (run, settlement._replace(delay_us=UNWRITABLE_US))
            return
    raise AssertionError(f"nothing was decided of {id}")


async def test_what_cannot_be_written_does_not_bar_the_way_for_others(rig: Rig) -> None:
    """One such outcome once kept all outcomes of a worker from being written, for ever."""
    parts = await end_with(
        rig, {"a": Completed(), "bad": Completed(), "c": Completed(), "d": Completed()}
    )
    spoil(parts, "bad")

    await parts.write()

    assert [State.COMPLETED] * 3 == [await state(rig, id) for id in ("a", "c", "d")]
    (attempt,) = await rig.attempts("bad")
    assert attempt.error is not None
    assert "OverflowError" == attempt.error.type


async def test_after_a_search_outcomes_are_written_together_again(rig: Rig) -> None:
    outcomes: dict[str, Outcome] = {"a": Completed(), "bad": Completed(), "c": Completed()}
    parts = await end_with(rig, outcomes)
    spoil(parts, "bad")
    await parts.write()
    rig.events.clear()

    outcomes |= {"x": Completed(), "y": Completed()}
    await rig.insert(*(a_task(id, kind="work") for id in ("x", "y")))
    await parts.claimer.tick()
    await parts.write()

    assert [2] == [event.count for event in rig.told(AttemptsSettled)]


async def test_what_cannot_be_written_at_all_lets_the_others_pass(rig: Rig) -> None:
    parts = await end_with(rig, {"bad": Completed(), "good": Completed()})

    def refuse_bad(verb: Verb[Any]) -> None:
        if verb.name == "settle" and any(each.task_id == "bad" for each in verb._start.args[0]):  # type: ignore[attr-defined] # a partial
            raise OverflowError("whatever it is")

    rig.store.when_asked = refuse_bad
    for _ in range(6):
        with contextlib.suppress(OverflowError):
            await parts.settler.tick()

    assert (State.RUNNING, State.COMPLETED) == (await state(rig, "bad"), await state(rig, "good"))
    assert 1 == len(parts.running)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("a name that is not UTF-8: \udcff"),
        ValueError("a NUL: \0"),
    ],
    ids=["surrogate", "nul"],
)
async def test_an_error_that_no_text_column_holds_is_written_in_escapes(
    rig: Rig, error: Exception
) -> None:
    @rig.registry.task
    async def work() -> None:
        raise error

    await rig.enqueue(work)
    parts = rig.parts()
    await parts.claimer.tick()
    await parts.write()

    (attempt,) = await rig.attempts()
    assert attempt.error is not None
    assert attempt.error.message.endswith(("\\udcff", "\\x00"))
