"""Options of one task, checked when they are said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenure import InvalidError, Lane, LimitError, Registry, TenureError
from tenure.sdk.options import NO_OPTIONS, Options

LATER = datetime(2030, 1, 2, tzinfo=UTC)


@Registry().task
def double(n: int) -> int:
    return 2 * n


def test_without_options_everything_comes_from_the_kind() -> None:
    assert double.options().choices == NO_OPTIONS == double.call(1).choices


def test_every_option_is_kept() -> None:
    chosen = double.options(
        queue="mail",
        priority=0,
        cost=3,
        delay=timedelta(minutes=1),
        attempts=7,
        timeout=2.5,
        unique="key",
        return_existing=True,
        tags=["a", "b"],
        id="mine",
    )

    assert chosen.call(1).choices == Options(
        queue="mail",
        priority=Lane.URGENT,
        cost=3,
        delay_us=60_000_000,
        attempts=7,
        timeout_us=2_500_000,
        unique="key",
        return_existing=True,
        tags=("a", "b"),
        id="mine",
    )
    assert double.options(at=LATER).choices.run_at_us == 1_893_542_400_000_000


@pytest.mark.parametrize(
    ("options", "error", "field", "sentence"),
    [
        ({"delay": -1}, InvalidError, "delay", "delay is -1; it must not be negative"),
        ({"delay": 1e12}, InvalidError, "delay", "delay is 1000000000000000000; it must be from"),
        ({"delay": 1, "at": LATER}, InvalidError, "at", "give either delay or at, not both"),
        ({"at": datetime(2030, 1, 2)}, InvalidError, "at", "has no time zone"),  # noqa: DTZ001 - to be refused
        ({"priority": 4}, InvalidError, "priority", "priority is 4; it must be from 0 to 3"),
        ({"priority": -1}, InvalidError, "priority", "priority is -1; it must be from 0 to 3"),
        ({"priority": "high"}, InvalidError, "priority", "'high'; it must be a whole number"),
        ({"priority": True}, InvalidError, "priority", "True; it must be a whole number"),
        ({"cost": 0}, InvalidError, "cost", "cost is 0; it must be from 1 to 100000"),
        ({"cost": 1.5}, InvalidError, "cost", "cost is 1.5; it must be a whole number"),
        ({"attempts": 0}, InvalidError, "attempts", "attempts is 0; it must be from 1 to 10000"),
        ({"timeout": 0}, InvalidError, "timeout", "timeout is 0; it must be more than zero"),
        ({"timeout": "5"}, InvalidError, "timeout", "a number of seconds or a timedelta"),
        ({"queue": ""}, InvalidError, "queue", "queue must not be empty"),
        ({"queue": "a b"}, InvalidError, "queue", "may hold letters, digits"),
        ({"queue": 5}, InvalidError, "queue", "queue is 5; it must be text"),
        ({"unique": ""}, InvalidError, "unique", "unique '' must be printable"),
        ({"unique": False}, InvalidError, "unique", "unique is False; it must be text"),
        ({"unique": "x" * 201}, LimitError, None, "unique has 201 characters"),
        ({"id": " a"}, InvalidError, "id", "id ' a' must be printable"),
        ({"tags": "mail"}, InvalidError, "tags", "write a list: tags=['mail']"),
        ({"tags": ["a\n"]}, InvalidError, "tags", "must be printable text"),
        ({"tags": [1]}, InvalidError, "tags", "tags is 1; it must be text"),
        ({"tags": ["t"] * 51}, InvalidError, "tags", "tags is 51; it must be from 0 to 50"),
    ],
)
def test_an_option_that_breaks_its_rule_is_refused(
    options: dict[str, Any], error: type[TenureError], field: str | None, sentence: str
) -> None:
    with pytest.raises(error) as refused:
        double.options(**options)

    assert sentence in str(refused.value)
    if field is not None:
        assert getattr(refused.value, "field") == field  # noqa: B009 - of InvalidError only


def test_an_option_that_does_not_exist_is_refused_by_python() -> None:
    untyped: Any = double.options

    with pytest.raises(TypeError, match="unexpected keyword argument 'prioritty'"):
        untyped(prioritty=1)


def test_what_was_said_can_be_read_back() -> None:
    assert repr(double) == "<kind double>"
    assert repr(double.options(cost=2)) == "<kind double with options>"
    assert repr(double.call(1)) == "<call of double>"
