"""State that runs of a schedule hand on, as it is written, read and brought up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import tenure
from tenure import UNCHANGED, ConfigError, InvalidError, Next, Registry, every
from tenure.sdk.payload import encode_json
from tenure.sdk.recurring import States, completed

AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Cursor:
    page: int
    seen: list[str]


def states(
    type_: Any = Any, *, version: int = 1, migrations: dict[int, Any] | None = None
) -> States:
    return States("work", type_=type_, version=version, migrations=migrations or {})


@pytest.mark.parametrize(
    ("type_", "state"),
    [
        (Any, {"a": [1, None, "x"]}),
        (Any, None),
        (int, 5),
        (Cursor, Cursor(page=3, seen=["a"])),
        (list[Cursor], [Cursor(page=3, seen=[])]),
        (datetime, AT),
    ],
    ids=repr,
)
def test_state_is_read_as_it_was_written(type_: Any, state: Any) -> None:
    made = states(type_)

    assert state == made.decode(made.encode(state))


def test_before_the_first_state_there_is_none() -> None:
    assert states(Cursor).decode(None) is None


def test_state_is_stored_with_its_version() -> None:
    assert b'{"v":7,"s":{"page":1,"seen":[]}}' == states(version=7).encode(Cursor(page=1, seen=[]))


@pytest.mark.parametrize("stored", [1, 2, 3])
def test_each_version_takes_the_steps_from_it_on(stored: int) -> None:
    taken: list[int] = []

    def step(number: int) -> Any:
        def up(state: Any) -> Any:
            taken.append(number)
            return [*state, number]

        return up

    newest = states(list[int], version=4, migrations={number: step(number) for number in (1, 2, 3)})

    state = newest.decode(states(version=stored).encode([0]))

    assert [0, *range(stored, 4)] == state
    assert [*range(stored, 4)] == taken


def test_state_of_the_newest_version_takes_no_step() -> None:
    newest = states(int, version=2, migrations={1: lambda _: 1 / 0})

    assert 5 == newest.decode(newest.encode(5))


@pytest.mark.parametrize(
    ("reader", "stored", "sentence"),
    [
        (states(version=2), b'{"v":3,"s":1}', "of version 3, and this code knows versions up to 2"),
        (states(version=3, migrations={2: str}), b'{"v":1,"s":1}', "there is no migration from it"),
        (states(int), b'{"v":1,"s":"x"}', "the state of 'work' does not fit its type"),
        (states(int, version=2, migrations={1: str}), b'{"v":1,"s":1}', "does not fit its type"),
        (states(), b"nonsense", "the state of 'work' is not one"),
        (states(), b'{"s":1}', "the state of 'work' is not one"),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_state_that_cannot_be_read_is_refused(reader: States, stored: bytes, sentence: str) -> None:
    with pytest.raises(InvalidError, match=sentence) as caught:
        reader.decode(stored)

    assert "state" == caught.value.field


@pytest.mark.parametrize(("type_", "state"), [(int, "x"), (Cursor, {"page": 1}), (Any, object())])
def test_state_that_could_not_be_read_back_is_not_written(type_: Any, state: object) -> None:
    with pytest.raises(InvalidError, match="the state of 'work'"):
        states(type_).encode(state)


@pytest.mark.parametrize(
    ("version", "migrations", "sentence"),
    [
        (0, {}, "state_version is 0; the first is 1"),
        (2, {2: str}, "leads from state version 2, and the newest is 2"),
        (2, {0: str}, "leads from state version 0, and the newest is 2"),
    ],
)
def test_versions_that_contradict_one_another_are_refused(
    version: int, migrations: dict[int, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        states(version=version, migrations=migrations)


def outcome(value: Next[Any]) -> Any:
    return completed(value, states(), lambda result: encode_json(result, what="the result"))


def test_a_next_without_anything_says_nothing() -> None:
    said = outcome(Next())

    assert (b"null", None, None) == (said.result, said.carry, said.steer)


def test_a_next_says_what_is_in_it() -> None:
    said = outcome(Next(result=3, state={"a": 1}, at=AT, when=every("5m")))

    assert (b"3", b'{"v":1,"s":{"a":1}}') == (said.result, said.carry)
    assert 1_767_225_600_000_000 == said.steer.next_us
    assert every("5m").definition == said.steer.definition


@pytest.mark.parametrize("value", [Next(at=AT), Next(when=every("5m"))], ids=["at", "when"])
def test_either_of_when_and_at_is_said_alone(value: Next[Any]) -> None:
    steer = outcome(value).steer

    assert (value.at is None, value.when is None) == (
        steer.next_us is None,
        steer.definition is None,
    )


def test_no_state_and_the_state_none_are_two_things() -> None:
    assert outcome(Next(state=UNCHANGED)).carry is None
    assert b'{"v":1,"s":null}' == outcome(Next(state=None)).carry
    assert "UNCHANGED" == repr(UNCHANGED)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidError, match="has no time zone"):
        outcome(Next(at=datetime(2026, 1, 1)))  # noqa: DTZ001 - it is what is refused


def test_a_task_declares_its_schedule_under_its_name() -> None:
    registry = Registry()

    @registry.task(schedule=every("5m"), state=Cursor, state_version=2, migrate_state={1: str})
    def work() -> None: ...

    declared = registry.declared["work"]
    assert ("work", every("5m"), False) == (declared.id, declared.when, declared.paused)
    assert work is declared.call.kind
    assert b'{"v":2,"s":{"page":1,"seen":[]}}' == work.states.encode(Cursor(page=1, seen=[]))


def test_a_task_that_needs_arguments_cannot_declare_a_schedule_without_them() -> None:
    registry = Registry()

    with pytest.raises(InvalidError, match="work"):

        @registry.task(schedule=every("5m"))
        def work(size: int) -> None: ...


def test_schedules_are_declared_under_other_names_and_with_arguments() -> None:
    registry = Registry()

    @registry.task
    def work(size: int) -> None: ...

    registry.schedule("small", every("5m"), work.call(1))
    registry.schedule("large", every("1h"), work.call(9), paused=True)

    assert {"small": False, "large": True} == {
        declared.id: declared.paused for declared in registry.declared.values()
    }


def test_an_id_is_declared_by_one_handler_only() -> None:
    registry = Registry()
    for name in ("a", "b"):
        registry.task(name=name)(lambda: None)
    registry.schedule("nightly", every("1d"), registry.get("a").call())

    with pytest.raises(ConfigError, match="schedule 'nightly' is declared twice"):
        registry.schedule("nightly", every("1d"), registry.get("b").call())


@pytest.mark.parametrize(("rule", "size"), [("2d", 1), ("1d", 2)])
def test_an_id_has_one_rule_and_one_call(rule: str, size: int) -> None:
    """The last one won, without a word."""
    registry = Registry()

    @registry.task
    def work(size: int) -> None: ...

    registry.schedule("nightly", every("1d"), work.call(1))

    with pytest.raises(ConfigError, match="schedule 'nightly' is declared twice"):
        registry.schedule("nightly", every(rule), work.call(size))


def test_a_module_that_is_loaded_twice_may_declare_its_schedules_twice() -> None:
    registry = Registry()

    def load() -> None:
        @registry.task(schedule=every("1d"))
        def work() -> None: ...

    load()
    load()

    assert ["work"] == list(registry.declared)


def test_the_id_of_a_declared_schedule_keeps_the_rules_of_ids() -> None:
    registry = Registry()
    registry.task(name="a")(lambda: None)

    with pytest.raises(InvalidError):
        registry.schedule("", every("1d"), registry.get("a").call())


def test_the_names_are_in_the_package() -> None:
    names = ["every", "cron", "rrule", "once", "calendar", "Next", "UNCHANGED", "schedule", "When"]

    assert all(hasattr(tenure, name) for name in names)


class Page(msgspec.Struct):
    """A result with a type of its own."""

    number: int


def wrapped() -> Next[Page]:
    return Next(result=Page(1))


def bare() -> Next:  # type: ignore[type-arg] # as people may write it
    return Next(result=1)


@pytest.mark.parametrize(
    ("function", "body", "result"), [(wrapped, b'{"number":2}', Page(2)), (bare, b"[3]", [3])]
)
def test_a_result_that_was_wrapped_is_read_as_what_it_is(
    function: Callable[[], object], body: bytes, result: object
) -> None:
    """It was read as a `Next`, which no stored result fits."""
    assert result == Registry().task(function).codec.decode_result(body)
