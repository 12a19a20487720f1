"""What a handler can know and say about its attempt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import tenure
from tenure import ConfigError, InvalidError, LeaseLostError, TaskContext
from tenure.kernel.model import Claim, TaskId


class Link:
    """A line to nobody, that remembers what was said."""

    def __init__(self) -> None:
        self.cancel_asked = False
        self.is_lost = False
        self.beats = 0
        self.said: list[object] = []

    def beat(self) -> None:
        self.beats += 1

    def progress(self, body: bytes) -> None:
        self.said.append(msgspec.json.decode(body))


def a_claim(*, attempt: int = 2, deadline_us: int | None = 1_700_000_060_000_000) -> Claim:
    return Claim(
        tenant="acme",
        id=TaskId("t"),
        kind="mail",
        queue="slow",
        lane=2,
        cost=1,
        run_at_us=1_700_000_000_000_000,
        attempt=attempt,
        attempts_max=3,
        crashes=0,
        claim_no=4,
        timeout_us=60_000_000,
        created_at_us=1_700_000_000_000_000,
        claimed_at_us=1_700_000_000_000_001,
        lease_expires_at_us=1_700_000_100_000_000,
        deadline_us=deadline_us,
        worker_id="w",
        parent_id=None,
        root_id=None,
        schedule_id=None,
        tags_text='["a"]',
        traceparent=None,
        payload=b"{}",
        carry=None,
    )


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def context(link: Link) -> TaskContext:
    return TaskContext(a_claim(), link)


def test_outside_of_a_handler_there_is_no_context() -> None:
    with pytest.raises(ConfigError, match=r"tenure\.context\(\) was called outside of a task"):
        tenure.context()


def test_it_tells_what_the_claim_says(context: TaskContext) -> None:
    assert context.task_id == "t"
    assert context.kind == "mail"
    assert context.queue == "slow"
    assert context.tenant == "acme"
    assert context.attempt == 2
    assert context.attempts_max == 3
    assert context.tags == ("a",)
    assert context.enqueued_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert context.started_at == datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)
    assert context.deadline == datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)


def test_the_last_attempt_is_known(context: TaskContext, link: Link) -> None:
    assert not context.is_last_attempt
    assert TaskContext(a_claim(attempt=3), link).is_last_attempt


def test_without_a_timeout_there_is_no_deadline(link: Link) -> None:
    assert TaskContext(a_claim(deadline_us=None), link).deadline is None


def test_it_sees_that_it_was_asked_to_cancel(context: TaskContext, link: Link) -> None:
    before = context.cancel_asked
    link.cancel_asked = True

    assert (before, context.cancel_asked) == (False, True)


def test_a_heartbeat_is_heard(context: TaskContext, link: Link) -> None:
    context.heartbeat()

    assert link.beats == 1


def test_a_heartbeat_of_a_lost_claim_tells_the_handler_to_stop(
    context: TaskContext, link: Link
) -> None:
    link.is_lost = True

    with pytest.raises(LeaseLostError, match="task 't' was taken back"):
        context.heartbeat()


def test_progress_is_passed_on_and_counts_as_a_sign_of_life(
    context: TaskContext, link: Link
) -> None:
    context.progress(0.5, "half of it", rows=3)
    context.progress(text="x" * 1_000)

    assert link.said == [
        {"fraction": 0.5, "text": "half of it", "counters": {"rows": 3}},
        {"text": "x" * 500},
    ]
    assert link.beats == 2


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_progress_is_from_nothing_to_all(context: TaskContext, fraction: float) -> None:
    with pytest.raises(InvalidError, match="it must be from 0 to 1"):
        context.progress(fraction)


def test_progress_has_a_bound(context: TaskContext, link: Link) -> None:
    counters: dict[str, Any] = {f"counter_{n}": n for n in range(400)}

    with pytest.raises(InvalidError, match=r"progress has \d+ bytes; at most 4096 are kept"):
        context.progress(**counters)

    assert link.said == []
