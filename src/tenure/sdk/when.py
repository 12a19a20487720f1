"""When something is to run, as people write it: every, cron, rrule, once, calendar.

Each returns a `When`: a rule with its policies, checked as far as that can be without a store.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, TypedDict, TypeVar, Unpack

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.definition import DEFAULT_ZONE, Definition, RuleKind, readable
from tenure.kernel.schedules.interval import format_interval, parse_interval
from tenure.kernel.schedules.policies import Drift, Missed, Overlap, Policies
from tenure.kernel.schedules.rrule import named_zone
from tenure.kernel.schedules.wallclock import Fold, Gap
from tenure.sdk.durations import Duration, duration_us, instant_us, positive_us

Word = TypeVar("Word", bound=StrEnum)


class Choices(TypedDict, total=False):
    """The policies of a schedule; `tenure.every` has them in words."""

    start: datetime
    end: datetime
    gap: Gap | Literal["shift", "skip"]
    fold: Fold | Literal["first", "second", "both"]
    missed: Missed | Literal["none", "latest", "all"]
    missed_max: int
    missed_within: Duration
    overlap: Overlap | Literal["skip", "queue_one", "queue_all", "cancel_old", "allow"]
    jitter: Duration
    exclude: Sequence[str]


@dataclass(frozen=True, slots=True)
class When:
    """A rule with its policies: what a schedule is made with."""

    definition: Definition

    def __repr__(self) -> str:
        return f"<when {self.definition.rule.value} {self.definition.text!r}>"


def every(
    interval: str | timedelta,
    *,
    drift: Drift | Literal["rate", "delay"] = Drift.RATE,
    zone: str = DEFAULT_ZONE,
    **choices: Unpack[Choices],
) -> When:
    """Return: at a fixed interval, such as ``"30s"``, ``"5m"``, ``"2h"`` or ``"1d"``.

    The first run is at the start, which is when the schedule is made unless *start* says
    otherwise; all others are counted from it, so that late runs do not shift those after them.
    With ``drift="delay"`` each is counted from the end of the run before.

    *missed* says what becomes of runs that nobody started in time: ``"none"`` are made up, the
    ``"latest"``, or ``"all"`` of them, at most *missed_max*, and none older than *missed_within*.
    *overlap* says what a run does while another is going: it is ``"skip"``-ped, waits as the only
    one (``"queue_one"``) or one of many (``"queue_all"``), has the other cancelled
    (``"cancel_old"``) or runs beside it (``"allow"``). *jitter* delays each run by up to so long,
    the same for the same run. *exclude* names calendars of days without runs; their days are those
    of *zone*. *gap* and *fold* are for rules in local time: what becomes of a time that the clocks
    skip in spring, and of one that comes twice in autumn.

    Raises:
        InvalidError: a value breaks its rule, or two policies contradict one another.
    """
    text = _interval_text(interval) if isinstance(interval, timedelta) else interval
    if not isinstance(text, str):
        raise InvalidError(
            f"the interval is {text!r}; write it as '5m', or give a timedelta", field="interval"
        )
    parse_interval(text)
    chosen = _word(Drift, drift, field="drift")
    return _when(RuleKind.INTERVAL, text, zone, choices, drift=chosen)


def cron(expression: str, *, zone: str = DEFAULT_ZONE, **choices: Unpack[Choices]) -> When:
    """Return: at the times of a cron expression of five fields, or six with seconds first.

    Names, ranges, steps and ``L``, ``W`` and ``#`` are understood. The rest is as in `every`.

    Raises:
        InvalidError: the expression cannot be read or would never fire, or as `every`.
    """
    return _when(RuleKind.CRON, expression, zone, choices)


def rrule(text: str, *, zone: str = DEFAULT_ZONE, **choices: Unpack[Choices]) -> When:
    """Return: at the times of an RRULE (RFC 5545), with DTSTART, RDATE and EXDATE lines if any.

    Without a DTSTART the rule starts at *start*. A DTSTART with a TZID says the zone itself. The
    rest is as in `every`.

    Raises:
        InvalidError: the rule cannot be read or would never fire, or as `every`.
    """
    if zone == DEFAULT_ZONE and isinstance(text, str):
        zone = named_zone(text) or zone
    return _when(RuleKind.RRULE, text, zone, choices)


def once(at: datetime, **choices: Unpack[Choices]) -> When:
    """Return: at one instant, a datetime with a time zone. The rest is as in `every`."""
    return _when(RuleKind.ONCE, readable(instant_us(at, field="at")), DEFAULT_ZONE, choices)


def calendar(  # noqa: PLR0913 - each is one independent amount, by keyword only
    *,
    years: int = 0,
    months: int = 0,
    days: int = 0,
    hours: int = 0,
    minutes: int = 0,
    reset_to: dict[str, int] | None = None,
    zone: str = DEFAULT_ZONE,
    **choices: Unpack[Choices],
) -> When:
    """Return: at the start, and each time so much later by the calendar of the zone.

    A month from 31 January is 29 February in a leap year, and the one after it 31 March. With
    *reset_to* parts of the local time are then set: ``{"day": 1, "hour": 9}``. The rest is as in
    `every`.

    Raises:
        InvalidError: it does not move forward, a part is unknown, or as `every`.
    """
    amounts = {
        "years": years, "months": months, "days": days, "hours": hours, "minutes": minutes,
    }  # fmt: skip
    document: dict[str, object] = {name: amount for name, amount in amounts.items() if amount}
    if reset_to is not None:
        document["resetTo"] = reset_to
    return _when(RuleKind.CALENDAR, json.dumps(document), zone, choices)


def _when(
    rule: RuleKind, text: str, zone: str, choices: Choices, *, drift: Drift = Drift.RATE
) -> When:
    if not isinstance(text, str):
        raise InvalidError(f"the rule is {text!r}; it must be text", field="rule")
    for name in choices:
        if name not in Choices.__annotations__:
            known = ", ".join(Choices.__annotations__)
            raise InvalidError(f"there is no choice {name!r}: use one of {known}", field=name)
    start, end = choices.get("start"), choices.get("end")
    within, fold = choices.get("missed_within"), choices.get("fold")
    exclude = choices.get("exclude", ())
    if isinstance(exclude, str):
        raise InvalidError(f"exclude is {exclude!r}; write a list: [{exclude!r}]", field="exclude")
    policies = Policies(
        gap=_word(Gap, choices.get("gap", Gap.SHIFT), field="gap"),
        fold=None if fold is None else _word(Fold, fold, field="fold"),
        missed=_word(Missed, choices.get("missed", Missed.LATEST), field="missed"),
        missed_max=choices.get("missed_max", Policies().missed_max),
        missed_within_us=None if within is None else positive_us(within, field="missed_within"),
        overlap=_word(Overlap, choices.get("overlap", Overlap.SKIP), field="overlap"),
        drift=drift,
        jitter_us=duration_us(choices.get("jitter", 0), field="jitter"),
        exclude=tuple(exclude),
    )
    definition = Definition(
        rule=rule,
        text=text,
        zone=zone,
        start_us=None if start is None else instant_us(start, field="start"),
        end_us=None if end is None else instant_us(end, field="end"),
        policies=policies,
    )
    definition.check()
    return When(definition)


def _word(words: type[Word], value: str, *, field: str) -> Word:
    try:
        return words(value)
    except ValueError:
        known = ", ".join(repr(word.value) for word in words)
        raise InvalidError(f"{field} is {value!r}; use one of {known}", field=field) from None


def _interval_text(interval: timedelta) -> str:
    seconds, rest = divmod(interval, timedelta(seconds=1))
    if rest:
        raise InvalidError(
            f"an interval of {interval} has parts of a second; use whole seconds", field="interval"
        )
    return format_interval(seconds)
