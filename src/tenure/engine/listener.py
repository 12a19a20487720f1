"""Notices to wake-ups: the store says that something happened, the right loop hears of it."""

from __future__ import annotations

from collections.abc import Sequence

from tenure.engine.claimer import Claimer
from tenure.engine.loop import Loop
from tenure.engine.renewer import Renewer
from tenure.engine.scheduler import Scheduler
from tenure.engine.surroundings import Surroundings
from tenure.kernel.ports import ANYTHING, CANCEL, SCHEDULES, queue_topic


class Listener(Loop):
    """The one that hears for all loops of a worker."""

    def __init__(
        self,
        around: Surroundings,
        *,
        claimers: Sequence[Claimer],
        renewer: Renewer,
        scheduler: Scheduler,
    ) -> None:
        super().__init__("listener", around.emit)
        self._store = around.store
        self._claimers = {queue_topic(claimer.queue): claimer for claimer in claimers}
        self._renewer = renewer
        self._scheduler = scheduler

    async def tick(self) -> int:
        """Let the store look once."""
        return await self._store.watch(self.hear)

    def hear(self, topic: str) -> None:
        """Wake whom a topic concerns."""
        if topic == CANCEL:
            self._renewer.look()
        elif topic == SCHEDULES:
            self._scheduler.wake()
        elif topic == ANYTHING:
            self._scheduler.wake()
            for claimer in self._claimers.values():
                claimer.wake()
        else:
            concerned = self._claimers.get(topic)
            if concerned is not None:
                concerned.wake()
