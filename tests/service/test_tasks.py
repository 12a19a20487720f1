"""Requests about tasks, played step by step where the order of events matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tenure.kernel.errors import (
    DuplicateError,
    InvalidError,
    LimitError,
    NotFoundError,
    StoreBusyError,
    TaskFailedError,
    WaitTimeoutError,
)
from tenure.kernel.model import NewTask, TaskId
from tenure.kernel.ports import Verb
from tenure.kernel.states import State
from tenure.service import tasks
from tenure.service.bulk import enqueue_groups
from tenure.service.clockwork import SystemClock
from tenure.service.program import Now, Pause, Program, run_sync
from tenure.settings import Settings
from tenure.store.bulk import TaskGroup, insert_groups
from tenure.store.open import open_sync
from tests.store.builders import a_task

SETTINGS = Settings()


class Play:
    """A program fed by hand: each verb with the next answer, time with the pauses asked for."""

    def __init__(self, program: Program[Any], *answers: object) -> None:
        self.verbs: list[str] = []
        self.pauses: list[int] = []
        self.value: object = None
        self._answers = list(answers)
        self._run(program)

    def _run(self, program: Program[Any]) -> None:
        answer: object = None
        try:
            while True:
                step = program.send(answer)
                answer = self._answer(step)
        except StopIteration as stop:
            self.value = stop.value

    def _answer(self, step: Verb[Any] | Pause | Now) -> object:
        match step:
            case Now():
                return sum(self.pauses)
            case Pause():
                self.pauses.append(step.us)
                return None
            case _:
                self.verbs.append(step.name)
                return self._answers.pop(0)


class Ended:
    """As much of a task as waiting looks at."""

    def __init__(self, state: State, result: bytes | None = None) -> None:
        self.id = TaskId("t")
        self.kind = "mail"
        self.state = state
        self.result = result
        self.cause = "reason"
        self.attempt = 1


PENDING = Ended(State.PENDING)


def test_a_task_is_stored_with_one_verb() -> None:
    play = Play(tasks.enqueue(a_task(id=TaskId("a")), SETTINGS, return_existing=False), True)

    assert (play.value, play.verbs) == ("a", ["insert"])


def test_a_large_payload_goes_aside() -> None:
    large = a_task(id=TaskId("a"), payload=b"x" * 5_000)

    play = Play(tasks.enqueue(large, SETTINGS, return_existing=False), True)

    assert play.verbs == ["insert_with_bodies"]


def test_a_key_whose_holder_ended_between_two_looks_is_tried_again() -> None:
    task = a_task(id=TaskId("a"), unique_key="k")

    play = Play(tasks.enqueue(task, SETTINGS, return_existing=False), False, None, True)

    assert (play.value, play.verbs) == ("a", ["insert", "taken_by", "insert"])


def test_ones_own_id_means_that_an_earlier_try_was_written() -> None:
    task = a_task(id=TaskId("a"), unique_key="k")

    play = Play(tasks.enqueue(task, SETTINGS, return_existing=False), False, "a")

    assert play.value == "a"


def test_a_holder_is_returned_or_an_error_as_asked() -> None:
    task = a_task(id=TaskId("a"), unique_key="k")

    assert Play(tasks.enqueue(task, SETTINGS, return_existing=True), False, "b").value == "b"
    with pytest.raises(DuplicateError, match="task 'b' holds the unique key 'k'") as refused:
        Play(tasks.enqueue(task, SETTINGS, return_existing=False), False, "b")
    assert refused.value.existing_id == "b"


@pytest.mark.parametrize(
    ("task", "field"),
    [
        (a_task(kind=""), "kind"),
        (a_task(queue="a b"), "queue"),
        (a_task(delay_us=-1), "delay"),
        (a_task(run_at_us=-1), "at"),
        (a_task(cost=0), "cost"),
        (a_task(attempts_max=0), "attempts_max"),
        (a_task(timeout_us=0), "timeout"),
        (a_task(unique_key=" k"), "unique"),
        (a_task(tags=("",)), "tags"),
    ],
)
def test_a_task_that_breaks_a_rule_is_never_sent_to_the_store(task: NewTask, field: str) -> None:
    with pytest.raises(InvalidError) as refused:
        Play(tasks.enqueue(task, SETTINGS, return_existing=False))

    assert refused.value.field == field


def test_waiting_looks_less_and_less_often() -> None:
    play = Play(
        tasks.wait("", "t", SETTINGS, timeout_us=None), *[PENDING] * 20, Ended(State.FAILED)
    )

    assert play.verbs == ["get"] * 21
    assert play.pauses[:3] == [2_000, 3_000, 4_500]
    assert play.pauses == sorted(play.pauses)
    assert play.pauses[-1] == 250_000


def test_waiting_ends_at_its_time_with_a_last_look() -> None:
    program = tasks.wait("", "t", SETTINGS, timeout_us=6_000)

    with pytest.raises(WaitTimeoutError, match="task 't' is still pending; it goes on"):
        Play(program, *[PENDING] * 4)


def test_waiting_for_nothing_looks_once() -> None:
    assert Play(tasks.wait("", "t", SETTINGS, timeout_us=0), Ended(State.FAILED)).pauses == []
    with pytest.raises(NotFoundError, match="there is no task 't'"):
        Play(tasks.wait("", "t", SETTINGS, timeout_us=0), None)


def test_no_result_is_null() -> None:
    done = Ended(State.COMPLETED)

    assert Play(tasks.result("", "t", SETTINGS, timeout_us=None), done).value == b"null"


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (State.FAILED, "task 't' of kind 'mail' failed after 1 attempt (reason)"),
        (State.CANCELLED, "task 't' of kind 'mail' was cancelled (reason)"),
    ],
)
def test_a_task_that_ended_without_a_result_says_why(state: State, sentence: str) -> None:
    with pytest.raises(TaskFailedError) as told:
        Play(tasks.result("", "t", SETTINGS, timeout_us=None), Ended(state), [])

    assert str(told.value) == sentence
    assert told.value.state == state.value


# Many at once.

KEYED = TaskGroup(
    like=a_task(id=TaskId("a")),
    ids=[TaskId("a"), TaskId("b")],
    payloads=[b"1", b"2"],
    unique_keys=["k", None],
)


def run(url: str, *programs: Program[Any]) -> list[Any]:
    store = open_sync(replace(SETTINGS, url=url), SystemClock())
    try:
        return [run_sync(program, store, SystemClock()) for program in programs]
    finally:
        store.close()


def test_groups_are_stored_all_or_none(url: str) -> None:
    fresh = replace(
        KEYED, ids=[TaskId("c"), TaskId("d")], unique_keys=None, payloads=[b"3", b"x" * 9_000]
    )
    blocked = replace(KEYED, ids=[TaskId("e"), TaskId("f")])

    stored, _ = run(url, enqueue_groups([KEYED, fresh], SETTINGS), tasks.get("", "d", SETTINGS))
    with pytest.raises(DuplicateError, match="task 'a' holds the unique key 'k'"):
        run(
            url, enqueue_groups([replace(fresh, ids=[TaskId("g"), TaskId("h")]), blocked], SETTINGS)
        )

    assert stored == [["a", "b"], ["c", "d"]]
    (found,) = run(url, tasks.find("", SETTINGS))
    assert {task.id for task in found} == {"a", "b", "c", "d"}


def test_a_batch_whose_answer_was_lost_is_not_stored_twice(url: str) -> None:
    fresh = replace(KEYED, ids=[TaskId("c"), TaskId("d")], unique_keys=None)

    def twice() -> Program[list[Any]]:
        first = yield insert_groups([KEYED, fresh], is_repeat=False, inline_bytes_max=99)
        second = yield insert_groups([KEYED, fresh], is_repeat=True, inline_bytes_max=99)
        return [first, second]

    (answers,) = run(url, twice())

    assert answers[0] == answers[1] == [["a", "b"], ["c", "d"]]


def test_a_busy_batch_is_repeated_with_care() -> None:
    program = enqueue_groups([replace(KEYED, unique_keys=None)], SETTINGS)

    program.send(None)
    first = program.send(0)
    program.throw(StoreBusyError("busy"))
    program.send(0)
    second = program.send(None)

    assert isinstance(first, Verb)
    assert isinstance(second, Verb)
    assert next(first.steps).name == "insert_fresh_tasks"  # type: ignore[union-attr]  # no script
    assert next(second.steps).name == "insert_tasks"  # type: ignore[union-attr]  # no script


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"payloads": [b"", b"x" * 2_000_000]}, LimitError),
        ({"unique_keys": [None, ""]}, InvalidError),
        ({"ids": [TaskId("a"), TaskId("")], "is_fresh": False}, InvalidError),
        ({"like": a_task(queue="")}, InvalidError),
    ],
)
def test_a_group_that_breaks_a_rule_is_never_sent_to_the_store(
    changed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Play(enqueue_groups([replace(KEYED, **changed)], SETTINGS))
