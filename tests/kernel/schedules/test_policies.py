"""The choices of a schedule: what goes together, what does not, and how they are stored."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.policies import (
    DEFAULT_POLICIES,
    EXCLUDE_MAX,
    JITTER_MAX_US,
    MISSED_MAX_MAX,
    TAKES_TURNS,
    Drift,
    Missed,
    Overlap,
    Policies,
    policies_from,
)
from tenure.kernel.schedules.wallclock import Fold, Gap
from tenure.kernel.validate import DELAY_MAX_US

NAMES = st.text("abc-_.", min_size=1, max_size=5)
CHOICES: dict[str, st.SearchStrategy[Any]] = {
    "gap": st.sampled_from(Gap),
    "fold": st.none() | st.sampled_from(Fold),
    "missed": st.sampled_from(Missed),
    "missed_max": st.integers(1, MISSED_MAX_MAX),
    "missed_within_us": st.none() | st.integers(1, DELAY_MAX_US),
    "overlap": st.sampled_from(Overlap),
    "drift": st.sampled_from(Drift),
    "jitter_us": st.integers(0, JITTER_MAX_US),
    "exclude": st.lists(NAMES, max_size=3).map(tuple),
}


def test_without_a_word_the_defaults_are_those_that_are_written_down() -> None:
    assert (
        Policies(
            gap=Gap.SHIFT,
            fold=None,
            missed=Missed.LATEST,
            missed_max=100,
            missed_within_us=None,
            overlap=Overlap.SKIP,
            drift=Drift.RATE,
            jitter_us=0,
            exclude=(),
        )
        == Policies()
    )
    assert {} == DEFAULT_POLICIES.document


@given(st.fixed_dictionaries({}, optional=CHOICES))
def test_what_goes_together_is_read_back_from_its_document(chosen: dict[str, Any]) -> None:
    try:
        policies = Policies(**chosen)
    except InvalidError:
        return

    stored = json.loads(json.dumps(policies.document))

    assert policies == policies_from(stored)
    assert stored.keys() <= chosen.keys()


def test_only_what_differs_from_the_defaults_is_stored() -> None:
    policies = Policies(missed=Missed.NONE, missed_max=100, exclude=("days",))

    assert {"missed": "none", "exclude": ("days",)} == policies.document


@pytest.mark.parametrize(
    ("chosen", "field", "said"),
    [
        ({"missed": Missed.NONE, "missed_within_us": 1}, "missed_within", "missed='none'"),
        ({"missed": Missed.ALL}, "overlap", "use overlap='queue_all' or 'allow'"),
        ({"missed": Missed.ALL, "overlap": Overlap.SKIP}, "overlap", "missed='all'"),
        *(
            ({"drift": Drift.DELAY, "overlap": overlap}, "overlap", repr(overlap.value))
            for overlap in Overlap
            if overlap is not Overlap.SKIP
        ),
        ({"drift": Drift.DELAY, "missed": Missed.NONE}, "missed", "instead of 'none'"),
        (
            {"drift": Drift.DELAY, "missed_within_us": 1},
            "missed_within",
            "has no meaning: leave it out",
        ),
    ],
    ids=str,
)
def test_contradictions_are_told_with_the_way_out(
    chosen: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        Policies(**chosen)

    assert field == caught.value.field
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "chosen",
    [
        {"missed": Missed.ALL, "overlap": overlap}
        for overlap in Overlap
        if overlap is not Overlap.SKIP
    ]
    + [{"drift": Drift.DELAY}, {"drift": Drift.DELAY, "jitter_us": 1, "exclude": ("a",)}]
    + [{"missed": missed, "missed_within_us": 1} for missed in (Missed.LATEST,)],
    ids=str,
)
def test_what_does_not_contradict_is_taken(chosen: dict[str, Any]) -> None:
    assert chosen.items() <= asdict(Policies(**chosen)).items()


@pytest.mark.parametrize(
    ("field", "name", "low", "high"),
    [
        ("missed_max", "missed_max", 1, MISSED_MAX_MAX),
        ("jitter_us", "jitter", 0, JITTER_MAX_US),
        ("missed_within_us", "missed_within", 1, DELAY_MAX_US),
    ],
)
def test_numbers_keep_within_their_bounds(field: str, name: str, low: int, high: int) -> None:
    chosen: dict[str, Any]
    for value in (low, high):
        chosen = {field: value}
        assert value == getattr(Policies(**chosen), field)
    for value in (low - 1, high + 1):
        chosen = {field: value}
        with pytest.raises(InvalidError, match=f"{name} is {value}; it must be from") as caught:
            Policies(**chosen)
        assert name == caught.value.field


def test_calendars_are_named_as_everything_is_and_not_too_many() -> None:
    assert EXCLUDE_MAX == len(Policies(exclude=("a",) * EXCLUDE_MAX).exclude)
    with pytest.raises(InvalidError, match="exclude is 21"):
        Policies(exclude=("a",) * (EXCLUDE_MAX + 1))
    with pytest.raises(InvalidError, match="exclude 'a b' may hold letters") as caught:
        Policies(exclude=("fine", "a b"))
    assert "exclude" == caught.value.field


def test_runs_take_turns_where_one_may_wait_for_another() -> None:
    assert {Overlap.SKIP, Overlap.ALLOW} == set(Overlap) - TAKES_TURNS
