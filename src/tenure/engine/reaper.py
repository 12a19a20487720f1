"""Expire leases that ran out, and forget workers that are gone. Runs on the leader.

Two leaders for a moment are harmless: each lease is taken back by a write that names the
claim it saw and finds it still running.
"""

from __future__ import annotations

from tenure.engine.elector import Elector
from tenure.engine.loop import Loop
from tenure.engine.surroundings import Surroundings
from tenure.kernel.model import Claim
from tenure.kernel.retry import Exponential
from tenure.kernel.settle import Settlement, expire
from tenure.observe.events import LeasesExpired, WorkersForgotten
from tenure.store import claims, workers


class Reaper(Loop):
    """Takes back what dead workers held."""

    def __init__(self, around: Surroundings, *, elector: Elector) -> None:
        super().__init__("reaper", around.emit)
        self._store = around.store
        self._elector = elector
        self._settings = around.settings.reaper
        self._rng = around.rng

    async def tick(self) -> int:
        """Expire a batch; come again at once if it was a full one."""
        if not self._elector.is_leader:
            return self._settings.every_us
        batch = self._settings.batch
        expired = await self._store.run(claims.expire(self._decide, limit=batch))
        if expired:
            self.emit(LeasesExpired(task_ids=tuple(claim.id for claim, _ in expired)))
        if len(expired) == batch:
            return 0
        lost = await self._store.run(
            workers.forget_lost(forget_us=self._settings.worker_forget_us, limit=batch)
        )
        if lost:
            self.emit(WorkersForgotten(worker_ids=tuple(lost)))
        return self._settings.every_us

    def _decide(self, claim: Claim, cancel_asked: bool) -> Settlement:  # noqa: FBT001 - a callback
        return expire(
            claim,
            crashes_max=self._settings.crashes_max,
            cancel_asked=cancel_asked,
            backoff=Exponential(base_us=self._settings.backoff_us),
            backoff_max_us=self._settings.backoff_max_us,
            u=self._rng.random(),
        )
