"""Find the last fire before an instant, for any rule that can only look ahead.

Called by what has to know what was missed and by previews. Works on a function alone, so that
policies and exclusions may be wrapped around a rule in any way.
"""

from __future__ import annotations

from collections.abc import Callable

_STEP_FIRST_US = 1_000_000


def previous_at_or_before(
    next_after: Callable[[int], int | None], at_us: int, *, floor_us: int
) -> int | None:
    """Return the latest instant from *floor_us* to *at_us*, both included, or None.

    *next_after* gives the first instant after the one it is given, or None after the last. It is
    called some dozens of times at most, however many instants there are: the search goes back in
    doubling steps to the first from which an instant lies ahead, and halves from there. Where
    there is one instant or none, as there is as a rule, two calls tell.
    """
    if at_us < floor_us:
        return None
    first_us = next_after(floor_us - 1)
    if first_us is None or first_us > at_us:
        return None
    second_us = next_after(first_us)
    if second_us is None or second_us > at_us:
        return first_us
    found_us = _gallop(next_after, at_us, floor_us=floor_us)
    if found_us is None:
        return None
    # Always: *found_us* is an instant of the rule, and there is none after *high_us* in reach.
    high_us = at_us
    while True:
        following_us = next_after(found_us)
        if following_us is None or following_us > high_us:
            return found_us
        found_us = following_us
        middle_us = (found_us + high_us) // 2
        beyond_us = next_after(middle_us)
        if beyond_us is None or beyond_us > high_us:
            high_us = middle_us
        else:
            found_us = beyond_us


def _gallop(next_after: Callable[[int], int | None], at_us: int, *, floor_us: int) -> int | None:
    """Return some instant from *floor_us* to *at_us*, near the latest, or None."""
    step_us = _STEP_FIRST_US
    while at_us >= floor_us:
        from_us = max(at_us - step_us, floor_us - 1)
        found_us = next_after(from_us)
        if found_us is not None and found_us <= at_us:
            return found_us
        if from_us < floor_us:
            return None
        step_us *= 2
    return None
