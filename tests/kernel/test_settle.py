"""From outcomes and lost leases to settlements: the decisions as tables."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.kernel.model import Claim, ErrorReport, TaskId
from tenure.kernel.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Waiting,
)
from tenure.kernel.ports import Steps, transaction
from tenure.kernel.retry import Exponential, Fixed, RetryPolicy
from tenure.kernel.settle import EFFECTS, LEASE_EXPIRED, Settlement, expire, settle
from tenure.kernel.states import ENDED, SETTLING, TRANSITIONS, Event, State

ERROR = ErrorReport(type="app.BrokenError", message="it broke")
POLICY = RetryPolicy(backoff=Fixed(delay_us=70), delay_max_us=100)


def a_claim(**fields: Any) -> Claim:
    plain: dict[str, Any] = dict.fromkeys(Claim._fields)
    plain |= {"tenant": "one", "id": TaskId("a"), "claim_no": 7, "claimed_at_us": 99}
    plain |= {"attempt": 1, "attempts_max": 3, "crashes": 0}
    return Claim(**{**plain, **fields})


def written(event: Event, **fields: Any) -> Settlement:
    return Settlement("one", "a", 7, fields.pop("attempt", 1), 99, event, **fields)


@transaction
def nothing() -> Steps[None]:
    yield from ()


ALSO = nothing()


@pytest.mark.parametrize(
    ("outcome", "wanted"),
    [
        pytest.param(Completed(), written(Event.COMPLETE), id="completed"),
        pytest.param(
            Completed(result=b"r", carry=b"c", also=ALSO),
            written(Event.COMPLETE, result=b"r", carry=b"c", also=ALSO),
            id="completed with all there is",
        ),
        pytest.param(
            Failed(error=ERROR), written(Event.RETRY, error=ERROR, delay_us=70), id="failed"
        ),
        pytest.param(
            Failed(error=ERROR, retry_after_us=5),
            written(Event.RETRY, error=ERROR, delay_us=5),
            id="failed and told when to come back",
        ),
        pytest.param(
            Failed(error=ERROR, retry_after_us=500),
            written(Event.RETRY, error=ERROR, delay_us=100),
            id="told to come back in too long",
        ),
        pytest.param(
            Failed(error=ERROR, retryable=False),
            written(Event.FAIL, error=ERROR, cause="app.BrokenError"),
            id="failed for good",
        ),
        pytest.param(Snoozed(delay_us=5), written(Event.SNOOZE, delay_us=5), id="snoozed"),
        pytest.param(Waiting(on="signal"), written(Event.WAIT, waiting_for="signal"), id="waiting"),
        pytest.param(Cancelled(), written(Event.CANCEL, cause="cancelled"), id="cancelled"),
        pytest.param(
            Cancelled(reason="sold out"),
            written(Event.CANCEL, cause="sold out"),
            id="cancelled for a reason",
        ),
        pytest.param(Released(), written(Event.RELEASE), id="released"),
    ],
)
def test_an_outcome_becomes_one_settlement(outcome: Outcome, wanted: Settlement) -> None:
    assert wanted == settle(a_claim(), outcome, POLICY, u=0.5)


@pytest.mark.parametrize(
    ("attempt", "attempts_max", "event"),
    [
        (1, 1, Event.FAIL),
        (1, 2, Event.RETRY),
        (2, 2, Event.FAIL),
        (3, 2, Event.FAIL),
    ],
)
def test_the_last_attempt_that_fails_ends_the_task(
    attempt: int, attempts_max: int, event: Event
) -> None:
    claim = a_claim(attempt=attempt, attempts_max=attempts_max)

    assert event is settle(claim, Failed(error=ERROR), POLICY, u=0.5).event


def test_the_number_of_attempts_is_the_tasks_and_not_the_policys() -> None:
    claim = a_claim(attempt=1, attempts_max=9)

    assert Event.RETRY is settle(claim, Failed(error=ERROR), RetryPolicy(attempts_max=1), u=0).event


def test_the_jitter_is_by_the_given_chance() -> None:
    policy = RetryPolicy(backoff=Exponential(base_us=1_000))

    waits = [settle(a_claim(), Failed(error=ERROR), policy, u=u).delay_us for u in (0, 0.25, 0.5)]

    assert [0, 250, 500] == waits


@pytest.mark.parametrize(
    ("claim", "cancel_asked", "event", "cause", "delay_us"),
    [
        pytest.param({}, False, Event.EXPIRE, None, 500, id="first crash"),
        pytest.param({"crashes": 1}, False, Event.EXPIRE, None, 1_000, id="second crash"),
        pytest.param({"crashes": 3}, False, Event.EXPIRE, None, 1_500, id="capped"),
        pytest.param({"crashes": 4}, False, Event.EXHAUST, LEASE_EXPIRED, 0, id="last crash"),
        pytest.param({"attempt": 3}, False, Event.EXHAUST, LEASE_EXPIRED, 0, id="last attempt"),
        pytest.param({"attempt": 3}, True, Event.CANCEL, "cancelled", 0, id="asked to cancel"),
        pytest.param({}, True, Event.CANCEL, "cancelled", 0, id="asked, with attempts left"),
    ],
)
def test_a_lease_that_ran_out_spends_an_attempt_and_a_crash(
    claim: dict[str, Any], cancel_asked: bool, event: Event, cause: str | None, delay_us: int
) -> None:
    settlement = expire(
        a_claim(**claim),
        crashes_max=5,
        cancel_asked=cancel_asked,
        backoff=Exponential(base_us=1_000),
        backoff_max_us=1_500,
        u=0.5,
    )

    assert (event, cause, delay_us) == (settlement.event, settlement.cause, settlement.delay_us)
    assert settlement.error is not None
    crash = claim.get("crashes", 0) + 1
    assert (LEASE_EXPIRED, True) == (
        settlement.error.type,
        f"(crash {crash} of this task)" in settlement.error.message,
    )


def test_every_event_that_ends_a_claim_has_its_effect() -> None:
    assert SETTLING == set(EFFECTS)
    for event, effect in EFFECTS.items():
        assert TRANSITIONS[State.RUNNING, event] == effect.state
        assert (effect.state not in ENDED) == bool(effect.outlives)


def test_attempts_are_given_back_by_what_is_no_try_and_crashes_counted_for_the_reaper() -> None:
    gives_back = {event for event, effect in EFFECTS.items() if effect.gives_back}
    crashed = {event for event, effect in EFFECTS.items() if effect.crashed}

    assert {Event.SNOOZE, Event.RELEASE, Event.WAIT} == gives_back
    assert {Event.EXPIRE, Event.EXHAUST} == crashed
