"""The codec: arguments and results to JSON and back, by the handler's own annotations."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar
from uuid import UUID

import pytest
from hypothesis import given, settings, strategies as st

from tenure import ConfigError, InvalidError, Registry
from tenure.sdk.payload import Codec
from tests.sdk import shapes
from tests.sdk.shapes import (
    CUSTOMER,
    ORDER,
    ROUND_TRIPS,
    Address,
    Colour,
    Customer,
    Line,
    Order,
    Parcel,
    Unknown,
    Weight,
)

if TYPE_CHECKING:
    from somewhere import Ghost  # type: ignore[import-not-found]  # it is meant to be missing

P = ParamSpec("P")
R = TypeVar("R")


def codec(function: Callable[..., Any]) -> Codec:
    return Codec(function, kind="mail")


def round_trip(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what the handler gets for a call, as its own return value."""
    made = codec(function)
    positional, named = made.decode(made.encode(args, kwargs))
    return function(*positional, **named)


def taking(annotation: Any) -> Callable[..., Any]:
    def handler(value: Any) -> Any:
        return value

    handler.__annotations__ = {"value": annotation, "return": annotation}
    return handler


# Values.


@pytest.mark.parametrize(("annotation", "value"), ROUND_TRIPS, ids=lambda case: repr(case)[:40])
def test_a_value_comes_through_as_it_is(annotation: Any, value: Any) -> None:
    made = codec(taking(annotation))

    (argument,), _ = made.decode(made.encode((value,), {}))
    result = made.decode_result(made.encode_result(value))

    assert argument == value
    assert type(argument) is type(value) or annotation is float
    assert result == value


def test_a_zone_is_kept_as_an_instant() -> None:
    at = datetime.fromisoformat("2026-07-01T12:00:00+02:00")

    came = round_trip(taking(datetime), at)

    assert came == at
    assert came.astimezone(UTC).hour == 10


def test_a_literal_takes_only_its_words() -> None:
    def handler(mode: Literal["fast", "safe"]) -> str:
        return mode

    assert round_trip(handler, "fast") == "fast"
    with pytest.raises(InvalidError, match=r"Invalid enum value 'slow' - at `\$\.mode`"):
        codec(handler).encode(("slow",), {})


def test_a_model_nested_in_lists_is_validated_by_its_own_rules() -> None:
    wrong = CUSTOMER.model_copy(
        update={"addresses": [Address.model_construct(street="Low", number=-1)]}
    )

    with pytest.raises(InvalidError, match=r"(?s)greater than 0.*`\$\.value\[0\]`"):
        codec(taking(list[Customer])).encode(([wrong],), {})


def test_a_payload_is_an_object_with_a_field_for_each_argument() -> None:
    def handler(order: Order, *more: int, note: str, **rest: bool) -> None: ...

    payload = codec(handler).encode((ORDER, 1, 2), {"note": "n", "gift": True})

    assert json.loads(payload) == {
        "order": {
            "id": 7,
            "lines": [
                {"article": "tea", "count": 2, "price": "1.50", "tags": []},
                {"article": "milk", "count": 1, "price": "0.89", "tags": ["cold"]},
            ],
            "colour": "blue",
            "placed_at": "2026-03-29T02:30:00+02:00",
        },
        "more": [1, 2],
        "note": "n",
        "rest": {"gift": True},
    }


# Signatures.


