"""How fast attempts end here, and so how many may be claimed ahead of free slots.

Claiming one by one costs a commit for each; claiming far ahead takes work from other workers
that could begin it sooner. So a worker claims ahead what it will begin in a tenth of a second.
"""

from __future__ import annotations

from tenure.kernel.ports import Clock

WINDOW_US = 100_000
AHEAD_MAX = 1_000


class Pace:
    """A count of ended attempts over the last window or two."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._window_began_us = clock.monotonic_us()
        self._ended = 0
        self._ended_before = 0

    def note(self) -> None:
        """An attempt ended."""
        self._ended += 1

    def ahead(self) -> int:
        """Return how many attempts will probably begin within one window."""
        age_us = self._clock.monotonic_us() - self._window_began_us
        if age_us >= WINDOW_US:
            self._ended_before = self._ended if age_us < 2 * WINDOW_US else 0
            self._ended = 0
            self._window_began_us += age_us
        return min(max(self._ended, self._ended_before), AHEAD_MAX)
