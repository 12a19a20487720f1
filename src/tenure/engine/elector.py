"""Keep one leader among the workers, so that the reaper and the pruner run once.

Leadership saves work and carries no correctness: everything a leader does is safe when two
do it.
"""

from __future__ import annotations

from collections.abc import Callable

from tenure.engine.loop import Loop
from tenure.engine.surroundings import Surroundings
from tenure.observe.events import LeadershipChanged
from tenure.store import workers

OFFICE = "leader"


class Elector(Loop):
    """This worker's part in the election."""

    def __init__(self, around: Surroundings, *, worker_id: str) -> None:
        super().__init__("elector", around.emit)
        self._store = around.store
        self._worker_id = worker_id
        self._settings = around.settings
        self._clock = around.clock
        self._until_us = around.clock.monotonic_us()
        self._was_leader = False
        # Told once the office is ours, so that its work need not wait for anybody's next turn.
        self.when_won: Callable[[], None] = _nobody

    @property
    def is_leader(self) -> bool:
        """Whether the office is ours, by a clock that started before we asked for it."""
        return self._clock.monotonic_us() < self._until_us

    async def tick(self) -> int:
        """Take or keep the office."""
        began_us = self._clock.monotonic_us()
        lease_us = self._settings.elector.lease_us
        won = await self._store.run(workers.elect(OFFICE, self._worker_id, lease_us=lease_us))
        self._until_us = began_us + lease_us if won else began_us
        if won is not self._was_leader:
            self._was_leader = won
            self.emit(LeadershipChanged(worker_id=self._worker_id, is_leader=won))
            if won:
                self.when_won()
        return self._settings.elect_every_us

    async def resign(self) -> None:
        """Give the office up, so that another need not wait for its end."""
        if self._was_leader:
            self._until_us = self._clock.monotonic_us()
            self._was_leader = False
            await self._store.run(workers.resign(OFFICE, self._worker_id))


def _nobody() -> None:
    """Who is told before anyone listens."""
