"""What a schedule is by its own words, and the plan that is made of it.

A `Definition` is what is stored and compared; `Plan` is the same, ready to be asked for instants.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from tenure.kernel import validate
from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.calendar import CalendarRule, parse_calendar
from tenure.kernel.schedules.cron import parse_cron
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.interval import Interval, parse_interval
from tenure.kernel.schedules.policies import DEFAULT_POLICIES, Drift, Policies
from tenure.kernel.schedules.rrule import parse_rrule
from tenure.kernel.schedules.rule import InstantRule, LocalRule
from tenure.kernel.schedules.search import previous_at_or_before
from tenure.kernel.schedules.wallclock import Fold, WallClock
from tenure.kernel.schedules.zones import Zone, zone

SECOND_US = 1_000_000
DEFAULT_ZONE = "UTC"
RULE_CHARS_MAX = 20_000
# How many excluded instants in a row are stepped over before a plan is said to have no more.
EXCLUDED_MAX = 20_000
# A jitter is held against the shortest time between so many fires.
JITTER_LOOKS = 50

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RuleKind(StrEnum):
    """The languages in which a rule can be written."""

    INTERVAL = "interval"
    CRON = "cron"
    RRULE = "rrule"
    ONCE = "once"
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """When a schedule fires, by its own words.

    `start_us` is the first instant that counts, and what intervals and calendars are counted
    from; None until the store sets it to its own now. `end_us` is the last that counts.
    """

    rule: RuleKind
    text: str
    zone: str = DEFAULT_ZONE
    start_us: int | None = None
    end_us: int | None = None
    policies: Policies = DEFAULT_POLICIES

    def is_same(self, other: Definition) -> bool:
        """Return whether both say the same; a start that is not said is as the other has it."""
        start_us = self.start_us if other.start_us is None else other.start_us
        known_us = other.start_us if self.start_us is None else self.start_us
        return replace(self, start_us=start_us) == replace(other, start_us=known_us)

    def check(self) -> None:
        """Check what can be checked without a clock and without calendars.

        Raises:
            InvalidError: it breaks a rule of its language, or contradicts itself.
        """
        if len(self.text) > RULE_CHARS_MAX:
            raise InvalidError(
                f"the rule has {len(self.text):,} characters; at most {RULE_CHARS_MAX:,} are "
                "allowed: keep dates in a calendar and name it in exclude",
                field="rule",
            )
        for field, at_us in (("start", self.start_us), ("end", self.end_us)):
            if at_us is not None:
                validate.within(at_us, field=field, low=0, high=validate.INSTANT_MAX_US)
        start_us, end_us = self.start_us, self.end_us
        if start_us is not None and end_us is not None and end_us < start_us:
            raise InvalidError(
                f"the end {readable(end_us)} is before the start {readable(start_us)}", field="end"
            )
        if self.policies.drift is Drift.DELAY and self.rule is not RuleKind.INTERVAL:
            raise InvalidError(
                "drift='delay' counts from the end of a run, which only an interval can, and not "
                f"a rule of kind {self.rule.value!r}",
                field="drift",
            )
        plan_for(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A rule with a single instant."""

    at_us: int

    def next_after(self, after_us: int) -> int | None:
        """Return the instant if it is after *after_us*."""
        return self.at_us if after_us < self.at_us else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnWallClock:
    """A rule in local time, read on the clock of a zone."""

    rule: LocalRule
    clock: WallClock

    def next_after(self, after_us: int) -> int | None:
        """Return the first instant after *after_us* that the rule names."""
        return self.clock.next_after(self.rule, after_us)


class Plan:
    """A definition with its calendars, ready to be asked. All instants are in microseconds."""

    def __init__(self, definition: Definition, exclusions: tuple[Exclusion, ...] = ()) -> None:
        """Compile; see `plan_for`.

        Raises:
            InvalidError: the definition breaks a rule of its language.
        """
        self.definition: Definition = definition
        self.zone: Zone = zone(definition.zone)
        self._exclusions = exclusions
        self._first_us = definition.start_us
        self._last_us = definition.end_us
        self._rule: InstantRule = _rule(definition, self.zone)

    @property
    def rule(self) -> InstantRule:
        """The rule by itself, without start, end and calendars."""
        return self._rule

    def next_after(self, after_us: int) -> int | None:
        """Return the first instant after *after_us*, or None if there is no more."""
        if self._first_us is not None and after_us < self._first_us:
            after_us = self._first_us - 1
        for _ in range(EXCLUDED_MAX):
            at_us = self._rule.next_after(after_us)
            if at_us is None or (self._last_us is not None and at_us > self._last_us):
                return None
            allowed_us = self.allowed_from(at_us)
            if allowed_us <= at_us:
                return at_us
            after_us = allowed_us - 1
        return None

    def names(self, at_us: int) -> bool:
        """Return whether it is an instant of the rule."""
        return self.next_after(at_us - 1) == at_us

    def latest(self, at_us: int, *, floor_us: int) -> int | None:
        """Return the last instant that is neither after *at_us* nor before *floor_us*."""
        return previous_at_or_before(self.next_after, at_us, floor_us=floor_us)

    def excluded(self, at_us: int) -> bool:
        """Return whether a calendar takes this instant out."""
        return self.allowed_from(at_us) > at_us

    def excluded_by(self, at_us: int) -> tuple[str, ...]:
        """Return the names of the calendars that take this instant out, in the order given."""
        names = self.definition.policies.exclude
        return tuple(
            name
            for name, exclusion in zip(names, self._exclusions, strict=False)
            if exclusion.allowed_from(at_us, self.zone) > at_us
        )

    def allowed_from(self, at_us: int) -> int:
        """Return *at_us*, or where the calendar that takes it out lets go of it."""
        for exclusion in self._exclusions:
            at_us = max(at_us, exclusion.allowed_from(at_us, self.zone))
        return at_us


