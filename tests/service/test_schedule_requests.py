"""What else can be asked about schedules: pause, run, steer, many at once; and calendars."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tenure.kernel.errors import (
    ConflictError,
    InvalidError,
    LimitError,
    NotFoundError,
    StoreBusyError,
)
from tenure.kernel.ports import Verb
from tenure.kernel.schedules.definition import RuleKind
from tenure.kernel.schedules.policies import Overlap
from tenure.service import bulk_schedules, calendars, schedules
from tenure.service.program import Program, run_sync
from tenure.store import schedules as verbs
from tests.service.schedule_play import (
    DAYS,
    SETTINGS,
    StoppableClock,
    T,
    create,
    finish,
    get,
    run,
)
from tests.store.builders import claim_one
from tests.store.drivers import (
    SECOND_US,
    START_US,
    Driver,
)
from tests.store.schedule_builders import (
    a_definition,
    a_template,
    change,
    fire,
    next_s,
    run_id,
    states,
)

# Pause, resume, by hand.


def test_pausing_and_resuming_answer_whether_they_changed_anything(store: Driver) -> None:
    create(store)

    answers = [
        run(store, program("", "s", SETTINGS))
        for program in (schedules.pause, schedules.pause, schedules.resume, schedules.resume)
    ]

    assert [True, False, True, False] == answers


def test_a_missing_schedule_is_named_whatever_is_asked_of_it(store: Driver) -> None:
    programs: list[Program[Any]] = [
        schedules.get("", "s", SETTINGS),
        schedules.pause("", "s", SETTINGS),
        schedules.resume("", "s", SETTINGS),
        schedules.delete("", "s", SETTINGS),
        schedules.run_soon("", "s", SETTINGS),
        schedules.set_next("", "s", START_US, SETTINGS),
        schedules.set_next_in("", "s", 1, SETTINGS),
        schedules.set_carry("", "s", b"", SETTINGS),
    ]

    for program in programs:
        with pytest.raises(NotFoundError, match="there is no schedule 's'"):
            run(store, program)


def test_a_run_by_hand_is_made_at_once(store: Driver) -> None:
    create(store, start_us=START_US + 1)

    task_id = run(store, schedules.run_soon("", "s", SETTINGS, note="by me"))

    (entry,) = run(store, schedules.fires("", "s", SETTINGS))
    (made,) = run(store, schedules.runs("", "s", SETTINGS))
    assert (task_id, task_id, "by me") == (made.id, entry.task_id, entry.note)


def test_a_run_by_hand_is_refused_while_none_may_wait(store: Driver) -> None:
    create(store)
    fire(store)
    store.clock.pass_s(1)

    with pytest.raises(ConflictError, match=f"cannot run now: run {run_id()} was under way"):
        run(store, schedules.run_soon("", "s", SETTINGS))


def test_a_run_by_hand_cancels_the_older_ones_if_the_policy_says_so(store: Driver) -> None:
    create(store, overlap=Overlap.CANCEL_OLD)
    fire(store)
    store.clock.pass_s(1)

    run(store, schedules.run_soon("", "s", SETTINGS))

    assert ["cancelled", "pending"] == states(store)


def test_an_older_run_that_has_ended_meanwhile_is_no_error(store: Driver) -> None:
    create(store, overlap=Overlap.CANCEL_OLD)
    fire(store)
    claim = claim_one(store)
    store.clock.pass_s(1)
    program = schedules.run_soon("", "s", SETTINGS)

    class Late:
        """Lets the older run end just before it is cancelled."""

        def run(self, verb: Verb[T]) -> T:
            if verb.name == "cancel":
                finish(store, claim)
            return store.run(verb)

    run_sync(program, Late(), StoppableClock())

    assert ["completed", "pending"] == states(store)


def test_an_older_run_is_cancelled_though_the_store_is_busy_for_a_moment(store: Driver) -> None:
    create(store, overlap=Overlap.CANCEL_OLD)
    fire(store)
    store.clock.pass_s(1)

    class Busy:
        """Refuses the first cancel."""

        refused = False

        def run(self, verb: Verb[T]) -> T:
            if verb.name == "cancel" and not self.refused:
                self.refused = True
                raise StoreBusyError("not now")
            return store.run(verb)

    run_sync(schedules.run_soon("", "s", SETTINGS), Busy(), StoppableClock())

    assert ["cancelled", "pending"] == states(store)


@pytest.mark.parametrize("at_us", [0, -5, 10**18])
def test_a_next_time_out_of_bounds_is_refused(store: Driver, at_us: int) -> None:
    create(store)

    with pytest.raises(InvalidError, match="at is"):
        run(store, schedules.set_next("", "s", at_us, SETTINGS))


def test_the_next_is_set_to_a_time_or_so_far_from_now(store: Driver) -> None:
    create(store)
    run(store, schedules.set_next("", "s", START_US + 20 * SECOND_US, SETTINGS))
    first = next_s(store)
    store.clock.pass_s(5)
    run(store, schedules.set_next_in("", "s", 3 * SECOND_US, SETTINGS))

    assert (20, 8) == (first, next_s(store))


def test_a_state_that_is_too_large_is_refused(store: Driver) -> None:
    create(store, carry=b"state")

    with pytest.raises(LimitError, match="payload has 2,000,000 bytes"):
        run(store, schedules.set_carry("", "s", b"x" * 2_000_000, SETTINGS))
    run(store, schedules.set_carry("", "s", None, SETTINGS))

    assert None is get(store).carry


def test_a_page_that_is_too_large_is_refused(store: Driver) -> None:
    programs: list[Program[Any]] = [
        schedules.find("", SETTINGS, limit=0),
        schedules.runs("", "s", SETTINGS, limit=0),
        schedules.fires("", "s", SETTINGS, limit=10**6),
        calendars.find("", SETTINGS, limit=0),
    ]

    for program in programs:
        with pytest.raises(InvalidError, match="limit is"):
            run(store, program)


def test_a_plan_is_previewed_without_being_stored(store: Driver) -> None:
    run(store, calendars.put("", "days", DAYS, SETTINGS))
    definition = a_definition("0 9 * * *", rule=RuleKind.CRON, exclude=("days",))

    plan = run(store, schedules.plan_of("", definition, START_US))

    assert 1_700_125_200_000_000 == plan.next_after(START_US)
    assert START_US == plan.definition.start_us
    with pytest.raises(InvalidError, match="no calendar 'unknown'"):
        run(store, schedules.plan_of("", a_definition(exclude=("unknown",)), START_US))


# Many at once.


def test_many_are_paused_with_an_answer_for_each(store: Driver) -> None:
    for id in "ab":
        create(store, id)
    run(store, schedules.pause("", "b", SETTINGS))

    done = run(store, bulk_schedules.pause("", ["a", "b", "c", "a"], SETTINGS))

    assert (["a"], ["b"], [("c", "there is no schedule 'c'")]) == (
        done.changed, done.unchanged, done.refused,
    )  # fmt: skip


@pytest.mark.parametrize(("is_soon", "next_times"), [(True, [0, 20, 40]), (False, [60] * 3)])
def test_many_are_resumed_and_do_not_all_begin_at_once(
    store: Driver, is_soon: bool, next_times: list[int]
) -> None:
    for id in "abc":
        create(store, id, paused=True)
    create(store, "d")

    program = bulk_schedules.resume(
        "", ["a", "b", "d", "c", "e"], SETTINGS, run_soon=is_soon, within_us=60 * SECOND_US
    )
    done = run(store, program)

    assert (["a", "b", "c"], ["d"], ["e"]) == (
        done.changed, done.unchanged, [id for id, _ in done.refused],
    )  # fmt: skip
    assert next_times == [next_s(store, id) for id in "abc"]


def test_one_that_is_deleted_while_many_are_resumed_is_told(store: Driver) -> None:
    for id in "ab":
        create(store, id, paused=True)

    class Deleting:
        """Lets somebody delete a schedule just before it is steered."""

        def run(self, verb: Verb[T]) -> T:
            if verb.name == "steer":
                store.run(verbs.delete("", "a"))
            return store.run(verb)

    program = bulk_schedules.resume("", ["a", "b"], SETTINGS, run_soon=True, within_us=0)
    done = run_sync(program, Deleting(), StoppableClock())

    assert (["b"], ["a"]) == (done.changed, [id for id, _ in done.refused])


def test_many_get_another_rule_and_keep_their_tasks(store: Driver) -> None:
    create(store, "a", template=a_template(kind="one"), origin="app")
    create(store, "b", "5m", template=a_template(kind="two"))

    done = run(store, bulk_schedules.redefine("", ["a", "b", "c"], a_definition("5m"), SETTINGS))

    assert (["a"], ["b"], ["c"]) == (
        done.changed, done.unchanged, [id for id, _ in done.refused],
    )  # fmt: skip
    assert ("one", "app", "5m") == (
        get(store, "a").template.kind, get(store, "a").origin, get(store, "a").definition.text,
    )  # fmt: skip


def test_what_somebody_changes_while_many_get_another_rule_is_not_undone(store: Driver) -> None:
    create(store, "a")

    class Meddling:
        """Lets somebody change the task between the look and the write."""

        def run(self, verb: Verb[T]) -> T:
            if verb.name == "put":
                change(store, "a", template=a_template(kind="newer"))
            return store.run(verb)

    program = bulk_schedules.redefine("", ["a"], a_definition("5m"), SETTINGS)
    done = run_sync(program, Meddling(), StoppableClock())

    assert ["a"] == [id for id, _ in done.refused]
    assert ("newer", "1m") == (get(store, "a").template.kind, get(store, "a").definition.text)


def test_too_many_at_once_are_refused(store: Driver) -> None:
    with pytest.raises(InvalidError, match="ids is 10001"):
        run(store, bulk_schedules.pause("", ["a"] * 10_001, SETTINGS))


# Calendars.


def test_a_calendar_is_put_and_what_excludes_it_is_planned_anew(store: Driver) -> None:
    run(store, calendars.put("", "days", {}, SETTINGS))
    create(store, text="0 9 * * *", rule=RuleKind.CRON, exclude=("days",))
    create(store, "other", text="0 9 * * *", rule=RuleKind.CRON)
    before_s = next_s(store)

    planned = run(store, calendars.put("", "days", DAYS, SETTINGS))

    assert before_s is not None
    assert (1, before_s + 86_400, before_s) == (planned, next_s(store), next_s(store, "other"))
    assert '{"dates": ["2023-11-15"]}' == run(store, calendars.get("", "days")).document


def test_more_schedules_than_fit_one_page_are_planned_anew(store: Driver) -> None:
    settings = replace(SETTINGS, scheduler=replace(SETTINGS.scheduler, replan_batch=2))
    run(store, calendars.put("", "days", {}, settings))
    for id in "abcde":
        create(store, id, text="0 9 * * *", rule=RuleKind.CRON, exclude=("days",))

    assert 5 == run(store, calendars.put("", "days", DAYS, settings))


@pytest.mark.parametrize(
    ("name", "document", "error", "said"),
    [
        ("a b", {}, InvalidError, "name 'a b'"),
        ("days", {"moons": []}, InvalidError, "moons"),
        ("days", {"dates": ["2023-02-30"]}, InvalidError, "2023-02-30"),
    ],
)
def test_an_unsound_calendar_is_not_stored(
    store: Driver, name: str, document: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        run(store, calendars.put("", name, document, SETTINGS))

    assert [] == run(store, calendars.find("", SETTINGS))


def test_a_calendar_that_a_schedule_excludes_cannot_be_deleted(store: Driver) -> None:
    run(store, calendars.put("", "days", DAYS, SETTINGS))
    create(store, exclude=("days",))

    with pytest.raises(ConflictError, match="schedule 's' excludes the calendar 'days'"):
        run(store, calendars.delete("", "days", SETTINGS))
    run(store, schedules.delete("", "s", SETTINGS))
    run(store, calendars.delete("", "days", SETTINGS))

    for program in (calendars.get("", "days"), calendars.delete("", "days", SETTINGS)):
        with pytest.raises(NotFoundError, match="there is no calendar 'days'"):
            run(store, program)
