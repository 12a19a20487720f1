"""Show when a schedule will fire, when it will not, and what an edit would change.

Called by clients and faces before anything is stored. Looks ahead only, and within bounds: at so
many fires of a window that the caller gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice

from tenure.kernel import validate
from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules import words_values as say
from tenure.kernel.schedules.definition import Plan, readable
from tenure.kernel.schedules.left_out import LeftOut, left_out
from tenure.kernel.schedules.policies import Drift
from tenure.kernel.schedules.shown import Occurrence, shown

LIMIT_MAX = 10_000
# A difference counts so many fires of both schedules together, and then says how far it came.
COMPARED_MAX = 50_000

_FROM_ENDS = "Each run is counted from the end of the one before, so only the first time is known."


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The fires in a window, and what is left out between them; both in order of time.

    If it is `truncated` there is more of either than the limit; nothing is left out of the
    lists before the last fire unless `left_out` is as long as the limit. `sentence` says what a
    preview cannot know, or is empty.
    """

    zone: str
    occurrences: tuple[Occurrence, ...]
    left_out: tuple[LeftOut, ...]
    truncated: bool
    counts_from_ends: bool
    jitter_us: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What an edit changes: fires only before it, only after it, and how many are in both.

    The lists are cut at the limit, the counts are not. All fires up to `compared_until_us` are
    counted. If it is `truncated`, a list is cut or that is before the end of the window.
    """

    removed: tuple[Occurrence, ...]
    added: tuple[Occurrence, ...]
    removed_count: int
    added_count: int
    kept: int
    compared_until_us: int
    truncated: bool
    sentence: str


def occurrences(plan: Plan, *, after_us: int, until_us: int, limit: int) -> Preview:
    """Return the fires after *after_us* up to *until_us*, at most *limit* (to 10,000) of them.

    As many times at most are returned that do not fire, those for clock changes from the first 50
    years. Of a schedule that counts from the ends
    of runs only the first fire is known, from its start.

    Raises:
        InvalidError: the window ends before it begins, or the limit is out of its range.
    """
    _check(after_us, until_us, limit)
    instants = list(islice(_instants(plan, after_us, until_us), limit + 1))
    is_cut = len(instants) > limit
    del instants[limit:]
    reach_us = instants[-1] if is_cut else until_us
    is_delay = _is_delay(plan)
    missing = list[LeftOut]()
    if not is_delay:
        missing = left_out(plan, instants, after_us=after_us, reach_us=reach_us, limit=limit)
    return Preview(
        zone=plan.zone.name,
        occurrences=shown(plan, instants),
        left_out=tuple(missing[:limit]),
        truncated=is_cut or len(missing) > limit,
        counts_from_ends=is_delay,
        jitter_us=plan.definition.policies.jitter_us,
        sentence=_FROM_ENDS if is_delay else "",
    )


def difference(
    before: Plan, after: Plan, *, after_us: int, until_us: int, limit: int
) -> Difference:
    """Compare the fires after *after_us* up to *until_us*, and list *limit* of each kind at most.

    Raises:
        InvalidError: the window ends before it begins, or the limit is out of its range.
    """
    _check(after_us, until_us, limit)
    found: dict[_Side, list[int]] = {side: [] for side in _Side}
    counts = dict.fromkeys(_Side, 0)
    compared_until_us = until_us
    streams = (_instants(before, after_us, until_us), _instants(after, after_us, until_us))
    for number, (at_us, side) in enumerate(_merged(*streams)):
        if number == COMPARED_MAX:
            compared_until_us = at_us - 1
            break
        counts[side] += 1
        if counts[side] <= limit:
            found[side].append(at_us)
    removed, added = counts[_Side.BEFORE], counts[_Side.AFTER]
    return Difference(
        removed=shown(before, found[_Side.BEFORE]),
        added=shown(after, found[_Side.AFTER]),
        removed_count=removed,
        added_count=added,
        kept=counts[_Side.BOTH],
        compared_until_us=compared_until_us,
        truncated=compared_until_us < until_us or max(removed, added) > limit,
        sentence=_compared(before, after, counts, until_us=compared_until_us),
    )


class _Side(Enum):
    """Which of two schedules fires at an instant."""

    BEFORE = auto()
    AFTER = auto()
    BOTH = auto()


def _check(after_us: int, until_us: int, limit: int) -> None:
    validate.within(limit, field="limit", low=1, high=LIMIT_MAX)
    if until_us < after_us:
        raise InvalidError(
            f"until is {readable(until_us)}, which is before {readable(after_us)}: make it later",
            field="until",
        )


def _is_delay(plan: Plan) -> bool:
    return plan.definition.policies.drift is Drift.DELAY


def _instants(plan: Plan, after_us: int, until_us: int) -> Iterator[int]:
    """Yield the fires of a window, as far as they can be known."""
    if _is_delay(plan):
        start_us = plan.definition.start_us
        first_us = None if start_us is None else plan.next_after(start_us - 1)
        if first_us is not None and after_us < first_us <= until_us:
            yield first_us
        return
    at_us = plan.next_after(after_us)
    while at_us is not None and at_us <= until_us:
        yield at_us
        at_us = plan.next_after(at_us)


def _merged(before: Iterator[int], after: Iterator[int]) -> Iterator[tuple[int, _Side]]:
    """Yield the instants of both in order of time, each once."""
    old_us, new_us = next(before, None), next(after, None)
    while old_us is not None or new_us is not None:
        if new_us is None or (old_us is not None and old_us < new_us):
            assert old_us is not None
            yield old_us, _Side.BEFORE
            old_us = next(before, None)
        elif old_us is None or new_us < old_us:
            yield new_us, _Side.AFTER
            new_us = next(after, None)
        else:
            yield new_us, _Side.BOTH
            old_us, new_us = next(before, None), next(after, None)


def _compared(before: Plan, after: Plan, counts: dict[_Side, int], *, until_us: int) -> str:
    kept, removed, added = counts[_Side.BOTH], counts[_Side.BEFORE], counts[_Side.AFTER]
    until = say.moment(until_us, after.zone, is_end=True)
    words = (
        f"Of {say.counted(kept + removed, 'fire')} until {until}, "
        f"{kept:,} {'stays' if kept == 1 else 'stay'}, "
        f"{removed:,} {'goes' if removed == 1 else 'go'} and "
        f"{added:,} {'is' if added == 1 else 'are'} new."
    )
    return f"{words} {_FROM_ENDS}" if _is_delay(before) or _is_delay(after) else words
