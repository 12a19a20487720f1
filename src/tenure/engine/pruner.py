"""Delete ended tasks past their retention, in small bites. Runs on the leader."""

from __future__ import annotations

from tenure.engine.elector import Elector
from tenure.engine.loop import Loop
from tenure.engine.surroundings import Surroundings
from tenure.kernel.states import State
from tenure.observe.events import TasksPruned
from tenure.store import claims, firing


class Pruner(Loop):
    """Keeps the history within its bounds."""

    def __init__(self, around: Surroundings, *, elector: Elector) -> None:
        super().__init__("pruner", around.emit)
        self._store = around.store
        self._elector = elector
        self._settings = around.settings.pruner

    async def tick(self) -> int:
        """Delete one bite of each ended state; come again at once if one was full."""
        if not self._elector.is_leader:
            return self._settings.every_us
        is_more = False
        for state, keep_us in (
            (State.COMPLETED, self._settings.keep_completed_us),
            (State.FAILED, self._settings.keep_failed_us),
            (State.CANCELLED, self._settings.keep_cancelled_us),
        ):
            batch = self._settings.batch
            pruned = await self._store.run(claims.prune(state, keep_us=keep_us, limit=batch))
            if pruned:
                self.emit(TasksPruned(count=pruned))
            is_more = is_more or pruned == batch
        fires = await self._store.run(
            firing.prune_fires(keep_us=self._settings.keep_fires_us, limit=self._settings.batch)
        )
        is_more = is_more or fires == self._settings.batch
        return 0 if is_more else self._settings.every_us
