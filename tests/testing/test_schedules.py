"""Schedules fire on the platform, at their own moments, with nothing to set up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import tenure
import tenure.testing
from tenure.testing import Platform
from tests.testing.conftest import START, Log


def test_a_year_of_a_monthly_schedule_fires_twelve_times(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)
    monthly = tenure.cron("30 9 1 * *", zone="Europe/Berlin")
    platform.client.schedules.create("invoices", monthly, note.call("invoice"))

    platform.travel(days=365)

    # Half past nine in Berlin is an hour earlier in UTC when its clocks are put forward.
    hours = {month: 7 if 4 <= month <= 10 else 8 for month in range(1, 13)}
    expected = [datetime(2026, month, 1, hour, 30, tzinfo=UTC) for month, hour in hours.items()]
    assert expected == [at for _, at in log.entries]
    assert [] == platform.failures()


def test_a_schedule_that_is_finer_than_any_poll_fires_each_time(
    platform: Platform, registry: tenure.Registry, log: Log
) -> None:
    note = registry.task(log.note)
    platform.client.schedules.create("often", tenure.every(timedelta(seconds=7)), note.call("tick"))

    platform.travel("1h")

    times = [at for _, at in log.entries]
    steps = [later - sooner for sooner, later in pairwise(times)]
    assert {timedelta(seconds=7)} == set(steps)
    assert 514 <= len(log.entries) <= 515


def test_a_schedule_that_the_code_declares_is_there_from_the_beginning(log: Log) -> None:
    registry = tenure.Registry()

    @registry.task(schedule=tenure.cron("0 0 * * *"))
    def nightly() -> None:
        log.note("night")

    with tenure.testing.platform(registry=registry, now=START + timedelta(hours=12)) as platform:
        platform.travel("3d")

    assert [START + timedelta(days=day) for day in (1, 2, 3)] == [at for _, at in log.entries]
