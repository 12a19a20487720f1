"""The options that say when a schedule fires and by which policies, and what they come to.

Called by `tenure schedules put` and `preview`. Times without an offset are read on the wall clock
of the schedule's zone, as its rule is; lengths of time are seconds, or texts such as `5m`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import click

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.calendar import parse_calendar
from tenure.kernel.schedules.definition import DEFAULT_ZONE, Definition, RuleKind, readable
from tenure.kernel.schedules.delta import instant_us
from tenure.kernel.schedules.interval import parse_interval
from tenure.kernel.schedules.policies import Drift, Missed, Overlap, Policies
from tenure.kernel.schedules.rrule import parse_rrule
from tenure.kernel.schedules.wallclock import Fold, Gap
from tenure.kernel.schedules.zones import zone as zone_of
from tenure.sdk.durations import duration_us

F = TypeVar("F", bound=Callable[..., Any])

TIME_FORM = "write a time such as 2030-01-31T09:00, 2030-01-31T09:00Z or 2030-01-31T09:00+01:00"
LENGTH_FORM = "write a number of seconds, or a number and a unit such as 5m; units are s, m, h, d"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_WORDS: dict[str, type[StrEnum]] = {
    "gap": Gap, "fold": Fold, "missed": Missed, "overlap": Overlap, "drift": Drift,
}  # fmt: skip
# By the names of the options.
_KINDS = {
    "every": RuleKind.INTERVAL,
    "cron": RuleKind.CRON,
    "rrule": RuleKind.RRULE,
    "once": RuleKind.ONCE,
    "calendar": RuleKind.CALENDAR,
}


def rule_options(command: F) -> F:
    """Give a command the options for a rule and its policies; it takes them all by keyword."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def has_rule(given: dict[str, Any]) -> bool:
    """Return whether any of the options was used, be it a rule or a policy."""
    return any(given[name] not in (None, ()) for name in OPTION_NAMES)


def definition_of(given: dict[str, Any]) -> Definition:
    """Return what the options say.

    Raises:
        UsageError: they name no rule, or two.
        InvalidError: a value breaks its rule, or two contradict one another.
    """
    chosen = [name for name in _KINDS if given[name] is not None]
    if len(chosen) != 1:
        names = ", ".join(f"--{name}" for name in _KINDS)
        raise click.UsageError(f"give one rule and no more: one of {names}")
    rule, text = _KINDS[chosen[0]], given[chosen[0]]
    if rule is RuleKind.RRULE:
        # A shell makes it hard to write the end of a line.
        text = text.replace("\\n", "\n")
    zone_name = given["zone"] or _own_zone(rule, text) or DEFAULT_ZONE
    definition = Definition(
        rule=rule,
        text=_stored(rule, text, zone_name),
        zone=zone_name,
        start_us=instant_or_none(given["start"], field="start", zone_name=zone_name),
        end_us=instant_or_none(given["end"], field="end", zone_name=zone_name, is_end=True),
        policies=_policies(given),
    )
    definition.check()
    return definition


def instant(text: str, *, field: str, zone_name: str, is_end: bool = False) -> int:
    """Return a time as microseconds since 1970 UTC; without an offset it is one of the zone.

    A date alone is its first moment, or as an end its last second.

    Raises:
        InvalidError: it is no time.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"{field} is {text!r}; {TIME_FORM}", field=field) from None
    if is_end and _is_date(text):
        at = at.replace(hour=23, minute=59, second=59)
    if at.utcoffset() is None:
        local_us = (at.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
        return instant_us(local_us, zone_of(zone_name))
    return (at - _EPOCH) // _MICROSECOND


def instant_or_none(
    text: str | None, *, field: str, zone_name: str, is_end: bool = False
) -> int | None:
    """Return a time as `instant` does, if there is one."""
    if text is None:
        return None
    return instant(text, field=field, zone_name=zone_name, is_end=is_end)


def length_us(text: str, *, field: str) -> int:
    """Return a length of time in microseconds.

    Raises:
        InvalidError: it is neither a number of seconds nor a number with a unit.
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parse_interval(text)
        except InvalidError:
            raise InvalidError(f"{field} is {text!r}; {LENGTH_FORM}", field=field) from None
    return duration_us(seconds, field=field)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _own_zone(rule: RuleKind, text: str) -> str | None:
    """Return the zone that a rule says itself, as a DTSTART with a TZID does."""
    return parse_rrule(text, start_local_s=0).tzid if rule is RuleKind.RRULE else None


def _stored(rule: RuleKind, text: str, zone_name: str) -> str:
    """Return the text of a rule in the form in which the SDK stores it."""
    match rule:
        case RuleKind.ONCE:
            return readable(instant(text, field="once", zone_name=zone_name))
        case RuleKind.CALENDAR:
            return parse_calendar(text).text
        case _:
            return text


def _policies(given: dict[str, Any]) -> Policies:
    values: dict[str, Any] = {
        name: word(given[name]) for name, word in _WORDS.items() if given[name] is not None
    }
    if given["missed_max"] is not None:
        values["missed_max"] = given["missed_max"]
    for name, field in (("missed_within", "missed_within"), ("jitter", "jitter")):
        if given[name] is not None:
            values[f"{field}_us"] = length_us(given[name], field=field)
    return Policies(exclude=given["exclude"], **values)


def _words(words: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([word.value for word in words])


_OPTIONS = (
    click.option("--every", metavar="LENGTH", help="At a fixed interval: 30s, 5m, 2h, 1d."),
    click.option("--cron", metavar="TEXT", help="At the times of a cron text: '0 9 * * MON-FRI'."),
    click.option("--rrule", metavar="TEXT", help="At the times of an RRULE: 'FREQ=DAILY'."),
    click.option("--once", metavar="TIME", help="At one instant: 2030-01-31T09:00Z."),
    click.option("--calendar", metavar="JSON",
                 help="""Each time so much later by the calendar: '{"months": 1}'."""),
    click.option("--zone", metavar="NAME", help="The zone of its wall clock. [default: UTC]"),
    click.option("--start", metavar="TIME", help="Nothing before; intervals are counted from it."),
    click.option("--end", metavar="TIME", help="Nothing after; a date alone includes its day."),
    click.option("--gap", type=_words(Gap),
                 help="A local time that the clocks skip. [default: shift]"),
    click.option("--fold", type=_words(Fold),
                 help="A local time that comes twice. [default: first; both if by the hour]"),
    click.option("--missed", type=_words(Missed),
                 help="Instants that nobody fired in time. [default: latest]"),
    click.option("--missed-max", type=int, metavar="N",
                 help="At most so many of them. [default: 100]"),
    click.option("--missed-within", metavar="LENGTH", help="None of them older than this."),
    click.option("--overlap", type=_words(Overlap),
                 help="What a run does while another goes on. [default: skip]"),
    click.option("--drift", type=_words(Drift),
                 help="Count an interval from its start, or from the end of each run. "
                 "[default: rate]"),
    click.option("--jitter", metavar="LENGTH", help="Delay each run by up to so long."),
    click.option("--exclude", multiple=True, metavar="NAME",
                 help="A calendar of days without runs; repeat it for more."),
)  # fmt: skip

OPTION_NAMES = (
    *_KINDS, "zone", "start", "end", *_WORDS, "missed_max", "missed_within", "jitter", "exclude",
)  # fmt: skip
