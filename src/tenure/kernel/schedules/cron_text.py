"""The grammar of cron texts: from the text to the values that each field allows.

Called by `cron.py` only, which knows what the values mean for the calendar. Values are bit masks:
bit 5 of the minutes says whether minute 5 is one of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tenure.kernel.errors import InvalidError

TEXT_CHARS_MAX = 500

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_NEAREST = re.compile(r"([0-9]+)W")
_BEFORE_LAST = re.compile(r"L-([0-9]+)")
_ORDINAL_MAX = 5
_BEFORE_LAST_MAX = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Which days of a month are meant.

    `dates` is a mask of days; `before_last` one of distances from the last day (bit 0 for `L`,
    bit 3 for `L-3`); `nearest` one of days whose nearest weekday is meant (`15W`).
    `is_last_weekday` is `LW`. `is_star`: the field begins with a star.
    """

    dates: int
    before_last: int
    nearest: int
    is_last_weekday: bool
    is_star: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekdays:
    """Which weekdays are meant; bit 0 is Sunday.

    `every` is a mask of those meant every week, `last` of those meant in the last week of a month
    (`5L`); `ordinals` holds pairs of a weekday and its place in the month (`MON#2` is (1, 2)).
    `is_star`: the field begins with a star.
    """

    every: int
    last: int
    ordinals: tuple[tuple[int, int], ...]
    is_star: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The six fields of a cron text; where the text has five, the second is 0."""

    seconds: int
    minutes: int
    hours: int
    days: Days
    months: int
    weekdays: Weekdays


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """What may stand in a field; `names` are those of `low` and the values after it."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    note: str = ""

    @property
    def allowed(self) -> str:
        """What a value may be, as the end of a sentence."""
        numbers = f"a number from {self.low} to {self.high}{self.note}"
        return (
            f"{numbers} or a name from {self.names[0]} to {self.names[-1]}"
            if self.names
            else (numbers)
        )


