"""Making, changing and declaring schedules, played on both stores with time that stands still."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tenure.kernel.errors import (
    DuplicateError,
    InvalidError,
    LimitError,
    NotFoundError,
    RevisionError,
)
from tenure.kernel.outcome import Steer
from tenure.kernel.schedules.definition import RuleKind
from tenure.kernel.schedules.model import Change, Schedule
from tenure.kernel.schedules.policies import Drift, Missed, Overlap
from tenure.service import calendars, schedules
from tenure.store import schedules as verbs
from tests.service.schedule_play import (
    FIRED,
    SETTINGS,
    create,
    ensure,
    finish,
    get,
    run,
    update,
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
    a_wanted,
    change,
    fire,
    known,
    ledger,
    next_s,
    run_id,
    runs,
    states,
)

# Create, ensure, update.


def test_a_schedule_is_created_once(store: Driver) -> None:
    assert Change.CREATED is create(store)
    before = store.tables()

    with pytest.raises(DuplicateError, match="a schedule 's' already: update it") as caught:
        create(store, text="5m")

    assert "s" == caught.value.existing_id
    assert before == store.tables()


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"zone": "Mars"}, InvalidError, "'Mars'"),
        ({"text": "0 9 31 2 *", "rule": RuleKind.CRON}, InvalidError, "31"),
        ({"start_us": 2, "end_us": 1}, InvalidError, "is before the start"),
        ({"jitter_us": 60 * SECOND_US}, InvalidError, "is not shorter than"),
        ({"exclude": ("days",)}, InvalidError, "there is no calendar 'days'"),
        ({"id": " s"}, InvalidError, "id ' s' must be printable"),
        ({"template": a_template(kind="")}, InvalidError, "kind must not be empty"),
        ({"template": a_template(queue="a b")}, InvalidError, "queue 'a b'"),
        ({"template": a_template(payload=b"x" * 2_000_000)}, LimitError, "payload has 2,000,000"),
    ],
    ids=str,
)
def test_what_is_refused_is_not_stored(
    store: Driver, fields: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        create(store, **fields)

    assert [] == store.rows("SELECT * FROM schedule")


def test_a_calendar_that_excludes_everything_is_refused(store: Driver) -> None:
    run(store, calendars.put("", "always", {"rules": ["FREQ=DAILY"]}, SETTINGS))

    with pytest.raises(InvalidError, match="the calendars always exclude all of its instants"):
        create(store, exclude=("always",))

    assert [] == store.rows("SELECT * FROM schedule")


def test_what_is_ensured_again_is_unchanged(store: Driver) -> None:
    made = ensure(store, origin="app")
    before = store.tables()
    store.clock.pass_s(5)

    assert (Change.CREATED, Change.UNCHANGED) == (made, ensure(store, origin="app"))
    assert before == store.tables()


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "2m"},
        {"zone": "Europe/Berlin"},
        {"overlap": Overlap.ALLOW},
        {"end_us": START_US + 10**12},
        {"start_us": START_US + 1},
        {"template": a_template(payload=b"[]")},
        {"origin": "app"},
    ],
    ids=str,
)
def test_what_differs_is_updated_when_it_is_ensured(store: Driver, fields: dict[str, Any]) -> None:
    ensure(store)

    assert Change.UPDATED is ensure(store, **fields)
    assert Change.UNCHANGED is ensure(store, **fields)


def test_ensuring_keeps_state_history_pause_and_start(store: Driver) -> None:
    create(store, carry=b"state")
    fire(store)
    run(store, schedules.pause("", "s", SETTINGS))
    store.clock.pass_s(30)

    ensure(store, text="7m", carry=b"other")

    schedule = get(store)
    assert (b"state", 1, START_US, START_US) == (
        schedule.carry, schedule.fired, schedule.paused_at_us, schedule.definition.start_us,
    )  # fmt: skip
    assert (420, [(0, FIRED)]) == (next_s(store), ledger(store))


def test_another_payload_alone_leaves_the_plan_as_it_is(store: Driver) -> None:
    """A deployment with a changed payload undid what an operator had steered."""
    create(store)
    run(store, schedules.set_next("", "s", START_US + 5 * SECOND_US, SETTINGS))

    assert Change.UPDATED is ensure(store, template=a_template(payload=b"[]"))

    assert (5, b"[]") == (next_s(store), get(store).template.payload)
    assert START_US + 5 * SECOND_US == get(store).steered_us


def test_what_is_to_be_updated_must_be_there(store: Driver) -> None:
    with pytest.raises(NotFoundError, match="there is no schedule 's'"):
        update(store)

    assert [] == store.rows("SELECT * FROM schedule")


def test_an_update_of_a_revision_that_was_changed_since_is_refused(store: Driver) -> None:
    create(store)
    assert Change.UPDATED is update(store, text="2m", revision=1)
    before = store.tables()

    with pytest.raises(RevisionError, match="'s' is at revision 2, not 1"):
        update(store, text="3m", revision=1)

    assert before == store.tables()


def test_who_made_the_same_schedule_at_the_same_moment_is_no_error(store: Driver) -> None:
    """Two workers that began together declared the same schedules, and one was refused."""
    create(store, text="5m")

    with pytest.MonkeyPatch.context() as patch:
        sound = verbs._found
        looks = iter([None])
        patch.setattr(verbs, "_found", lambda rows: next(looks, sound(rows)))
        came_to = ensure(store)

    assert (Change.UPDATED, "1m") == (came_to, get(store).definition.text)


# An edit while something is going on.


def test_an_instant_that_is_due_when_the_rule_is_edited_still_fires(store: Driver) -> None:
    create(store)
    store.clock.pass_s(10)
    update(store, text="1h")

    fired = fire(store)

    assert (1, [(0, FIRED)]) == (fired.fired, ledger(store))
    assert 3600 == next_s(store)


def test_an_instant_that_comes_due_at_the_moment_of_the_edit_still_fires(store: Driver) -> None:
    create(store)
    fire(store)
    store.rows("DELETE FROM task")
    store.clock.pass_s(60)

    update(store, text="7m")

    assert (1, [(0, FIRED), (60, FIRED)]) == (fire(store).fired, ledger(store))


def test_an_edit_makes_no_instant_of_the_past_due(store: Driver) -> None:
    create(store, text="1h")
    fire(store)
    store.clock.pass_s(600)

    update(store, text="1m", overlap=Overlap.ALLOW, missed=Missed.ALL)

    assert 600 == next_s(store)
    assert (1, [(0, FIRED), (600, FIRED)]) == (fire(store).fired, ledger(store))


def test_of_a_due_instant_and_a_newer_rule_only_what_is_due_fires(store: Driver) -> None:
    create(store, text="1h")
    store.clock.pass_s(600)

    update(store, text="1m", overlap=Overlap.ALLOW, missed=Missed.ALL)
    fire(store)

    assert [(0, FIRED), (600, FIRED)] == ledger(store)


def test_an_edit_while_paused_keeps_nothing_due(store: Driver) -> None:
    create(store)
    run(store, schedules.pause("", "s", SETTINGS))
    store.clock.pass_s(90)

    update(store, text="1h")

    assert (None, 3600) == (get(store).steered_us, next_s(store))


def test_an_edit_while_a_run_is_going_leaves_it_alone(store: Driver) -> None:
    create(store, overlap=Overlap.QUEUE_ONE)
    fire(store)
    claim = claim_one(store)
    store.clock.pass_s(1)

    update(store, text="2m", template=a_template(kind="other"), overlap=Overlap.QUEUE_ONE)
    store.clock.pass_s(119)
    fire(store)

    assert (["running", "waiting"], "mail") == (states(store), runs(store)[0].kind)
    finish(store, claim)
    assert "pending" == states(store)[1]
    assert "other" == runs(store)[1].kind


def test_an_edit_while_a_run_holds_its_schedule_waits_for_its_end(store: Driver) -> None:
    create(store, drift=Drift.DELAY)
    fire(store)
    claim = claim_one(store)

    update(store, text="5m", drift=Drift.DELAY)
    assert (run_id(), None) == (get(store).held_by, next_s(store))
    store.clock.pass_s(7)
    finish(store, claim)

    assert 307 == next_s(store)


def test_a_shorter_delay_counts_from_now_and_a_longer_one_from_the_next(store: Driver) -> None:
    create(store, drift=Drift.DELAY, start_us=START_US + 100 * SECOND_US)

    update(store, text="30s", drift=Drift.DELAY)
    shorter = next_s(store)
    update(store, text="5m", drift=Drift.DELAY)

    assert (30, 30) == (shorter, next_s(store))


def test_an_edit_away_from_delays_lets_go_of_the_run(store: Driver) -> None:
    create(store, drift=Drift.DELAY)
    fire(store)
    store.clock.pass_s(7)

    update(store)

    assert (None, 60) == (get(store).held_by, next_s(store))


def test_an_edit_mends_what_was_faulty(store: Driver) -> None:
    create(store)
    change(store, trouble="broken")

    assert Change.UPDATED is ensure(store)
    assert None is get(store).trouble


# What a run says about the next.


def steered(store: Driver, steer: Steer) -> Schedule:
    claim = claim_one(store)
    finish(store, claim, also=schedules.steering(claim, steer))
    return known(store)


def test_a_run_says_when_the_next_is(store: Driver) -> None:
    create(store)
    fire(store)

    schedule = steered(store, Steer(next_us=START_US + 7 * SECOND_US))

    assert START_US + 7 * SECOND_US == schedule.next_fire_at_us


def test_a_run_changes_the_rule_and_not_the_policies(store: Driver) -> None:
    create(store, overlap=Overlap.ALLOW, origin="app")
    fire(store)

    schedule = steered(store, Steer(definition=a_definition("7m")))

    assert ("7m", Overlap.ALLOW, "app") == (
        schedule.definition.text, schedule.definition.policies.overlap, schedule.origin,
    )  # fmt: skip
    assert START_US == schedule.definition.start_us


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        ({"drift": Drift.DELAY}, a_definition("* * * * *", rule=RuleKind.CRON)),
        ({}, a_definition("2020-01-01T00:00:00Z", rule=RuleKind.ONCE)),
        ({"jitter_us": 50 * SECOND_US}, a_definition("10s")),
    ],
    ids=["a delay is no cron", "never", "jitter"],
)
def test_a_rule_that_cannot_be_makes_the_schedule_faulty_and_settles_the_run(
    store: Driver, made: dict[str, Any], wanted: Any
) -> None:
    """The settlement failed with it, and with it all that were settled at the same time."""
    create(store, **made)
    fire(store)
    store.clock.pass_s(50)

    schedule = steered(store, Steer(definition=wanted))

    assert ("faulty", wanted.text) == (schedule.label, schedule.definition.text)
    assert ["completed"] == states(store)
    store.clock.pass_s(3600)
    assert 0 == fire(store).seen
    assert Change.UPDATED is ensure(store, **made)
    assert "faulty" != known(store).label


# Reconcile.


def reconcile(store: Driver, *wanted: schedules.Wanted, origin: str = "app") -> Any:
    return run(store, schedules.reconcile("", origin, wanted, SETTINGS))


def test_what_code_declares_is_made_changed_kept_and_removed(store: Driver) -> None:
    create(store, "by hand")
    create(store, "another's", origin="other")
    first = reconcile(store, a_wanted("a"), a_wanted("b"), a_wanted("c"))

    second = reconcile(store, a_wanted("a"), a_wanted("b", "5m"), a_wanted("d"))

    assert (["a", "b", "c"], [], [], [], []) == (
        first.created, first.updated, first.unchanged, first.removed, first.refused,
    )  # fmt: skip
    assert (["d"], ["b"], ["a"], ["c"], []) == (
        second.created, second.updated, second.unchanged, second.removed, second.refused,
    )  # fmt: skip
    left = run(store, schedules.everything("", SETTINGS))
    assert ["a", "another's", "b", "by hand", "d"] == sorted(each.id for each in left)


def test_one_that_is_refused_is_told_and_the_others_are_stored(store: Driver) -> None:
    reconcile(store, a_wanted("b"))
    large = replace(a_wanted("d"), template=a_template(payload=b"x" * 2_000_000))

    done = reconcile(store, a_wanted("a"), a_wanted("b", zone="Mars"), large, a_wanted("c"))

    assert (["a", "c"], [], ["b", "d"]) == (
        done.created, done.removed, [id for id, _ in done.refused],
    )  # fmt: skip
    assert "Mars" in done.refused[0][1]
    assert "UTC" == get(store, "b").definition.zone


def test_nothing_declared_removes_all_of_the_origin(store: Driver) -> None:
    reconcile(store, *(a_wanted(f"s{place}") for place in range(3)))

    assert ["s0", "s1", "s2"] == reconcile(store).removed
