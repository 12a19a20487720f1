"""`tenure schedules preview`: of rules, of schedules, and of what an edit would change."""

from __future__ import annotations

import pytest

from tenure import Client, Registry, cron, every
from tests.cli.conftest import Run, answer


def test_a_rule_is_previewed_without_a_store(run: Run) -> None:
    rule = ["--cron", "30 2 * * *", "--zone", "Europe/Berlin"]

    told = run("schedules", "preview", *rule, "--from", "2027-03-27", "--until", "2027-03-29")

    assert 0 == told.exit_code
    assert told.stdout.startswith("at 02:30 every day, Europe/Berlin time\n")
    assert ["Sat 2027-03-27 02:30 +01:00", "Sun 2027-03-28 03:30 +02:00"] == [
        line[:27] for line in told.stdout.splitlines()[7:9]
    ]
    assert "shifted from 2027-03-28T02:30:00, which the clocks skip" in told.stdout
    # A date alone as an end has its whole day.
    assert "Mon 2027-03-29 02:30 +02:00" in told.stdout


@pytest.mark.parametrize(("time", "first"), [("09:00", "01"), ("09:00:01", "02")])
def test_what_fires_at_the_very_beginning_is_shown(time: str, first: str, run: Run) -> None:
    rule = ["--cron", "0 9 * * *", "--from", f"2030-01-01T{time}", "-n", "1"]

    told = answer(run("schedules", "preview", *rule, "--json"))

    assert f"2030-01-{first}T09:00:00+00:00" == told["fires"][0]["local"]


def test_what_a_policy_leaves_out_is_listed(run: Run) -> None:
    rule = ["--cron", "30 * * * *", "--zone", "Europe/Berlin", "--fold", "first"]
    window = ["--from", "2026-10-25T01:00", "--until", "2026-10-25T04:00"]

    told = answer(run("schedules", "preview", *rule, *window, "--json"))

    assert ["01:30:00+02:00", "02:30:00+02:00", "03:30:00+01:00"] == [
        fire["local"].partition("T")[2] for fire in told["fires"]
    ]
    assert [("2026-10-25T02:30:00+01:00", "fold")] == [
        (each["local"], each["reason"]) for each in told["left_out"]
    ]


def test_a_jitter_is_shown_as_a_range(run: Run) -> None:
    rule = ["--cron", "0 9 * * *", "--jitter", "2m", "--from", "2030-01-01", "-n", "1"]

    told = run("schedules", "preview", *rule)
    (fire,) = answer(run("schedules", "preview", *rule, "--json"))["fires"]

    assert "due up to 2 min 0 s later" in told.stdout
    assert "2030-01-01T09:00:00.000000Z" == fire["at"]
    assert fire["latest_at"].startswith("2030-01-01T09:0")
    assert fire["latest_at"] > fire["at"]


@pytest.mark.parametrize(
    ("rule", "words", "first"),
    [
        (["--every", "2h", "--start", "2090-01-01"], "every 2 hours", "00:00"),
        (["--rrule", "FREQ=WEEKLY;BYDAY=MO;BYHOUR=7;BYMINUTE=0;BYSECOND=0"], "every week", "07:00"),
        (["--once", "2090-01-01T09:00", "--zone", "Asia/Tokyo"], "once, on 1 January", "09:00"),
        (["--calendar", '{"months": 1}', "--start", "2090-01-31T05:00"], "every month", "05:00"),
        (["--rrule", r"DTSTART;TZID=Asia/Tokyo:20900101T060000\nRRULE:FREQ=DAILY"],
         "Asia/Tokyo time", "06:00"),
    ],
)  # fmt: skip
def test_each_kind_of_rule_is_understood(rule: list[str], words: str, first: str, run: Run) -> None:
    told = run("schedules", "preview", *rule, "-n", "1")

    assert 0 == told.exit_code, told.stderr
    assert words in told.stdout.splitlines()[0]
    assert first == told.stdout.splitlines()[-1].split()[2]


