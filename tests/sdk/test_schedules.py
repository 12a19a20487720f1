"""Schedules and calendars of both clients, on both stores.

Each test is written once, for the plain client; `Plain` makes that of the client for coroutines.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenure import (
    AsyncClient,
    Change,
    Client,
    ConflictError,
    DuplicateError,
    InvalidError,
    Lane,
    NotFoundError,
    Registry,
    RevisionError,
    State,
    cron,
    every,
    once,
)
from tenure.kernel.schedules.model import Verdict
from tenure.sdk.async_schedules import AsyncSchedules
from tenure.sdk.calendars import AsyncCalendars, Calendars
from tenure.sdk.schedules import Schedules

registry = Registry()
FAR = datetime(2040, 1, 1, tzinfo=UTC)
YEARLY = every("365d", start=FAR)


@registry.task(queue="mail", priority=Lane.HIGH, cost=2, timeout=9)
def send(to: str) -> None: ...


@registry.task
def sweep() -> None: ...


class Plain:
    """Lets what is made for coroutines be called without them."""

    def __init__(self, runner: asyncio.Runner, inner: Any) -> None:
        self._runner = runner
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not inspect.ismethod(found):
            return Plain(self._runner, found)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._runner.run(found(*args, **kwargs))

        return call


@pytest.fixture(params=["plain", "coroutines"])
def client(request: pytest.FixtureRequest, url: str) -> Iterator[Any]:
    """A client of each kind in turn."""
    if request.param == "plain":
        with Client(url) as opened:
            yield opened
        return
    with asyncio.Runner() as runner:
        other = AsyncClient(url)
        runner.run(other.__aenter__())
        yield Plain(runner, other)
        runner.run(other.__aexit__(None, None, None))


@pytest.mark.parametrize(
    ("plain", "other"), [(Schedules, AsyncSchedules), (Calendars, AsyncCalendars)]
)
def test_both_clients_offer_the_same(plain: type, other: type) -> None:
    def offered(kind: type) -> dict[str, Any]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: inspect.signature(method).parameters.keys()
            for name, method in methods
            if not name.startswith("_")
        }

    assert offered(plain) == offered(other)
    assert all(inspect.iscoroutinefunction(getattr(other, name)) for name in offered(other))


def test_a_schedule_is_stored_with_the_options_of_its_call(client: Any) -> None:
    call = send.options(queue="late", cost=3, tags=["a"], attempts=4, timeout=5).call("ada")

    client.schedules.create("nightly", cron("0 3 * * *", zone="Europe/Berlin"), call)

    schedule = client.schedules.get("nightly")
    template = schedule.template
    assert ("nightly", "cron", "0 3 * * *", "Europe/Berlin") == (
        schedule.id,
        schedule.definition.rule.value,
        schedule.definition.text,
        schedule.definition.zone,
    )
    assert ("send", call.payload, "late", 3) == (
        template.kind,
        template.payload,
        template.queue,
        template.cost,
    )
    assert (Lane.HIGH, 4, 5_000_000, ("a",)) == (
        template.lane,
        template.attempts_max,
        template.timeout_us,
        template.tags,
    )
    assert ("active", "") == (schedule.label, schedule.origin)


def test_without_options_a_schedule_has_those_of_its_kind(client: Any) -> None:
    client.schedules.create("s", YEARLY, send.call("ada"))

    template = client.schedules.get("s").template
    assert ("mail", Lane.HIGH, 2, 9_000_000) == (
        template.queue,
        template.lane,
        template.cost,
        template.timeout_us,
    )
    assert send.settings.retry.attempts_max == template.attempts_max


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"delay": 5}, "delay"),
        ({"at": FAR}, "at"),
        ({"unique": True}, "unique"),
        ({"id": "mine"}, "id"),
    ],
)
def test_options_of_single_tasks_are_refused(options: Any, name: str, sqlite_url: str) -> None:
    with Client(sqlite_url) as client, pytest.raises(InvalidError, match="is for a single task"):
        client.schedules.create("s", YEARLY, send.options(**options).call("ada"))

    assert name


def test_an_id_is_taken_once(client: Any) -> None:
    client.schedules.create("s", YEARLY, sweep.call())

    with pytest.raises(DuplicateError, match="there is a schedule 's' already"):
        client.schedules.create("s", YEARLY, sweep.call())


def test_what_is_ensured_again_is_unchanged_until_it_differs(client: Any) -> None:
    changes = [
        client.schedules.ensure("s", YEARLY, sweep.call()),
        client.schedules.ensure("s", YEARLY, sweep.call()),
        client.schedules.ensure("s", every("30d", start=FAR), sweep.call()),
        client.schedules.ensure("s", every("30d", start=FAR), send.call("ada")),
        client.schedules.ensure("s", every("30d", start=FAR), send.call("ada")),
    ]

    assert [
        Change.CREATED,
        Change.UNCHANGED,
        Change.UPDATED,
        Change.UPDATED,
        Change.UNCHANGED,
    ] == changes


def test_an_update_is_for_what_is_there_and_as_it_was_seen(client: Any) -> None:
    with pytest.raises(NotFoundError, match="there is no schedule 's'"):
        client.schedules.update("s", YEARLY, sweep.call())
    client.schedules.create("s", YEARLY, sweep.call())
    seen = client.schedules.get("s").revision

    changed = client.schedules.update("s", every("1d", start=FAR), sweep.call(), revision=seen)

    assert Change.UPDATED is changed
    with pytest.raises(RevisionError, match="somebody has changed it; read it again"):
        client.schedules.update("s", YEARLY, sweep.call(), revision=seen)
    assert "1d" == client.schedules.get("s").definition.text


def test_they_are_listed_by_page_and_by_kind(client: Any) -> None:
    for id in ("c", "a", "d"):
        client.schedules.create(id, YEARLY, sweep.call())
    client.schedules.create("b", YEARLY, send.call("ada"))

    pages = [
        [schedule.id for schedule in client.schedules.find(after_id=after, limit=2)]
        for after in ("", "b", "d")
    ]

    assert [["a", "b"], ["c", "d"], []] == pages
    assert ["b"] == [schedule.id for schedule in client.schedules.find(kind="send")]
    assert [] == client.schedules.find(origin="code:elsewhere")


def test_a_paused_one_goes_on_from_now_when_it_is_resumed(client: Any) -> None:
    client.schedules.create("s", YEARLY, sweep.call(), paused=True)
    at_first = client.schedules.get("s").label

    told = [client.schedules.pause("s"), client.schedules.resume("s"), client.schedules.resume("s")]
    told.append(client.schedules.pause("s"))

    assert "paused" == at_first == client.schedules.get("s").label
    assert [False, True, False, True] == told


def test_one_that_is_deleted_is_gone(client: Any) -> None:
    client.schedules.create("s", YEARLY, sweep.call())

    client.schedules.delete("s")

    for ask in ("get", "delete", "pause", "resume", "run_soon"):
        with pytest.raises(NotFoundError, match="there is no schedule 's'"):
            getattr(client.schedules, ask)("s")


def test_a_run_that_is_asked_for_is_made_at_once_and_entered(client: Any) -> None:
    client.schedules.create("s", YEARLY, send.call("ada"))

    task_id = client.schedules.run_soon("s")

    (run,) = client.schedules.runs("s")
    (fire,) = client.schedules.fires("s")
    assert (task_id, State.PENDING, "mail", "s") == (run.id, run.state, run.queue, run.schedule_id)
    assert (Verdict.FIRED, task_id, "asked for") == (fire.verdict, fire.task_id, fire.note)
    assert client.schedules.get("s").next_fire_at_us == int(FAR.timestamp()) * 1_000_000


def test_a_run_is_refused_where_the_policy_lets_none_wait(client: Any) -> None:
    client.schedules.create("s", YEARLY, sweep.call())
    first = client.schedules.run_soon("s")

    with pytest.raises(ConflictError, match=f"cannot run now: run {first} was under way"):
        client.schedules.run_soon("s")

    assert 1 == len(client.schedules.runs("s"))


def test_runs_come_newest_first_and_page_by_page(client: Any) -> None:
    client.schedules.create("s", every("365d", start=FAR, overlap="allow"), sweep.call())
    made = [client.schedules.run_soon("s") for _ in range(3)]

    newest = client.schedules.runs("s", limit=2)
    rest = client.schedules.runs("s", before_id=newest[-1].id)

    # Ids are in order of time to the millisecond, and these may be of the same one.
    assert sorted(made, reverse=True) == [run.id for run in [*newest, *rest]]
    assert [2, 3] == [len(client.schedules.fires("s", limit=limit)) for limit in (2, 9)]


def test_the_next_instant_can_be_chosen(client: Any) -> None:
    client.schedules.create("s", YEARLY, sweep.call())

    client.schedules.set_next("s", FAR - timedelta(days=1))

    schedule = client.schedules.get("s")
    assert schedule.steered_us == schedule.next_fire_at_us
    assert int((FAR - timedelta(days=1)).timestamp()) * 1_000_000 == schedule.steered_us


def test_state_can_be_set_by_hand(client: Any) -> None:
    client.schedules.create("s", every("365d", start=FAR, overlap="allow"), sweep.call())
    client.schedules.run_soon("s")

    client.schedules.set_state("s", {"page": 3}, version=2)

    assert b'{"v":2,"s":{"page":3}}' == client.schedules.get("s").carry
    assert [b'{"v":2,"s":{"page":3}}'] == [run.carry for run in client.schedules.runs("s")]


def test_many_are_paused_resumed_and_changed_each_for_itself(client: Any) -> None:
    for id in ("a", "b"):
        client.schedules.create(id, YEARLY, sweep.call())

    paused = client.schedules.pause_many(["a", "b", "none", "a"])
    again = client.schedules.pause_many(["a"])
    resumed = client.schedules.resume_many(
        ["a", "none"], run_soon=True, within=timedelta(minutes=5)
    )
    soon = client.schedules.get("a").steered_us
    changed = client.schedules.update_many(["a", "b", "none"], every("2d", start=FAR))

    assert (["a", "b"], ["none"]) == (paused.changed, [id for id, _ in paused.refused])
    assert ["a"] == again.unchanged
    assert (["a"], ["none"]) == (resumed.changed, [id for id, _ in resumed.refused])
    assert ["a", "b"] == changed.changed
    assert soon < int(FAR.timestamp()) * 1_000_000
    assert "sweep" == client.schedules.get("b").template.kind


def test_a_preview_shows_what_a_rule_would_fire(client: Any) -> None:
    shown = client.schedules.preview(
        cron("0 9 * * *", zone="Europe/Berlin"), after=FAR, until=FAR + timedelta(days=3)
    )

    assert 3 == len(shown.occurrences)
    assert "2040-01-01T09:00:00+01:00" == shown.occurrences[0].local


def test_a_difference_shows_what_an_edit_would_change(client: Any) -> None:
    client.schedules.create("s", cron("0 9 * * *"), sweep.call())

    shown = client.schedules.difference(
        "s", cron("0 9,12 * * *"), after=FAR, until=FAR + timedelta(days=2)
    )

    assert (2, 0) == (shown.added_count, shown.removed_count)


@pytest.mark.parametrize("ask", ["preview", "difference"])
def test_a_period_ends_after_it_begins(client: Any, ask: str) -> None:
    client.schedules.create("s", YEARLY, sweep.call())
    given = () if ask == "preview" else ("s",)

    with pytest.raises(InvalidError, match="until is before after"):
        getattr(client.schedules, ask)(*given, YEARLY, after=FAR, until=FAR - timedelta(days=1))


def test_a_calendar_is_kept_listed_and_deleted(client: Any) -> None:
    client.calendars.put("holidays", [FAR.date(), "2040-12-24/2040-12-26"], rules=["FREQ=YEARLY"])
    client.calendars.put("outages", ["2040-02-01"])

    document = client.calendars.get("holidays")
    names = [client.calendars.names(limit=1), client.calendars.names(after="holidays")]
    client.calendars.delete("outages")

    assert ["2040-01-01", "2040-12-24/2040-12-26"] == document["dates"]
    assert ["FREQ=YEARLY"] == document["rules"]
    assert [["holidays"], ["outages"]] == names
    with pytest.raises(NotFoundError, match="there is no calendar 'outages'"):
        client.calendars.get("outages")


def test_a_new_calendar_moves_the_schedules_that_exclude_it(client: Any) -> None:
    client.calendars.put("holidays", ["2039-01-01"])
    client.schedules.create("s", cron("0 9 * * *", start=FAR, exclude=["holidays"]), sweep.call())
    client.schedules.create("other", cron("0 9 * * *", start=FAR), sweep.call())

    moved = client.calendars.put("holidays", ["2040-01-01/2040-01-03"])

    next_us = client.schedules.get("s").next_fire_at_us
    assert (1, datetime(2040, 1, 4, 9, tzinfo=UTC).timestamp() * 1e6) == (moved, next_us)


def test_a_calendar_that_is_excluded_is_not_deleted(client: Any) -> None:
    client.calendars.put("holidays", ["2039-01-01"])
    client.schedules.create("s", cron("0 9 * * *", exclude=["holidays"]), sweep.call())

    with pytest.raises(ConflictError, match="schedule 's' excludes the calendar 'holidays'"):
        client.calendars.delete("holidays")


def test_a_calendar_may_come_from_an_icalendar_text(client: Any) -> None:
    text = "\r\n".join(
        [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "BEGIN:VEVENT",
            "UID:1",
            "DTSTART;VALUE=DATE:20400105",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
    )

    client.calendars.put("holidays", ["2040-01-01"], ics=text)

    document = client.calendars.get("holidays")
    assert {"2040-01-05", "2040-01-01"} == set(document["dates"])
    assert ["dates"] == list(document)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"days": "2040-01-01"}, r"days is '2040-01-01'; write a list: \['2040-01-01'\]"),
        ({"rules": "FREQ=YEARLY"}, "rules is 'FREQ=YEARLY'; write a list"),
        ({"days": ["tomorrow"]}, "tomorrow"),
        ({"ics": "BEGIN:NOTHING"}, "a calendar is BEGIN:VCALENDAR"),
    ],
)
def test_what_is_no_calendar_is_refused(client: Any, given: Any, sentence: str) -> None:
    with pytest.raises(InvalidError, match=sentence):
        client.calendars.put("holidays", **given)


def test_an_unknown_calendar_is_refused(client: Any) -> None:
    with pytest.raises(InvalidError, match="there is no calendar 'holidays'"):
        client.schedules.create("s", every("1h", exclude=["holidays"]), sweep.call())


def test_one_that_would_never_fire_is_refused(client: Any) -> None:
    with pytest.raises(InvalidError, match="would never fire"):
        client.schedules.create("s", once(datetime(2020, 1, 1, tzinfo=UTC)), sweep.call())


REFUSING: list[tuple[str, Callable[[Any], Any]]] = [
    ("has no time zone", lambda s: s.set_next("s", datetime(2040, 1, 1))),  # noqa: DTZ001 - it is what is refused
    ("cannot be written as JSON", lambda s: s.set_state("s", object())),
    ("limit", lambda s: s.find(limit=0)),
    ("limit", lambda s: s.runs("s", limit=0)),
    ("limit", lambda s: s.fires("s", limit=0)),
]


@pytest.mark.parametrize(("sentence", "ask"), REFUSING)
def test_what_breaks_a_rule_is_refused(client: Any, sentence: str, ask: Any) -> None:
    client.schedules.create("s", YEARLY, sweep.call())

    with pytest.raises(InvalidError, match=sentence):
        ask(client.schedules)
