"""The rules for the fields of a task: what passes, what does not, and which field is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from tenure.kernel import validate
from tenure.kernel.errors import InvalidError, LimitError, TenureError
from tenure.kernel.model import Lane, NewTask, TaskId

PLAIN = NewTask(id=TaskId("a"), kind="mail", payload=b"{}")
LONG = "x" * 201


def check(**fields: object) -> NewTask:
    return validate.new_task(replace(PLAIN, **fields), payload_bytes_max=10)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "app.mail:send/v2@eu+~<lambda>-x_1"},
        {"kind": "größe"},
        {"kind": "x" * 200},
        {"id": "x" * 200},
        {"id": "with space within"},
        {"payload": b"x" * 10},
        {"lane": Lane.URGENT},
        {"lane": Lane.LOW},
        {"cost": validate.COST_MAX},
        {"attempts_max": validate.ATTEMPTS_MAX_MAX},
        {"delay_us": validate.DELAY_MAX_US},
        {"run_at_us": 0},
        {"run_at_us": validate.INSTANT_MAX_US},
        {"timeout_us": 1},
        {"unique_key": "key"},
        {"tags": tuple(str(each) for each in range(validate.TAGS_MAX))},
    ],
    ids=str,
)
def test_a_task_within_the_rules_passes_as_it_is(fields: dict[str, object]) -> None:
    assert replace(PLAIN, **fields) == check(**fields)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": ""}, "kind"),
        ({"kind": "two words"}, "kind"),
        ({"kind": "line\n"}, "kind"),
        ({"queue": ""}, "queue"),
        ({"queue": "a\0b"}, "queue"),
        ({"id": ""}, "id"),
        ({"id": " a"}, "id"),
        ({"id": "a\n"}, "id"),
        ({"id": "a\0"}, "id"),
        ({"id": "\udcff"}, "id"),
        ({"lane": -1}, "priority"),
        ({"lane": 4}, "priority"),
        ({"cost": 0}, "cost"),
        ({"cost": validate.COST_MAX + 1}, "cost"),
        ({"attempts_max": 0}, "attempts_max"),
        ({"attempts_max": validate.ATTEMPTS_MAX_MAX + 1}, "attempts_max"),
        ({"delay_us": -1}, "delay"),
        ({"delay_us": validate.DELAY_MAX_US + 1}, "delay"),
        ({"run_at_us": -1}, "at"),
        ({"run_at_us": validate.INSTANT_MAX_US + 1}, "at"),
        ({"timeout_us": 0}, "timeout"),
        ({"timeout_us": validate.DELAY_MAX_US + 1}, "timeout"),
        ({"unique_key": ""}, "unique"),
        ({"unique_key": "a\0"}, "unique"),
        ({"tags": ("ok", "")}, "tags"),
        ({"tags": ("x",) * (validate.TAGS_MAX + 1)}, "tags"),
    ],
    ids=str,
)
def test_a_field_that_breaks_a_rule_is_named(fields: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check(**fields)

    assert named == caught.value.field
    assert str(caught.value).startswith(named)


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({"kind": LONG}, 200),
        ({"queue": LONG}, 200),
        ({"id": LONG}, 200),
        ({"unique_key": LONG}, 200),
        ({"tags": (LONG,)}, 200),
        ({"payload": b"x" * 11}, 10),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_too_long_is_told_with_its_bound(fields: dict[str, object], bound: int) -> None:
    with pytest.raises(LimitError) as caught:
        check(**fields)

    assert bound == caught.value.bound


def test_a_body_that_is_too_large_says_what_to_do() -> None:
    with pytest.raises(LimitError, match=r"store the large part elsewhere .* limits\.result_"):
        validate.body(b"x" * 11, field="result", bytes_max=10)


@given(text=st.text(max_size=20))
def test_a_name_or_an_identifier_that_passes_can_be_stored(text: str) -> None:
    for rule in (validate.name, validate.identifier):
        try:
            assert text == rule(text, field="kind")
        except TenureError:
            continue
        # PostgreSQL keeps no NUL, and neither database keeps half of a pair.
        assert "\0" not in text
        assert text.encode()


@given(value=st.integers(), low=st.integers(-100, 100), span=st.integers(0, 100))
def test_a_number_passes_within_closed_bounds(value: int, low: int, span: int) -> None:
    try:
        assert value == validate.within(value, field="n", low=low, high=low + span)
        passes = True
    except InvalidError:
        passes = False

    assert (low <= value <= low + span) == passes