def everything(
    first: int,
    second: str = "two",
    /,
    third: float = 3.0,
    *extra: int,
    named: bool,
    default: str | None = None,
    **rest: int,
) -> tuple[Any, ...]:
    return (first, second, third, extra, named, default, rest)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1,), {"named": True}),
        ((1, "b"), {"named": False, "third": 4.0}),
        ((1, "b", 5.0), {"named": True, "default": "d"}),
        ((1, "b", 5.0, 6, 7), {"named": True, "x": 8, "y": 9}),
        # What can be given by position only is free as a name.
        ((1,), {"named": True, "first": 2, "second": 3}),
    ],
)
def test_arguments_are_bound_as_python_binds_them(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert round_trip(everything, *args, **kwargs) == everything(*args, **kwargs)


def nothing() -> str:
    return "nothing"


def plain(a: int, b: str = "x") -> tuple[int, str]:
    return (a, b)


def by_name_only(*, a: int, b: str = "x") -> tuple[int, str]:
    return (a, b)


def by_position_only(a: int, b: str = "x", /) -> tuple[int, str]:
    return (a, b)


def bare(a, b=None):  # type: ignore[no-untyped-def]  # a handler need not be annotated
    return (a, b)


@pytest.mark.parametrize(
    ("handler", "args", "kwargs"),
    [
        (nothing, (), {}),
        (plain, (1,), {}),
        (plain, (1, "y"), {}),
        (plain, (), {"b": "y", "a": 1}),
        (plain, (1,), {"b": "y"}),
        (by_name_only, (), {"a": 1}),
        (by_position_only, (1, "y"), {}),
        (bare, (1, {"any": ["thing"]}), {}),
    ],
)
def test_plain_signatures_take_what_python_lets_them_take(
    handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert round_trip(handler, *args, **kwargs) == handler(*args, **kwargs)


@pytest.mark.parametrize(
    ("handler", "args", "kwargs", "sentence"),
    [
        (nothing, (1,), {}, "the call of 'mail' has 1 arguments by position; it takes 0"),
        (plain, (1, "y", 2), {}, "the call of 'mail' has 3 arguments by position; it takes 2"),
        (plain, (), {}, "the call of 'mail' misses 'a'"),
        (plain, (1,), {"a": 2}, "the call of 'mail' has 'a' twice"),
        (plain, (1,), {"c": 2}, "the call of 'mail' has 'c', which is no parameter of it"),
        (
            by_position_only,
            (1,),
            {"b": "y"},
            "the call of 'mail' has 'b' by name; it is taken by position only",
        ),
        (by_name_only, (1,), {}, "the call of 'mail' has 1 arguments by position; it takes 0"),
        (everything, (), {}, "the call of 'mail' misses 'first', 'named'"),
        (
            plain,
            ("one",),
            {},
            "the arguments of 'mail' do not fit its annotations: "
            "Expected `int`, got `str` - at `$.a`",
        ),
        (
            plain,
            (None,),
            {},
            "the arguments of 'mail' do not fit its annotations: "
            "Expected `int`, got `null` - at `$.a`",
        ),
        (
            everything,
            (1, "b", 1.0, "c"),
            {"named": True},
            "the arguments of 'mail' do not fit its annotations: "
            "Expected `int`, got `str` - at `$.extra[0]`",
        ),
        (
            everything,
            (1,),
            {"named": True, "x": "y"},
            "the arguments of 'mail' do not fit its annotations: "
            "Expected `int`, got `str` - at `$.rest[...]`",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidError) as refused:
        codec(handler).encode(args, kwargs)

    assert sentence == str(refused.value)
    assert refused.value.field == "payload"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Unknown(), "a value of type Unknown"),
        ({(1, 2): 3}, "a value of type tuple"),
        (10j, "a value of type complex"),
        ("\ud800", "surrogates not allowed"),
    ],
)
def test_what_json_cannot_hold_is_refused(value: Any, said: str) -> None:
    with pytest.raises(InvalidError, match="arguments of 'mail' cannot be written as JSON") as told:
        codec(taking(Any)).encode((value,), {})

    assert said in str(told.value)


def test_not_a_number_is_refused_where_a_number_is_promised() -> None:
    with pytest.raises(InvalidError, match="Expected `float`, got `null`"):
        codec(taking(float)).encode((float("nan"),), {})


def test_a_value_within_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)

    with pytest.raises(InvalidError, match="cannot be written as JSON"):
        codec(taking(Any)).encode((circle,), {})


def test_a_bound_in_the_annotation_is_kept() -> None:
    assert round_trip(taking(Weight), 100) == 100
    with pytest.raises(InvalidError, match="Expected `int` <= 100"):
        codec(taking(Weight)).encode((101,), {})


# What is stored meets what the code has become.


def test_a_default_is_that_of_the_code_that_runs() -> None:
    def before(a: int) -> tuple[int, str]:
        return (a, "before")

    def after(a: int, b: str = "new") -> tuple[int, str]:
        return (a, b)

    args, kwargs = codec(after).decode(codec(before).encode((1,), {}))

    assert after(*args, **kwargs) == (1, "new")


def test_a_default_is_one_object_as_in_python() -> None:
    fallback = Line("none", 0)

    def handler(line: Line = fallback) -> Line:
        return line

    assert round_trip(handler) is fallback


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"a":1,"gone":2}', "Object contains unknown field `gone`"),
        (b"{}", "Object missing required field `a`"),
        (b'{"a":"x"}', "Expected `int`, got `str`"),
        (b"[1]", "Expected `object`, got `array`"),
        (b"{", "Input data was truncated"),
        (b'{"a":1,"b":"\xff"}', "utf-8"),
    ],
)
def test_a_stored_payload_that_does_not_fit_is_refused(payload: bytes, said: str) -> None:
    with pytest.raises(
        InvalidError, match="the payload does not fit the signature of 'mail'"
    ) as refused:
        codec(plain).decode(payload)

    assert said in str(refused.value)


