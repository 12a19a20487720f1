"""Schedules: rules and policies, what runs hand on, and what both clients offer."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, assert_type

import tenure
from tenure import AsyncClient, Change, Client, Fire, Next, Schedule, Task, When
from tenure.kernel.schedules.preview import Difference, Preview
from tenure.service.bulk_schedules import Bulk
from tests.typing.handlers import Report, count, mine

START = datetime(2030, 1, 1, tzinfo=UTC)


@tenure.task(schedule=tenure.every("5m"), state=Report, state_version=2, migrate_state={1: dict})
async def follow() -> Next[int]:
    """A run that hands something on."""
    state: Report | None = tenure.context().state
    assert_type(tenure.context().schedule_id, str | None)
    return Next(result=1, state=state, at=START, when=tenure.every(timedelta(hours=1)))


@tenure.task
def keep() -> Next[None]:
    """A run that hands on nothing but its state."""
    return Next(state={"cursor": 3})


tenure.schedule(
    "nightly", tenure.cron("0 3 * * *", zone="Europe/Berlin"), mine.call(1), paused=True
)


def rules() -> None:
    """Every kind of rule, with policies in words."""
    assert_type(tenure.every("5m", drift="delay"), When)
    assert_type(tenure.every("5m", missed="all", overlap="queue_all", missed_max=3), When)
    assert_type(tenure.cron("0 9 * * *", gap="skip", fold="both", jitter=5, start=START), When)
    assert_type(tenure.rrule("FREQ=DAILY", exclude=["holidays"], missed_within=60), When)
    assert_type(tenure.once(START, overlap="cancel_old"), When)
    assert_type(tenure.calendar(months=1, reset_to={"day": 1}, end=START), When)
    assert_type(Next(result=3), Next[int])


def plain(client: Client) -> None:
    """For plain functions."""
    when = tenure.every("5m")
    client.schedules.create("a", when, count.options(cost=2).call("a.txt"), paused=True)
    assert_type(client.schedules.ensure("a", when, mine.call(1)), Change)
    assert_type(client.schedules.update("a", when, mine.call(1), revision=3), Change)
    assert_type(client.schedules.get("a"), Schedule)
    assert_type(client.schedules.find(kind="mine", limit=5), list[Schedule])
    assert_type(client.schedules.run_soon("a"), str)
    assert_type(client.schedules.runs("a"), list[Task])
    assert_type(client.schedules.fires("a"), list[Fire])
    assert_type(client.schedules.pause_many(["a"]), Bulk)
    assert_type(client.schedules.preview(when, after=START, until=START), Preview)
    assert_type(client.schedules.difference("a", when, after=START, until=START), Difference)
    assert_type(client.calendars.put("off", [date(2030, 1, 1), "2030-02-01"]), int)
    assert_type(client.calendars.get("off"), dict[str, Any])


async def coroutines(client: AsyncClient) -> None:
    """For coroutines."""
    when = tenure.cron("0 9 * * *")
    await client.schedules.create("a", when, mine.call(1))
    assert_type(await client.schedules.ensure("a", when, mine.call(1)), Change)
    assert_type(await client.schedules.get("a"), Schedule)
    assert_type(await client.schedules.resume("a"), bool)
    assert_type(await client.schedules.resume_many(["a"], run_soon=True, within=60), Bulk)
    assert_type(await client.schedules.fires("a"), list[Fire])
    assert_type(await client.calendars.names(), list[str])
