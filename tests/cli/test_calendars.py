"""`tenure calendars`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenure import Client, Registry, cron
from tests.cli.conftest import Run, answer, write

ICS = """\
    BEGIN:VCALENDAR
    VERSION:2.0
    BEGIN:VEVENT
    UID:new-year
    DTSTART;VALUE=DATE:20300101
    SUMMARY:New Year
    END:VEVENT
    END:VCALENDAR
    """


def test_a_calendar_is_put_shown_listed_and_deleted(run: Run, client: Client, url: str) -> None:
    rule = "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25"
    put = ["--day", "2030-05-01", "--day", "2030-12-24/2030-12-31", "--rule", rule]

    made = run("calendars", "put", "off", *put, "--url", url)
    shown = run("calendars", "show", "off", "--url", url)
    listed = run("calendars", "ls", "--url", url)
    deleted = run("calendars", "rm", "off", "--url", url)
    empty = run("calendars", "ls", "--url", url)

    holds = "2 dates or ranges, 1 rule"
    assert f"calendar off holds {holds}; 0 schedules have another next fire\n" == made.stdout
    for text in ("2030-05-01", "2030-12-24/2030-12-31", rule, "no schedule"):
        assert text in shown.stdout
    assert ["off", *holds.split()] == listed.stdout.splitlines()[1].split()[:7]
    assert "calendar off is deleted\n" == deleted.stdout
    assert ("", "no calendars\n") == (empty.stdout, empty.stderr)


def test_schedules_are_planned_anew_and_hold_their_calendar(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.calendars.put("off", ["2090-01-01"])
    when = cron("0 9 1 1 *", exclude=["off"])
    client.schedules.create("s", when, kinds.get("add").call(1))
    client.schedules.create("t", cron("0 9 1 1 *"), kinds.get("add").call(1))
    before_us = client.schedules.get("s").next_fire_at_us
    assert before_us is not None

    rule = "FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;COUNT=2"
    put = ["calendars", "put", "off", "--rule", f"DTSTART:20260101T000000\nRRULE:{rule}"]
    moved = answer(run(*put, "--json", "--url", url))
    refused = run("calendars", "rm", "off", "--url", url)
    shown = answer(run("calendars", "show", "off", "--json", "--url", url))
    emptied = run("calendars", "put", "off", "--empty", "--url", url)

    assert (1, []) == (moved["moved"], moved["calendar"]["dates"])
    assert (1, True) == (refused.exit_code, "schedule 's' excludes" in refused.stderr)
    assert ["s"] == shown["excluded_by"]
    assert "calendar off holds no days; 1 schedule has another next fire\n" == emptied.stdout
    assert before_us == client.schedules.get("s").next_fire_at_us


@pytest.mark.parametrize("from_input", [True, False])
def test_a_calendar_file_is_read(
    from_input: bool, run: Run, client: Client, url: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "off.ics", ICS)
    given = "-" if from_input else str(file)
    text = file.read_bytes() if from_input else None

    run("calendars", "put", "off", "--ics", given, "--day", "2030-01-06", "--url", url, input=text)

    assert {"dates": ["2030-01-01", "2030-01-06"]} == client.calendars.get("off")


def test_calendars_are_listed_by_page(run: Run, client: Client, url: str) -> None:
    for name in ("a", "b", "c"):
        client.calendars.put(name, ["2030-01-01"])

    page = answer(run("calendars", "ls", "-n", "2", "--json", "--url", url))
    rest = answer(run("calendars", "ls", "--after", "b", "--json", "--url", url))

    assert (["a", "b"], "b") == ([each["name"] for each in page["calendars"]], page["next_after"])
    assert (["c"], None) == ([each["name"] for each in rest["calendars"]], rest["next_after"])


def test_long_rules_are_shown_with_their_length(run: Run, client: Client, url: str) -> None:
    document = {"rules": [{"rule": "FREQ=YEARLY;BYMONTH=8;BYMONTHDAY=1", "days": 14}]}
    from tenure.service import calendars

    client.run(calendars.put("", "summer", document, client.settings))

    shown = run("calendars", "show", "summer", "--url", url)
    told = answer(run("calendars", "show", "summer", "--json", "--url", url))["calendar"]

    assert "FREQ=YEARLY;BYMONTH=8;BYMONTHDAY=1 for 14 days" in shown.stdout
    assert document["rules"] == told["rules"]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["put", "x"], 2, "give days with --day, --rule or --ics"),
        (["put", "x", "--empty", "--day", "2030-01-01"], 2, "give days with"),
        (["put", "x", "--day", "2030-13-01"], 2, "'2030-13-01' must be like"),
        (["put", "x", "--rule", "FREQ=DAYLY"], 2, "FREQ=DAYLY"),
        (["put", "x", "--ics", "gone.ics"], 2, "'gone.ics' cannot be read: No such file"),
        (["put", "x", "--ics", "bad.ics"], 2, "'bad.ics' is not UTF-8 text"),
        (["put", "a b", "--day", "2030-01-01"], 2, "name 'a b' may hold"),
        (["show", "x"], 1, "there is no calendar 'x'"),
        (["rm", "x"], 1, "there is no calendar 'x'"),
        (["ls", "--limit", "0"], 2, "limit is 0"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], code: int, expected: str, run: Run, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/tenure.db"
    Client(url).close()
    (tmp_path / "bad.ics").write_bytes(b"\xff\xfe")

    result = run("calendars", *arguments, "--url", url)

    assert code == result.exit_code
    assert expected in result.stderr