def test_a_payload_nested_too_deeply_is_refused() -> None:
    deep = b'{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

    with pytest.raises(InvalidError, match="does not fit the signature"):
        codec(taking(Any)).decode(deep)


def test_a_stored_result_that_does_not_fit_is_refused() -> None:
    def handler() -> Parcel: ...  # type: ignore[empty-body]  # only its annotation is looked at

    with pytest.raises(InvalidError, match="stored result does not fit the annotation") as refused:
        codec(handler).decode_result(b'{"weight":1}')

    assert refused.value.field == "result"


def test_a_result_without_annotation_comes_as_plain_values() -> None:
    assert codec(bare).decode_result(b'{"a":[1,null]}') == {"a": [1, None]}


def test_a_result_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidError, match="the result of 'mail' cannot be written as JSON"):
        codec(plain).encode_result(Unknown())


# Annotations.


def haunted(ghost: Ghost) -> None: ...


def garbled(a) -> None: ...  # type: ignore[no-untyped-def]  # it is annotated below


garbled.__annotations__ = {"a": "int |"}


def test_an_annotation_that_is_not_there_is_told_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"'Ghost' is not defined.*outside of 'if TYPE_CHECKING'"):
        codec(haunted)


def test_an_annotation_that_is_no_python_is_told() -> None:
    with pytest.raises(ConfigError, match="an annotation of kind 'mail' cannot be understood"):
        codec(garbled)


def test_an_annotation_that_json_cannot_tell_apart_is_told() -> None:
    with pytest.raises(ConfigError, match="an annotation of kind 'mail' cannot be read from JSON"):
        codec(taking(Parcel | Line))


def test_an_unreadable_class_is_told_when_a_value_comes() -> None:
    made = codec(taking(Unknown))

    with pytest.raises(InvalidError, match="type Unknown cannot be read from JSON"):
        made.decode(b'{"value":1}')


def test_a_bad_annotation_is_told_when_the_kind_is_first_used() -> None:
    kind = Registry().task(haunted)

    with pytest.raises(ConfigError, match="kind 'haunted'"):
        kind.call(1)


def test_what_cannot_be_looked_into_is_told() -> None:
    with pytest.raises(ConfigError, match="the signature of kind 'mail' is not known"):
        codec(dict.update)


def test_a_wrapped_handler_has_the_signature_of_what_it_wraps() -> None:
    def loudly(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(*args, **kwargs)

        return wrapper

    assert codec(loudly(plain)).encode((1, "b"), {}) == b'{"a":1,"b":"b"}'
    with pytest.raises(InvalidError):
        codec(loudly(plain)).encode(("b",), {})


# Whatever there is.

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
ZONED = st.datetimes(timezones=st.just(UTC) | st.timezones())
LINES = st.builds(Line, TEXT, st.integers(0, 2**31), DECIMALS, st.lists(TEXT, max_size=3))
ORDERS = st.builds(
    Order,
    st.integers(0, 2**31).map(shapes.OrderId),
    st.lists(LINES, max_size=3),
    st.sampled_from(Colour),
    ZONED.map(lambda at: at.replace(microsecond=at.microsecond).astimezone(UTC)),
)
CUSTOMERS = st.builds(
    Customer,
    name=TEXT,
    addresses=st.lists(st.builds(Address, street=TEXT, number=st.integers(1, 99)), max_size=2),
    since=st.dates(),
)


@given(value=JSON)
@settings(deadline=None)
def test_any_json_comes_through(value: Any) -> None:
    assert round_trip(taking(Any), value) == value


@given(
    orders=st.lists(ORDERS, max_size=3),
    customer=st.none() | CUSTOMERS,
    ids=st.dictionaries(st.uuids().map(str), st.uuids(), max_size=3),
    spans=st.lists(st.timedeltas(timedelta(days=-999), timedelta(days=999)), max_size=3),
    raw=st.binary(max_size=50),
)
@settings(deadline=None)
def test_any_typed_values_come_through(
    orders: list[Order],
    customer: Customer | None,
    ids: dict[str, UUID],
    spans: list[timedelta],
    raw: bytes,
) -> None:
    def handler(
        orders: list[Order],
        customer: Customer | None,
        *spans: timedelta,
        raw: bytes,
        day: date = date.min,
        **ids: UUID,
    ) -> tuple[Any, ...]:
        return (orders, customer, spans, raw, day, ids)

    came = round_trip(handler, orders, customer, *spans, raw=raw, **ids)

    assert came == (orders, customer, tuple(spans), raw, date.min, ids)


@given(amount=DECIMALS)
def test_any_amount_keeps_its_digits(amount: Decimal) -> None:
    came = round_trip(taking(Decimal), amount)

    assert str(came) == str(amount)
