"""What every kind of rule offers: its next time, on the wall clock or on the world's.

A *local second* counts the seconds that a wall clock shows since its own 1970-01-01T00:00:00, as
if it never changed its offset. Rules in words of days and hours (cron, RRULE) think in these, and
`wallclock.py` alone knows what they mean in a zone. An *instant* is microseconds since 1970 UTC.
"""

from __future__ import annotations

from typing import Protocol

# The last second of the year 9999, on whatever clock: there is no later one to be named.
LAST_S = 253_402_300_799


class LocalRule(Protocol):
    """A rule that names times of the wall clock, in whole seconds."""

    @property
    def is_dense(self) -> bool:
        """Whether it goes by the hour or finer, so that an hour shown twice is meant twice."""
        ...

    def at_or_after(self, local_s: int) -> int | None:
        """Return its first local second that is not before *local_s*, or None after its last."""
        ...


class InstantRule(Protocol):
    """A rule that names instants."""

    def next_after(self, after_us: int) -> int | None:
        """Return its first instant after *after_us*, or None after its last."""
        ...
