"""The schedules that `schedules.py` has every system keep, and what their lateness is.

Written into the data directory by the runner and read there by the adapters, each in its own
environment, so this file needs the standard library only.

All schedules have the same interval and begin one after the other, evenly spread over it. A
measurement is shorter than the interval, so each fires once at most, and its number says when it
should have.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from adapter import DATA, marks, percentile

FILE = "scene.json"
SECOND_US = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Scene:
    """So many schedules, the first instant of the first of them, and the time that counts."""

    count: int
    every_s: int
    begin_us: int = 0
    from_us: int = 0
    until_us: int = 0

    @property
    def per_second(self) -> float:
        return self.count / self.every_s

    def offset_us(self, number: int) -> int:
        """Return how long after the first schedule another one begins."""
        return number * self.every_s * SECOND_US // self.count

    def instant_us(self, number: int) -> int:
        """Return the first instant of a schedule."""
        return self.begin_us + self.offset_us(number)

    def save(self, directory: Path) -> None:
        (directory / FILE).write_text(json.dumps(asdict(self)))


def load_scene() -> Scene:
    """Return the scene in the data directory."""
    return Scene(**json.loads((DATA / FILE).read_text()))


def lateness(
    scene: Scene, times_us: Mapping[int, int], *, read_at_us: int, prefix: str = "late"
) -> dict[str, float]:
    """Return how late the schedules were, those that never came being late up to the reading.

    *times_us* says, by the number of the schedule, when it was seen to have fired.
    """
    wanted = [
        number
        for number in range(scene.count)
        if scene.from_us <= scene.instant_us(number) < scene.until_us
    ]
    if not wanted:
        raise SystemExit("no schedule is due in the time that counts: make it longer")
    late_ms = [
        (times_us.get(number, read_at_us) - scene.instant_us(number)) / 1e3 for number in wanted
    ]
    return {
        f"{prefix}_p50_ms": percentile(late_ms, 0.5),
        f"{prefix}_p99_ms": percentile(late_ms, 0.99),
        f"{prefix}_max_ms": max(late_ms),
    }


def counts(scene: Scene, times_us: Mapping[int, int]) -> dict[str, float]:
    """Return how many were due and did not come, and how many came in a second."""
    seconds = (scene.until_us - scene.from_us) / SECOND_US
    wanted = [
        number
        for number in range(scene.count)
        if scene.from_us <= scene.instant_us(number) < scene.until_us
    ]
    came = sum(scene.from_us <= at_us < scene.until_us for at_us in times_us.values())
    return {
        "due": len(wanted),
        "unfired": sum(number not in times_us for number in wanted),
        "rate": came / seconds,
    }


def marked_lateness(_count: int) -> dict[str, float]:
    """Return the figures of a system whose fires are marks with the schedules' numbers."""
    scene, read_at_us = load_scene(), time.time_ns() // 1000
    # Marks are on the clock that never jumps; both go on at the same pace for a minute.
    ahead_ns = time.time_ns() - time.monotonic_ns()
    times_us: dict[int, int] = {}
    for stamp_ns, number in marks():
        times_us.setdefault(number, (stamp_ns + ahead_ns) // 1000)
    return counts(scene, times_us) | lateness(scene, times_us, read_at_us=read_at_us)
