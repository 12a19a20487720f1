"""The one who makes schedules of every kind, and changes, pauses and deletes them at random."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tenure.kernel.errors import InvalidError, NotFoundError, StoreBusyError
from tenure.kernel.model import NO_TENANT
from tenure.kernel.schedules.exclusions import parse_exclusion
from tenure.kernel.schedules.model import Template
from tenure.sdk.when import When, cron, every, once, rrule
from tenure.service import calendars, schedules
from tenure.service.program import Program
from tenure.service.schedules import Wanted
from tests.sim.clocks import SECOND_US
from tests.sim.handlers import EVERY_KIND

if TYPE_CHECKING:
    from tests.sim.workload import Client
    from tests.sim.world import World

ZONE = "Europe/Berlin"
HOLIDAYS = "holidays"
# What a run of a schedule does.
MOVES = (
    *("next:0", "next:20", "next:300", "next:1500", "next:3000", "ok:5", "ok:600", "large:20"),
    *("next_at:10", "next_when:10", "fail:30", "give_up:5", "cancelled:5"),
)
DETOURS = ("fail:30", "later:10", "snooze:10", "wait:10")
POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {"missed": "none"},
    {"missed_within": 4},
    {"overlap": "allow"},
    {"overlap": "allow", "missed": "all", "missed_max": 5},
    {"overlap": "queue_one"},
    {"overlap": "queue_all"},
    {"overlap": "queue_all", "missed": "all", "missed_max": 7},
    {"overlap": "cancel_old"},
    {"overlap": "cancel_old", "missed": "none"},
)
DAYS_OFF = {"dates": ["2024-03-30", "2024-10-26", "2023-11-13"]}
PATIENCE = 40


class Planner:
    """The one who plans."""

    def __init__(self, world: World, client: Client) -> None:
        self.world = world
        self._client = client
        self._rng = world.rng

    async def begin(self) -> None:
        """Make the first schedules."""
        if not self.world.plan.schedules:
            return
        settings = self.world.plan.settings
        self.world.checker.fires.calendars[HOLIDAYS] = parse_exclusion(DAYS_OFF)
        await self._client.run(calendars.put(NO_TENANT, HOLIDAYS, DAYS_OFF, settings))
        for number in range(self.world.plan.schedules):
            await self._ask(self._ensure(f"s{number}"))

    async def act(self) -> None:
        """Do something to a schedule."""
        if not self.world.plan.schedules or self.world.ahead_us > 0:
            return
        settings = self.world.plan.settings
        id = f"s{self._rng.randrange(self.world.plan.schedules)}"
        deeds: list[tuple[Callable[[], Program[Any]], int]] = [
            (lambda: self._ensure(id), 8),
            (lambda: schedules.pause(NO_TENANT, id, settings), 3),
            (lambda: schedules.resume(NO_TENANT, id, settings), 6),
            (lambda: schedules.run_soon(NO_TENANT, id, settings), 6),
            (lambda: schedules.set_next_in(NO_TENANT, id, self._delay_us(), settings), 3),
            (lambda: schedules.delete(NO_TENANT, id, settings), 1),
        ]
        choices, weights = [deed for deed, _ in deeds], [weight for _, weight in deeds]
        (deed,) = self._rng.choices(choices, weights)
        await self._ask(deed())

    async def resume_all(self) -> None:
        """Let all of them go on."""
        for id in list(self.world.checker.fires.schedules):
            await self._insistently(schedules.resume, id)

    async def pause_all(self) -> None:
        """Let none of them go on."""
        for id in list(self.world.checker.fires.schedules):
            await self._insistently(schedules.pause, id)

    async def _ask(self, program: Program[Any]) -> None:
        try:
            await self._client.run(program)
        except InvalidError as error:
            # What was within its end when it was said may not be when it is stored.
            if not any(word in str(error) for word in ("would", "the end")):
                raise

    async def _insistently(self, ask: Callable[..., Program[Any]], id: str) -> None:
        for _ in range(PATIENCE):
            with suppress(StoreBusyError):
                try:
                    await self._client.run(ask(NO_TENANT, id, self.world.plan.settings))
                except NotFoundError:
                    return
                return
        self.world.blame("the store is busy for ever")

    def _ensure(self, id: str) -> Program[Any]:
        moves = [self._rng.choice(self.world.plan.moves or MOVES)]
        if not self.world.plan.moves and self._rng.random() < 0.3:
            moves.insert(0, self._rng.choice(DETOURS))
        kind = EVERY_KIND.get(self._rng.choice(["plain", "plain", "timed", "picky"]))
        template = Template(
            kind=kind.name,
            payload=kind.codec.encode((moves, "x" * self._rng.choice([0, 300])), {}),
            queue=self._rng.choice(["default", "default", "narrow"]),
            attempts_max=self._rng.choice([1, 3]),
        )
        wanted = Wanted(id=id, definition=self._when().definition, template=template)
        return schedules.ensure(NO_TENANT, wanted, self.world.plan.settings)

    def _when(self) -> When:
        rng = self._rng
        choices = dict(rng.choice(POLICIES))
        if rng.random() < 0.2:
            choices["jitter"] = 0.5
        if rng.random() < 0.15:
            choices["exclude"] = [HOLIDAYS]
        if rng.random() < 0.15:
            choices["end"] = self._at(rng.randint(10, 20))
        match rng.randrange(8):
            case 0 | 1:
                return every(f"{rng.choice([1, 2, 3, 5])}s", **choices)
            case 2 | 3:
                return every(f"{rng.choice([1, 2, 4])}s", drift="delay")
            case 4:
                return cron(f"*/{rng.choice([1, 2, 3])} * * * * *", zone=ZONE, **choices)
            case 5:
                fold = rng.choice([None, "first", "second", "both"])
                choices |= {} if fold is None else {"fold": fold}
                choices["gap"] = rng.choice(["shift", "skip"])
                return cron(f"*/{rng.choice([2, 3])} 0-59 * * * *", zone=ZONE, **choices)
            case 6:
                return rrule(f"FREQ=SECONDLY;INTERVAL={rng.choice([2, 5])}", zone=ZONE, **choices)
            case _:
                choices.pop("end", None)
                return once(self._at(rng.randint(1, 10)), **choices)

    def _at(self, in_s: int) -> datetime:
        now_us = self.world.store_clock.now_us()
        return datetime.fromtimestamp(now_us // SECOND_US + in_s, UTC)

    def _delay_us(self) -> int:
        return round(timedelta(seconds=self._rng.uniform(0, 4)) / timedelta(microseconds=1))
