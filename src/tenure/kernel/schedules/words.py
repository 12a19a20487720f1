"""Say in plain English when a schedule fires, and what it does where its rule leaves a choice.

Called by whatever shows schedules to people. `describe` is exact: it leaves out no part of a rule
that changes when it fires. Times of day are those of the schedule's zone, which is named unless
it is UTC, and are cut to the second.
"""

from __future__ import annotations

from tenure.kernel.schedules import words_values as say
from tenure.kernel.schedules.calendar import CalendarRule
from tenure.kernel.schedules.definition import (
    DEFAULT_ZONE,
    SECOND_US,
    Definition,
    Once,
    OnWallClock,
    Plan,
    RuleKind,
    plan_for,
)
from tenure.kernel.schedules.firing import WAITING_MAX
from tenure.kernel.schedules.interval import Interval
from tenure.kernel.schedules.policies import Drift, Missed, Overlap, Policies
from tenure.kernel.schedules.rrule import RRule
from tenure.kernel.schedules.wallclock import Fold, Gap
from tenure.kernel.schedules.words_calendar import calendar_in_words
from tenure.kernel.schedules.words_cron import cron_in_words
from tenure.kernel.schedules.words_rrule import (
    first_named_s,
    rrule_in_words,
    start_is_date_only,
)
from tenure.kernel.schedules.zones import DAY_S, Zone

# For so long from its start a schedule is searched for times that clock changes skip or repeat.
_LOOK_AHEAD_S = 10 * 366 * DAY_S


def describe(definition: Definition, *, now_us: int | None = None) -> str:
    """Return one phrase that says when the schedule fires, as in `at 03:00 every day`.

    With *now_us*, a start that has passed is said only if the rule is counted from it.

    Raises:
        InvalidError: the definition breaks a rule of its language.
    """
    plan = plan_for(definition)
    phrases = [_core(plan, now_us), *_start(plan, now_us), *_end(plan)]
    is_local = definition.rule is not RuleKind.INTERVAL
    if plan.zone.name != DEFAULT_ZONE and (is_local or len(phrases) > 1):
        phrases.insert(1 if is_local else len(phrases), f"{plan.zone.name} time")
    if definition.policies.exclude:
        phrases.append(f"except in {_calendars(definition.policies)}")
    return ", ".join(phrases)


def describe_policies(definition: Definition) -> list[str]:
    """Return a sentence for each policy that matters for the schedule, chosen or by default.

    Those for skipped and repeated local times matter if the rule names one within ten years from
    its start.

    Raises:
        InvalidError: the definition breaks a rule of its language.
    """
    plan, policies = plan_for(definition), definition.policies
    is_single, is_delay = definition.rule is RuleKind.ONCE, policies.drift is Drift.DELAY
    sentences = _of_clock_changes(plan)
    if is_delay:
        gap = say.length(_every_s(plan))
        sentences.append(f"Each run begins {gap} after the end of the one before.")
    elif definition.rule is RuleKind.INTERVAL:
        sentences.append("Times are counted from the start, however long the runs take.")
    if not is_delay:
        sentences.append(_missed_once(policies) if is_single else _missed(policies))
    if not is_delay and not is_single:
        sentences.append(_OVERLAPS[policies.overlap])
    if policies.jitter_us:
        most = _span(policies.jitter_us)
        sentences.append(f"A run is due up to {most} later, always as much for the same time.")
    if policies.exclude:
        sentences.append(f"Nothing fires in {_calendars(policies)}.")
    return sentences


def _core(plan: Plan, now_us: int | None) -> str:
    definition = plan.definition
    match plan.rule:
        case Interval(every_s=every_s):
            if definition.policies.drift is Drift.DELAY:
                return f"{say.length(every_s)} after the end of each run"
            return f"every {_long(every_s)}"
        case Once(at_us=at_us):
            return f"once, on {_date_and_time(at_us, plan.zone)}"
        case CalendarRule(delta=delta):
            return calendar_in_words(delta)
        case OnWallClock(rule=RRule() as rule):
            since = _since(rule, plan, now_us)
            return rrule_in_words(rule, since=since, is_start_known=_is_start_known(definition))
        case _:
            return cron_in_words(definition.text)


