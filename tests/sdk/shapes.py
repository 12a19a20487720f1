"""Types that the handlers of the payload tests take: of the kinds that people have."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, NewType, TypedDict
from uuid import UUID

import msgspec
import pydantic

OrderId = NewType("OrderId", int)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass
class Line:
    article: str
    count: int
    price: Decimal = Decimal("1.50")
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Order:
    id: OrderId
    lines: list[Line]
    colour: Colour
    placed_at: datetime


class Parcel(msgspec.Struct):
    weight_g: int
    label: str | None = None


class Letter(msgspec.Struct, tag=True):
    pages: int


class Postcard(msgspec.Struct, tag=True):
    text: str


class Address(pydantic.BaseModel):
    street: str
    number: int = pydantic.Field(gt=0)


class Customer(pydantic.BaseModel):
    name: str
    addresses: list[Address]
    since: date


class Movie(TypedDict):
    title: str
    year: int


class Point(NamedTuple):
    x: int
    y: int


class Unknown:
    """A class that nobody can read from JSON."""


Weight = Annotated[int, msgspec.Meta(ge=0, le=100)]

ORDER = Order(
    id=OrderId(7),
    lines=[Line("tea", 2), Line("milk", 1, Decimal("0.89"), ["cold"])],
    colour=Colour.BLUE,
    placed_at=datetime.fromisoformat("2026-03-29T02:30:00+02:00"),
)
CUSTOMER = Customer(
    name="Ada", addresses=[Address(street="High", number=1)], since=date(2020, 2, 29)
)

# Annotation, and values of it that must come through as they are.
ROUND_TRIPS: list[tuple[Any, Any]] = [
    (int, -(2**63)),
    (int, 2**200),
    (float, 1e300),
    (float, 3),
    (bool, True),
    (str, 'ü "quoted" \N{SNOWMAN} \x00'),
    (None, None),
    (bytes, b"\x00\xff"),
    (bytearray, bytearray(b"\x01")),
    (datetime, datetime.fromisoformat("2026-10-25T02:30:00.000001+01:00")),
    (datetime, datetime.fromisoformat("2026-10-25T02:30:00")),
    (date, date(2026, 12, 31)),
    (time, time(23, 59, 59, 5)),
    (timedelta, timedelta(days=-1, microseconds=1)),
    (UUID, UUID("0192f0c1-2345-7abc-8def-0123456789ab")),
    (Decimal, Decimal("0.1000000000000000000001")),
    (list[int], [1, 2]),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (set[str], {"a", "b"}),
    (frozenset[int], frozenset({1})),
    (dict[str, list[float]], {"a": [1.5]}),
    (dict[int, str], {1: "a"}),
    (Colour, Colour.RED),
    (Size, Size.LARGE),
    (Line, Line("tea", 2)),
    (Order, ORDER),
    (Parcel, Parcel(5, "x")),
    (list[Parcel], [Parcel(5), Parcel(6, "y")]),
    (Letter | Postcard, Postcard("hello")),
    (Customer, CUSTOMER),
    (list[Customer], [CUSTOMER, CUSTOMER]),
    (dict[str, Customer | None], {"a": CUSTOMER, "b": None}),
    (Movie, {"title": "Metropolis", "year": 1927}),
    (Point, Point(1, 2)),
    (OrderId, OrderId(5)),
    (Weight, 100),
    (int | str | None, "a"),
    (int | str | None, None),
    (datetime | None, None),
    (Any, {"a": [1, "b", None, True]}),
    (object, [1]),
]
