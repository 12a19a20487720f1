"""The simulated clocks, ids and chance: all from one time and one generator.

Every worker has a wall clock and a monotonic one of its own, both wrong in their own way; the
store has a third. Nothing may depend on two of them agreeing.
"""

from __future__ import annotations

import asyncio
import random

from tenure.service.clockwork import Uuid7Ids
from tests.sim.loop import VirtualLoop

START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000


class SimClock:
    """One host's clocks. `ppm` is by how many millionths its monotonic clock runs fast."""

    def __init__(
        self,
        loop: VirtualLoop,
        *,
        wall_offset_us: int = 0,
        monotonic_offset_us: int = 0,
        ppm: int = 0,
    ) -> None:
        self._loop = loop
        self._wall_offset_us = wall_offset_us
        self._monotonic_offset_us = monotonic_offset_us
        self._ppm = ppm

    def now_us(self) -> int:
        """Microseconds since 1970, give or take hours."""
        return START_US + self._loop.now_us + self._wall_offset_us

    def monotonic_us(self) -> int:
        """Microseconds since some start; never goes back."""
        now_us = self._loop.now_us
        return now_us + now_us * self._ppm // 1_000_000 + self._monotonic_offset_us

    async def sleep(self, us: int) -> None:
        """Let the virtual time pass."""
        await asyncio.sleep(us / 1_000_000)

    def step_wall(self, us: int) -> None:
        """Set the wall clock forward or back."""
        self._wall_offset_us += us

    def step_monotonic(self, us: int) -> None:
        """Let the monotonic clock jump, as after a suspended machine; only forward."""
        assert us >= 0
        self._monotonic_offset_us += us


class SimIds(Uuid7Ids):
    """Ids in order, from a counter and the one generator."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._count = 0

    def new(self) -> str:
        """Return a new id."""
        return self.many(1)[0]

    def many(self, count: int) -> list[str]:
        """Return so many new ids, in order."""
        made: list[str] = []
        for _ in range(count):
            self._count += 1
            made.append(f"{self._count:05d}-{self._rng.getrandbits(24):06x}")
        return made
