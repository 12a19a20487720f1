"""There are words for every rule, and two rules that fire differently never share them."""

from __future__ import annotations

import json
from random import Random  # noqa: TID251 - drawn by Hypothesis

from hypothesis import assume, example, given, settings, strategies as st

from tenure.kernel.errors import InvalidError, LimitError
from tenure.kernel.schedules.cron import Cron, parse_cron
from tenure.kernel.schedules.definition import Definition, RuleKind, plan_for
from tenure.kernel.schedules.delta import AMOUNTS_MAX, RESETS
from tenure.kernel.schedules.interval import EVERY_MAX_S
from tenure.kernel.schedules.rrule import parse_rrule
from tenure.kernel.schedules.words import describe, describe_policies
from tests.kernel.schedules.agree import (
    DATES,
    HOURS,
    MINUTES,
    MONTH_FIELDS,
    SECONDS,
    TEXTS,
    WEEKDAY_FIELDS,
    ZONES,
)
from tests.kernel.schedules.agree_rrule import local_s, random_case

FIRES = 40
SHORT_DATES = st.one_of(DATES, st.sampled_from(["*", "*/2", "1-31", "L", "15", "15W"]))
SHORT_WEEKDAYS = st.one_of(WEEKDAY_FIELDS, st.sampled_from(["*", "*/2", "0-6", "1", "1-5", "1#1"]))
FIELDS = (SECONDS, MINUTES, HOURS, SHORT_DATES, MONTH_FIELDS, SHORT_WEEKDAYS)


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[str, str]:
    """Two cron texts that differ in one field or two."""
    fields = [draw(field).strip() or "0" for field in FIELDS]
    others = list(fields)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(FIELDS) - 1))
        others[place] = draw(FIELDS[place]).strip() or "0"
    return " ".join(fields), " ".join(others)


def parsed(text: str) -> Cron:
    """Return the rule; a text that can never fire is not of interest."""
    try:
        return parse_cron(text)
    except InvalidError:
        assume(False)
        raise


def tables(rule: Cron) -> tuple[object, ...]:
    """Return all that decides when a rule fires."""
    return rule._seconds, rule._minutes, rule._hours, rule._months, rule._days


@given(neighbours())
@example(("0 30 2 * * *", "0 30 2 * * 1"))
@example(("0 0 0 13 * 5", "0 0 0 13 * */5"))
@example(("0 0 0 1-31 * 5", "0 0 0 * * 5"))
@example(("0 0 0 L * *", "0 0 0 LW * *"))
@example(("0 0 0 * * 1", "0 0 0 * * 1L"))
@example(("0 0 0 * * 1", "0 0 0 1 * 1"))
@example(("0 */15 9,12 * * *", "0 */15 * * * *"))
@example(("0 * 9 * * *", "0 * * * * *"))
@example(("5 * * * * *", "5 * 9 * * *"))
@example(("0 0 */2 * * *", "0 0 */2 * 1 *"))
@example(("0 */20 * * * *", "0 0-59/20 0-22 * * *"))
@settings(max_examples=400, deadline=None)
def test_two_crons_with_the_same_words_have_the_same_times(texts: tuple[str, str]) -> None:
    one, other = (parsed(text) for text in texts)
    words, other_words = (
        describe(Definition(rule=RuleKind.CRON, text=rule.text)) for rule in (one, other)
    )

    assert words != other_words or tables(one) == tables(other)


@given(st.text("0123456789*/,-LW#? ", max_size=12), TEXTS, st.sampled_from(ZONES))
@settings(max_examples=150, deadline=None)
def test_every_cron_has_words_and_sentences(noise: str, text: str, zone: str) -> None:
    for candidate in (noise, text):
        definition = Definition(rule=RuleKind.CRON, text=candidate, zone=zone, start_us=0)
        try:
            plan_for(definition)
        except InvalidError:
            continue

        assert describe(definition)
        assert describe_policies(definition)


def times(text: str, start_s: int) -> list[int]:
    """Return the first times of a recurrence."""
    rule = parse_rrule(text, start_local_s=start_s)
    found: list[int] = []
    at_s = rule.at_or_after(start_s)
    while at_s is not None and len(found) < FIRES:
        found.append(at_s)
        at_s = rule.at_or_after(at_s + 1)
    return found


@given(st.randoms(use_true_random=False), st.data())
@settings(max_examples=250, deadline=None)
def test_a_recurrence_with_one_part_less_has_other_words_or_the_same_times(
    random: Random, draws: st.DataObject
) -> None:
    text, start = random_case(random)
    parts = text.split(";")
    # The frequency is no part to do without.
    place = draws.draw(st.integers(1, len(parts) - 1))
    shorter = ";".join(parts[:place] + parts[place + 1 :])
    start_s = local_s(start)
    try:
        both = [times(each, start_s) for each in (text, shorter)]
    except (InvalidError, LimitError):
        assume(False)
        raise
    words = [
        describe(Definition(rule=RuleKind.RRULE, text=each, start_us=max(0, start_s) * 1_000_000))
        for each in (text, shorter)
    ]

    assert words[0] != words[1] or both[0] == both[1]


@given(st.randoms(use_true_random=False), st.booleans(), st.sampled_from(ZONES))
@settings(max_examples=150, deadline=None)
def test_every_recurrence_has_words_and_sentences(
    random: Random, is_start_known: bool, zone: str
) -> None:
    text, start = random_case(random)
    definition = Definition(
        rule=RuleKind.RRULE,
        text=text,
        zone=zone,
        start_us=local_s(start) * 1_000_000 if is_start_known else None,
    )
    try:
        plan_for(definition)
        words, sentences = describe(definition), describe_policies(definition)
    except (InvalidError, LimitError):
        assume(False)
        raise

    assert "  " not in words
    assert " ," not in words
    assert sentences


AMOUNTS = st.dictionaries(st.sampled_from([*AMOUNTS_MAX]), st.integers(1, 40), min_size=1)
RESET_TO = st.fixed_dictionaries(
    {}, optional={name: st.integers(*bounds) for name, bounds in RESETS.items()}
)


@given(AMOUNTS, st.one_of(st.none(), RESET_TO), AMOUNTS, st.one_of(st.none(), RESET_TO))
@example({"months": 12}, None, {"years": 1}, None)
@example({"days": 1}, {}, {"days": 1}, None)
@example({"days": 1}, {"hour": 0}, {"days": 1}, {"hour": 24})
@example({"days": 1}, {"hour": 0}, {"days": 1}, {"hour": 0, "minute": 0})
@settings(max_examples=150, deadline=None)
def test_two_deltas_never_have_the_same_words(
    amounts: dict[str, int],
    reset: dict[str, int] | None,
    other_amounts: dict[str, int],
    other_reset: dict[str, int] | None,
) -> None:
    documents = [
        amounts | ({} if to is None else {"resetTo": to})
        for amounts, to in ((amounts, reset), (other_amounts, other_reset))
    ]
    assume(documents[0] != documents[1])
    try:
        words = [
            describe(Definition(rule=RuleKind.CALENDAR, text=json.dumps(document), start_us=0))
            for document in documents
        ]
    except InvalidError:
        assume(False)
        raise

    assert words[0] != words[1]


@given(st.integers(1, EVERY_MAX_S), st.integers(1, EVERY_MAX_S))
def test_two_intervals_never_have_the_same_words(one_s: int, other_s: int) -> None:
    words = [
        describe(Definition(rule=RuleKind.INTERVAL, text=f"{every_s}s"))
        for every_s in (one_s, other_s)
    ]

    assert (words[0] == words[1]) == (one_s == other_s)