def checked_plan(
    definition: Definition, exclusions: tuple[Exclusion, ...], *, now_us: int
) -> tuple[Plan, int]:
    """Return the plan of a new or edited schedule, and its first instant after *now_us*.

    Raises:
        InvalidError: it breaks a rule, contradicts itself, or would never fire.
    """
    definition.check()
    if definition.start_us is None:
        definition = replace(definition, start_us=now_us)
    plan = plan_for(definition, exclusions)
    first_us = plan.next_after(now_us - 1)
    if first_us is None:
        raise InvalidError(_why_never(definition, now_us), field="rule")
    _check_jitter(plan, first_us)
    return plan, first_us


@functools.lru_cache(maxsize=20_000)
def plan_for(definition: Definition, exclusions: tuple[Exclusion, ...] = ()) -> Plan:
    """Return the plan of a definition; remembered, since most are asked again and again.

    Raises:
        InvalidError: the definition breaks a rule of its language.
    """
    return Plan(definition, exclusions)


def readable(at_us: int) -> str:
    """Write an instant as people and programs both read it: ISO 8601, in UTC."""
    instant = _EPOCH + timedelta(microseconds=at_us)
    return instant.isoformat().replace("+00:00", "Z")


def parse_instant(text: str, *, field: str) -> int:
    """Read an ISO 8601 time with its offset.

    Raises:
        InvalidError: it is not one, or says no offset.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidError(
            f"{field} {text!r} is not a time: write it as 2026-03-01T09:00:00+01:00", field=field
        ) from error
    if at.utcoffset() is None:
        raise InvalidError(
            f"{field} {text!r} has no offset from UTC: write 2026-03-01T09:00:00+01:00, or end it "
            "with Z",
            field=field,
        )
    at_us = (at - _EPOCH) // timedelta(microseconds=1)
    return validate.within(at_us, field=field, low=0, high=validate.INSTANT_MAX_US)


def _rule(definition: Definition, where: Zone) -> InstantRule:
    start_us = definition.start_us or 0
    match definition.rule:
        case RuleKind.INTERVAL:
            return Interval(every_s=parse_interval(definition.text), anchor_us=start_us)
        case RuleKind.CRON:
            return _local(parse_cron(definition.text), definition, where)
        case RuleKind.RRULE:
            start_local_s = where.local_s(start_us // SECOND_US)
            rule = parse_rrule(definition.text, start_local_s=start_local_s, zone=where)
            return _local(rule, definition, where)
        case RuleKind.ONCE:
            return Once(at_us=parse_instant(definition.text, field="at"))
        case RuleKind.CALENDAR:
            return CalendarRule(parse_calendar(definition.text), start_us, where)


def _local(rule: LocalRule, definition: Definition, where: Zone) -> InstantRule:
    policies = definition.policies
    fold = policies.fold or (Fold.BOTH if rule.is_dense else Fold.FIRST)
    return OnWallClock(rule=rule, clock=WallClock(where, policies.gap, fold))


def _check_jitter(plan: Plan, first_us: int) -> None:
    jitter_us = plan.definition.policies.jitter_us
    if not jitter_us:
        return
    at_us = first_us
    for _ in range(JITTER_LOOKS):
        next_us = plan.next_after(at_us)
        if next_us is None:
            return
        if next_us - at_us <= jitter_us:
            raise InvalidError(
                f"a jitter of {jitter_us / SECOND_US:g} s is not shorter than the "
                f"{(next_us - at_us) / SECOND_US:g} s between the fires of {readable(at_us)} and "
                f"{readable(next_us)}: make it shorter",
                field="jitter",
            )
        at_us = next_us


def _why_never(definition: Definition, now_us: int) -> str:
    what = f"the {definition.rule.value} rule {definition.text!r}"
    if definition.end_us is not None and definition.end_us < now_us:
        return f"the end {readable(definition.end_us)} has passed: {what} would never fire"
    bare = plan_for(replace(definition, end_us=None), ())
    first_us = bare.next_after(now_us - 1)
    if first_us is None:
        return f"{what} has no instant after {readable(now_us)}: it would never fire"
    if definition.end_us is not None and first_us > definition.end_us:
        return (
            f"{what} would first fire at {readable(first_us)}, after its end "
            f"{readable(definition.end_us)}"
        )
    names = ", ".join(definition.policies.exclude)
    return f"{what} would never fire: the calendars {names} exclude all of its instants"


def exclusions_of(policies: Policies, known: Mapping[str, Exclusion]) -> tuple[Exclusion, ...]:
    """Return the calendars that the policies name.

    Raises:
        InvalidError: there is none by that name.
    """
    missing = [name for name in policies.exclude if name not in known]
    if missing:
        raise InvalidError(
            f"there is no calendar {missing[0]!r}: make it first, with 'tenure calendars put'",
            field="exclude",
        )
    return tuple(known[name] for name in policies.exclude)