def _start(plan: Plan, now_us: int | None) -> list[str]:
    """Return from when on it fires, if that is known and says something."""
    start_us, rule = plan.definition.start_us, plan.rule
    has_reset = isinstance(rule, CalendarRule) and rule.delta.reset is not None
    if start_us is None:
        return ["first at its start"] if has_reset else []
    at = say.moment(start_us, plan.zone)
    match rule:
        case Once(at_us=at_us):
            return [f"but not before {at}"] if at_us < start_us else []
        case Interval() | CalendarRule():
            is_delay = plan.definition.policies.drift is Drift.DELAY
            return [f"first at {at}" if is_delay or has_reset else f"from {at}"]
    if now_us is not None and start_us <= now_us:
        return []
    if isinstance(rule, OnWallClock) and isinstance(rule.rule, RRule):
        is_later = plan.zone.local_s(start_us // SECOND_US) > first_named_s(rule.rule)
        return [f"not before {at}"] if is_later else []
    return [f"from {at}"]


def _end(plan: Plan) -> list[str]:
    end_us = plan.definition.end_us
    if end_us is None:
        return []
    at = say.moment(end_us, plan.zone, is_end=True)
    match plan.rule:
        case Once(at_us=at_us):
            return [f"but not after {at}"] if end_us < at_us else []
        case OnWallClock(rule=RRule() as rule) if any(
            each.last_s is not None for each in rule.recurrences
        ):
            return [f"not after {at}"]
        case _:
            return [f"until {at}"]


def _is_start_known(definition: Definition) -> bool:
    return definition.start_us is not None or "DTSTART" in definition.text.upper()


def _since(rule: RRule, plan: Plan, now_us: int | None) -> str:
    """Return the start of the rule itself, or nothing if it does not matter."""
    is_counted = any(
        each.parts.interval > 1 or each.parts.count is not None for each in rule.recurrences
    )
    local_now_s = None if now_us is None else plan.zone.local_s(now_us // SECOND_US)
    has_passed = local_now_s is not None and rule.start_s <= local_now_s
    is_said = rule.recurrences and _is_start_known(plan.definition)
    if not is_said or (has_passed and not is_counted):
        return ""
    date_only = start_is_date_only(rule)
    at = say.local_moment(rule.start_s, date_only=date_only)
    return f"from {at}" if date_only or plan.zone.name != DEFAULT_ZONE else f"from {at} UTC"


def _date_and_time(at_us: int, where: Zone) -> str:
    utc_s = at_us // SECOND_US
    segment = where.segment(utc_s)
    local_s = utc_s + segment.offset_s
    year, month, day = say.local_moment(local_s, date_only=True).split("-")
    words = f"{int(day)} {say.MONTHS[int(month) - 1]} {year} at {say.clock(local_s % DAY_S)}"
    if say.is_shown_twice(segment, utc_s):
        words += f" ({say.offset(segment.offset_s)})"
    return f"{words} UTC" if where.name == DEFAULT_ZONE else words


def _of_clock_changes(plan: Plan) -> list[str]:
    if not isinstance(plan.rule, OnWallClock):
        return []
    skips, repeats = _meets_clock_changes(plan.rule, plan.definition)
    sentences = []
    if skips:
        sentences.append(_GAPS[plan.rule.clock.gap])
    if repeats:
        sentences.append(_FOLDS[plan.rule.clock.fold])
    return sentences


def _meets_clock_changes(on_clock: OnWallClock, definition: Definition) -> tuple[bool, bool]:
    """Return whether the rule names local times that are skipped, and ones that come twice."""
    rule, where = on_clock.rule, on_clock.clock.zone
    if definition.start_us is None:
        # It may start whenever.
        is_fixed = where.name == DEFAULT_ZONE
        return not is_fixed, not is_fixed
    utc_s = definition.start_us // SECOND_US
    until_s = utc_s + _LOOK_AHEAD_S
    if definition.end_us is not None:
        until_s = min(until_s, definition.end_us // SECOND_US)
    skips = repeats = False
    segment = where.segment(utc_s)
    while segment.end_s <= until_s:
        before_s = segment.end_s + segment.offset_s
        after_s = segment.end_s + segment.offset_after_s
        found_s = rule.at_or_after(min(before_s, after_s))
        if found_s is None:
            break
        skips = skips or before_s <= found_s < after_s
        repeats = repeats or after_s <= found_s < before_s
        segment = where.segment(segment.end_s)
    return skips, repeats


def _missed(policies: Policies) -> str:
    within = None if policies.missed_within_us is None else _span(policies.missed_within_us)
    match policies.missed:
        case Missed.NONE:
            return "Runs that were missed are not made up."
        case Missed.LATEST:
            limit = f", and only if it is at most {within} late" if within else ""
            return f"If runs were missed, only the latest is made up{limit}."
        case Missed.ALL:
            limit = f", if they are at most {within} late" if within else ""
            number = policies.missed_max
            most = "the latest is" if number == 1 else f"at most the latest {number:,} are"
            return f"If runs were missed, {most} made up{limit}."


def _missed_once(policies: Policies) -> str:
    if policies.missed is Missed.NONE:
        return "If the run was missed, it is not made up."
    if policies.missed_within_us is None:
        return "If the run was missed, it is made up."
    within = _span(policies.missed_within_us)
    return f"If the run was missed, it is made up if it is at most {within} late."


def _calendars(policies: Policies) -> str:
    noun = "calendar" if len(policies.exclude) == 1 else "calendars"
    return f"the {noun} {say.joined([repr(name) for name in policies.exclude])}"


def _every_s(plan: Plan) -> int:
    assert isinstance(plan.rule, Interval), "only an interval counts from the ends of runs"
    return plan.rule.every_s


def _long(seconds: int) -> str:
    """Write an interval after the word every; days of 24 hours are said to be that."""
    days, rest_s = divmod(seconds, DAY_S)
    if days > 1 and not rest_s:
        return f"{days:,} days ({say.length(seconds)})"
    return say.length(seconds).removeprefix("1 ")


def _span(span_us: int) -> str:
    seconds, rest_us = divmod(span_us, SECOND_US)
    return f"{span_us / SECOND_US:,} seconds" if rest_us else say.length(seconds)


_GAPS = {
    Gap.SHIFT: "A local time that a clock change skips is shifted forward by the gap.",
    Gap.SKIP: "A local time that a clock change skips does not fire.",
}
_FOLDS = {
    Fold.FIRST: "A local time that comes twice at a clock change fires only the first time.",
    Fold.SECOND: "A local time that comes twice at a clock change fires only the second time.",
    Fold.BOTH: "A local time that comes twice at a clock change fires both times.",
}
_OVERLAPS = {
    Overlap.SKIP: "While a run is going, a new one is skipped.",
    Overlap.QUEUE_ONE: "While a run is going, one new one waits for its end; others are skipped.",
    Overlap.QUEUE_ALL: (
        f"While a run is going, new ones wait for their turn, {WAITING_MAX:,} at most."
    ),
    Overlap.CANCEL_OLD: "While a run is going, a new one cancels it and begins after its end.",
    Overlap.ALLOW: "While a run is going, a new one begins beside it.",
}