_SECOND = _Field(name="second", low=0, high=59)
_MINUTE = _Field(name="minute", low=0, high=59)
_HOUR = _Field(name="hour", low=0, high=23)
_DAY = _Field(name="day", low=1, high=31)
_MONTH = _Field(
    name="month",
    low=1,
    high=12,
    names=tuple("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()),
)
_WEEKDAY = _Field(
    name="weekday",
    low=0,
    high=7,
    names=tuple("SUN MON TUE WED THU FRI SAT".split()),
    note=" (0 and 7 are Sunday)",
)


def read_fields(text: str) -> Fields:
    """Return what the fields of a cron text allow, each by itself.

    Raises:
        InvalidError: the text breaks the grammar; `field` is "cron".
    """
    second, minute, hour, day, month, weekday = _split(text)
    return Fields(
        seconds=_mask(_SECOND, second),
        minutes=_mask(_MINUTE, minute),
        hours=_mask(_HOUR, hour),
        days=_days(day),
        months=_mask(_MONTH, month),
        weekdays=_weekdays(weekday),
    )


def _split(text: str) -> list[str]:
    """Return the six fields, in capitals, with macros and the second filled in."""
    if len(text) > TEXT_CHARS_MAX:
        raise _invalid(
            f"cron has {len(text)} characters; at most {TEXT_CHARS_MAX} are allowed: make a "
            "schedule of each part"
        )
    if not text.isascii():
        raise _invalid(f"cron {text!r} may hold letters, digits and * , - / ? L W # only")
    fields = text.upper().split()
    if len(fields) == 1 and fields[0].startswith("@"):
        macro = MACROS.get(fields[0].lower())
        if macro is None:
            raise _invalid(f"cron {text!r} is not a known name; it may be {', '.join(MACROS)}")
        fields = macro.split()
    if len(fields) == 5:
        return ["0", *fields]
    if len(fields) == 6:
        return fields
    raise _invalid(
        f"cron {text!r} has {len(fields)} fields; it must have five (minute hour day month "
        "weekday) or six (second first)"
    )


def _mask(field: _Field, text: str) -> int:
    """Return the values of a field that has nothing but numbers, names, ranges and steps."""
    mask = 0
    for entry in text.split(","):
        mask |= _entry(field, entry)
    return mask


def _days(text: str) -> Days:
    dates = before_last = nearest = 0
    is_last_weekday = False
    for entry in _entries(text):
        if entry == "L":
            before_last |= 1
        elif entry == "LW":
            is_last_weekday = True
        elif found := _BEFORE_LAST.fullmatch(entry):
            distance = int(found[1])
            if not 1 <= distance <= _BEFORE_LAST_MAX:
                raise _invalid(
                    f"day {entry!r} counts back from the last day of the month: give L- and a "
                    f"number from 1 to {_BEFORE_LAST_MAX}"
                )
            before_last |= 1 << distance
        elif found := _NEAREST.fullmatch(entry):
            nearest |= 1 << _value(_DAY, found[1])
        else:
            dates |= _entry(_DAY, entry)
    return Days(
        dates=dates,
        before_last=before_last,
        nearest=nearest,
        is_last_weekday=is_last_weekday,
        is_star=_is_star(text),
    )


def _weekdays(text: str) -> Weekdays:
    every = last = 0
    ordinals = []
    for entry in _entries(text):
        if entry == "L":
            raise _invalid(
                "weekday 'L' does not say which day; give one, as in '5L' or 'FRIL' for the last "
                "Friday of the month"
            )
        if entry.endswith("L"):
            last |= 1 << _value(_WEEKDAY, entry[:-1]) % 7
        elif "#" in entry:
            ordinals.append(_ordinal(entry))
        else:
            every |= _entry(_WEEKDAY, entry)
    # Sunday is both 0 and 7, and a range that wraps goes beyond.
    every = (every | every >> 7) & 0b111_1111
    return Weekdays(every=every, last=last, ordinals=tuple(ordinals), is_star=_is_star(text))


def _entries(text: str) -> list[str]:
    """Return the entries of a field for days, in which a question mark alone means any."""
    return ["*"] if text == "?" else text.split(",")


def _is_star(text: str) -> bool:
    return text.startswith(("*", "?"))


def _ordinal(entry: str) -> tuple[int, int]:
    """Return a weekday and its place in the month."""
    weekday, _, place = entry.partition("#")
    value = _value(_WEEKDAY, weekday) % 7
    if not place.isdigit() or not 1 <= int(place) <= _ORDINAL_MAX:
        raise _invalid(
            f"weekday {entry!r} can never come: no month has the same weekday more than "
            f"{_ORDINAL_MAX} times, so that the number after # must be from 1 to {_ORDINAL_MAX}"
        )
    return value, int(place)


def _entry(field: _Field, entry: str) -> int:
    """Return the values of `*`, `5`, `5-10`, or one of them with a step."""
    span, slash, step_text = entry.partition("/")
    step = _step(field, entry, step_text) if slash else 1
    if span == "*":
        low, high = field.low, field.high
    elif "-" in span:
        low, high = _range(field, span)
    else:
        low = _value(field, span)
        high = field.high if slash else low
    return sum(1 << value for value in range(low, high + 1, step))


def _range(field: _Field, span: str) -> tuple[int, int]:
    low_text, _, high_text = span.partition("-")
    low, high = _value(field, low_text), _value(field, high_text)
    if low <= high:
        return low, high
    if field is _WEEKDAY:
        return low, high + 7
    raise _invalid(
        f"{field.name} {span!r} runs backwards; give the two parts on their own, as in "
        f"'{low_text}-{field.high},{field.low}-{high_text}'"
    )


def _step(field: _Field, entry: str, step_text: str) -> int:
    if not step_text.isdigit() or int(step_text) == 0:
        raise _invalid(
            f"{field.name} {entry!r} has the step {step_text!r}; after / comes a number from 1 on"
        )
    return int(step_text)


def _value(field: _Field, text: str) -> int:
    if text in field.names:
        return field.low + field.names.index(text)
    if not text.isdigit() or not field.low <= int(text) <= field.high:
        raise _invalid(f"{field.name} {text!r} is not allowed; give {field.allowed}")
    return int(text)


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, field="cron")