def test_a_schedule_is_previewed_by_its_id(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.schedules.create("s", cron("0 9 1 1 *", zone="Asia/Tokyo"), kinds.get("add").call(1))
    client.schedules.pause("s")

    told = run("schedules", "preview", "s", "--from", "2030-01-01", "-n", "2", "--url", url)

    assert ["Tue 2030-01-01 09:00 +09:00", "Wed 2031-01-01 09:00 +09:00"] == [
        line[:27] for line in told.stdout.splitlines()[-2:]
    ]
    assert "schedule s is paused: this is when it would fire" in told.stderr


def test_calendars_are_asked_in_a_preview(run: Run, client: Client, url: str) -> None:
    client.calendars.put("off", ["2030-01-02"])
    rule = ["--cron", "0 9 * * *", "--exclude", "off", "--from", "2030-01-01", "-n", "2"]

    told = answer(run("schedules", "preview", *rule, "--json", "--url", url))

    assert ["2030-01-01", "2030-01-03"] == [fire["local"][:10] for fire in told["fires"]]
    assert [("2030-01-02", "excluded by 'off'")] == [
        (each["local"][:10], each["words"]) for each in told["left_out"]
    ]


def test_a_rule_is_held_against_a_schedule(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.schedules.create("s", cron("0 9 * * *"), kinds.get("add").call(1))
    rule = ["--cron", "0 9,17 * * MON-FRI", "--against", "s"]
    window = ["--from", "2030-01-07", "--until", "2030-01-13", "-n", "2"]

    told = run("schedules", "preview", *rule, *window, "--url", url)
    as_json = answer(run("schedules", "preview", *rule, *window, "--json", "--url", url))

    assert (5, 2, 5) == (as_json["kept"], as_json["removed_count"], as_json["added_count"])
    assert (2, 2) == (len(as_json["removed"]), len(as_json["added"]))
    assert as_json["words"] in told.stdout
    gone = "no more: 2\n  Sat 2030-01-12 09:00 UTC\n  Sun 2030-01-13 09:00 UTC\n\n"
    assert gone in told.stdout
    new = "new: 5\n  Mon 2030-01-07 17:00 UTC\n  Tue 2030-01-08 17:00 UTC\n  and 3 more\n"
    assert new in told.stdout


def test_an_interval_that_stays_keeps_its_start_when_compared(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.schedules.create("s", every("1d"), kinds.get("add").call(1))

    told = run("schedules", "preview", "--every", "1d", "--against", "s", "--json", "--url", url)

    assert (0, 0) == (answer(told)["removed_count"], answer(told)["added_count"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "give either the ID of a schedule or a rule"),
        (["s", "--every", "5m"], "give either the ID of a schedule or a rule"),
        (["s", "--zone", "UTC"], "give either the ID of a schedule or a rule"),
        (["s", "--against", "t"], "--against needs a rule"),
        (["--zone", "UTC"], "give one rule and no more"),
        (["--cron", "0 0 30 2 *"], "can never fire"),
        (["--cron", "0 0 * * *", "--zone", "Europe/Lisboa"], "did you mean 'Europe/Lisbon'?"),
        (["--every", "5m", "--start", "2030-01-02", "--end", "2030-01-01"], "is before the start"),
        (["--every", "5m", "--from", "2030-01-02", "--until", "2030-01-01"], "2030-01-0"),
        (["--every", "5m", "--limit", "0"], "limit is 0"),
        (["--every", "5m", "--jitter", "1h30m"], "jitter is '1h30m'; write a number of seconds"),
        (["--every", "5m", "--jitter", "-1"], "must not be negative"),
        (["--every", "5m", "--missed", "all"], "use overlap='queue_all'"),
        (["--once", "tomorrow"], "once is 'tomorrow'; write a time"),
        (["--calendar", '{"month": 1}'], "did you mean 'months'?"),
    ],
)
def test_what_is_typed_wrong_is_exit_code_2(arguments: list[str], expected: str, run: Run) -> None:
    result = run("schedules", "preview", *arguments)

    assert 2 == result.exit_code
    assert expected in result.stderr
