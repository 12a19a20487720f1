"""What can be asked for: calls of all kinds with all options, and which task to do something to.

Called by the client; everything is chosen by the one generator.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tenure.kernel.model import NO_TENANT, Lane
from tenure.kernel.states import State
from tenure.sdk.task import Call
from tests.sim.fires import waits
from tests.sim.handlers import EVERY_KIND, KINDS

if TYPE_CHECKING:
    from tests.sim.world import World

# What a task may go through before its last move, and the last moves.
TROUBLES = [
    *("fail:50", "fail:0", "later:10", "exit:5", "cancels_itself:5", "snooze:20", "wait:10"),
    *("stubborn:1500", "ok:4000", "progress:2500", "beats:2000", "polite:3000", "wait:0"),
]
ENDS = [
    *("ok:0", "ok:0", "ok:5", "ok:30", "ok:300", "ok:1200", "large:20", "large:0", "also:20"),
    *("fail:20", "give_up:5", "value:5", "huge:5", "cancelled:10", "also_bad:10", "ok:2500"),
    *("progress:3000", "polite:2000", "stubborn:2000", "beats:1500", "beats:300"),
    *("progress:1500", "large:300"),
]
# Longer than any worker that lost its claim may go on with it.
LONG, LONG_CHANCE = "ok:15000", 0.03

NOBODY = "nobody"


class Menu:
    """The choices of one simulation."""

    def __init__(self, world: World) -> None:
        self._world = world

    def call(self) -> tuple[Call[Any], bool]:
        """Return a call, and whether it takes an existing task in its place."""
        rng = self._world.rng
        if rng.random() < LONG_CHANCE:
            return self._long_call(), False
        kind = EVERY_KIND.get(rng.choice(KINDS))
        return_existing = rng.random() < 0.5
        with_options = kind.options(
            queue=rng.choice([None, None, "narrow", "default"]),
            priority=rng.choice([None, *Lane]),
            cost=rng.choice([None, None, 1, 2, 3, 5, 9]),
            delay=rng.choice([None, None, 0.3, 2.0, 6.0]),
            attempts=rng.choice([None, None, 1, 2, 6]),
            timeout=rng.choice([None, None, None, 0.4, 3.0]),
        )
        choices = replace(with_options.choices, return_existing=return_existing)
        if rng.random() < 0.3:
            choices = replace(choices, unique=f"key-{rng.randrange(6)}")
        given = f"given-{rng.randrange(40)}"
        # Under the id of a task that was pruned, claims are counted from the start again. Only a
        # retention longer than any stall keeps a stale worker from meeting its own number there.
        if rng.random() < 0.1 and (NO_TENANT, given) not in self._world.checker.pruned:
            choices = replace(choices, id=given)
        return Call(kind, choices, self.payload(kind.name)), return_existing

    def payload(self, kind: str) -> bytes:
        """Return what a task is told to do, start by start."""
        rng = self._world.rng
        if self._world.plan.moves:
            moves = [rng.choice(self._world.plan.moves)]
            return EVERY_KIND.get(kind).codec.encode((moves, ""), {})
        moves = [rng.choice(TROUBLES) for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 3]))]
        moves.append(rng.choice(ENDS))
        pad = "x" * rng.choice([0, 0, 20, 250, 1_000])
        return EVERY_KIND.get(kind).codec.encode((moves, pad), {})

    def any_task(self, states: Collection[State]) -> str:
        """Return the id of some task in one of the states."""
        tasks = self._world.checker.tasks.values()
        # Nobody but the end of another run may wake a run that waits for its turn.
        wakes = states == {State.WAITING}
        found = [row.id for row in tasks if row.state in states and not (wakes and waits(row))]
        return self._world.rng.choice(found) if found else NOBODY

    def longest(self) -> str:
        """Return the task whose handler has been running for longest."""
        open_runs = self._world.ledger.open.values()
        return min(open_runs, key=lambda run: run.began_us).key[1] if open_runs else NOBODY

    def _long_call(self) -> Call[Any]:
        """Return a call that only an end of its claim can cut short."""
        kind = EVERY_KIND.get("plain")
        choices = kind.options(attempts=2).choices
        return Call(kind, choices, kind.codec.encode(([LONG], ""), {}))
