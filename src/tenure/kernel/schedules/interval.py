"""Every so many seconds: the interval texts of Kibana, and the rule they make.

`5m` is a whole number and one unit. A day is 24 hours, whatever the wall clock does, so that an
interval needs no zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.rule import LAST_S

TEXT_CHARS_MAX = 100
# 100 years, each as long as the longest.
EVERY_MAX_S = 100 * 366 * 86_400

_UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_FORM = re.compile(r"0*([1-9][0-9]*)([smhd])")
_ADVICE = (
    "Intervals must be of the form {number}m. Example: 5m. "
    "The units are s (second), m (minute), h (hour) and d (day, 24 hours)"
)


def parse_interval(text: str) -> int:
    """Return the seconds that a text such as `30s`, `5m`, `12h` or `1d` stands for.

    Raises:
        InvalidError: it has another form, is zero, or is longer than 100 years; `field` is
            "interval".
    """
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidError(
            f"interval has {len(text)} characters; at most {TEXT_CHARS_MAX} are allowed: write "
            "it as a number and a unit, such as 5m",
            field="interval",
        )
    found = _FORM.fullmatch(text)
    if found is None:
        raise InvalidError(f'Invalid interval "{text}". {_ADVICE}.', field="interval")
    every_s = int(found[1]) * _UNITS_S[found[2]]
    if every_s > EVERY_MAX_S:
        raise InvalidError(
            f"interval {text!r} is longer than 100 years; the longest is "
            f"{format_interval(EVERY_MAX_S)}",
            field="interval",
        )
    return every_s


def format_interval(seconds: int) -> str:
    """Return the shortest text that stands for a number of seconds: `90m` for 5400.

    Raises:
        InvalidError: it is not from 1 second to 100 years; `field` is "interval".
    """
    _check(seconds)
    # A larger unit never makes a longer number.
    unit = next(unit for unit, unit_s in _UNITS_S.items() if seconds % unit_s == 0)
    return f"{seconds // _UNITS_S[unit]}{unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The anchor, and every `every_s` seconds after it; an `InstantRule`.

    Raises:
        InvalidError: `every_s` is not from 1 second to 100 years; `field` is "interval".
    """

    every_s: int
    anchor_us: int

    def __post_init__(self) -> None:
        _check(self.every_s)

    def next_after(self, after_us: int) -> int | None:
        """Return its first instant after *after_us*, or None after the year 9999."""
        every_us = self.every_s * 1_000_000
        passed = max(-1, (after_us - self.anchor_us) // every_us)
        next_us = self.anchor_us + (passed + 1) * every_us
        return next_us if next_us // 1_000_000 <= LAST_S else None


def _check(seconds: int) -> None:
    if not 1 <= seconds <= EVERY_MAX_S:
        raise InvalidError(
            f"interval is {seconds} seconds; it must be from 1 to {EVERY_MAX_S}",
            field="interval",
        )
