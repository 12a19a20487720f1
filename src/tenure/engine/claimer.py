"""Claim due tasks of one queue, as many as there is room for.

Woken by notices, by freed slots, by the time at which the next task is due, and by the
lookout for all that was not heard.
"""

from __future__ import annotations

from tenure.engine.executor import Executor
from tenure.engine.loop import SLEEP_MAX_US, Loop
from tenure.engine.running import Running
from tenure.engine.surroundings import Surroundings
from tenure.kernel.errors import StoreError
from tenure.kernel.model import Claim
from tenure.kernel.outcome import Released
from tenure.kernel.retry import RetryPolicy
from tenure.kernel.settle import settle
from tenure.observe.events import TasksClaimed
from tenure.store import claims, queues
from tenure.store.claims import ClaimRequest

# What is due but was not given (another's lock, a full queue) is asked for again after this.
DENIED_US = 20_000


class Claimer(Loop):
    """One queue's way into the executor."""

    def __init__(
        self,
        queue: str,
        around: Surroundings,
        *,
        executor: Executor,
        running: Running,
        worker_id: str,
    ) -> None:
        super().__init__(f"claimer {queue}", around.emit)
        self.queue = queue
        self.is_hungry: bool = False  # would have taken more, had there been room
        self._store = around.store
        self._executor = executor
        self._running = running
        self._worker_id = worker_id
        self._settings = around.settings
        self._clock = around.clock
        self._is_limited = False
        self._owns_unheard = False

    async def tick(self) -> int:
        """Claim once; return 0 if there may be more to claim at once."""
        # All of it, before the next claim, which would overwrite that there is more.
        while self._owns_unheard:
            await self._release_unheard()
        if not self._executor.is_healthy:
            return self._settings.claimer.poll_us
        slots = self._executor.slots
        # A batch counts tasks and room counts cost, so one task may need more than a batch.
        wanted = max(self._settings.claimer.batch, slots.total)
        promised = 0 if self._executor.is_full else slots.promise(wanted)
        if not promised:
            self.is_hungry = True
            return self._settings.claimer.poll_us
        self.is_hungry = False
        try:
            found, began_us = await self._claim(promised)
        finally:
            slots.keep_promise(promised)
        if found:
            self.emit(TasksClaimed(queue=self.queue, count=len(found)))
            lease_ends_us = began_us + self._settings.worker.lease_us
            self._executor.start(found, lease_ends_us=lease_ends_us)
        if sum(claim.cost for claim in found) >= promised:
            self.is_hungry = True
            return 0
        # What was promised here and not used is room for the claimers that found none meanwhile.
        self._executor.when_free()
        return await self._until_next(found)

    async def _claim(self, spare: int) -> tuple[list[Claim], int]:
        request = ClaimRequest(
            queue=self.queue,
            worker_id=self._worker_id,
            lease_us=self._settings.worker.lease_us,
            limit=min(spare, self._settings.claimer.batch),
            spare=spare,
            slots=self._executor.slots.total,
        )
        # The lease is counted from before the question, so that we never think it longer
        # than the store does.
        began_us = self._clock.monotonic_us()
        verb = claims.claim_limited if self._is_limited else claims.claim
        # If the answer is lost, on the way or because we are stopped, the tasks may be ours.
        self._owns_unheard = True
        found = await self._store.run(verb(request))
        self._owns_unheard = False
        if any(not claim.payload for claim in found):
            self._owns_unheard = True
            found = await self._store.run(claims.fill_bodies(found))
            self._owns_unheard = False
        return found, began_us

    async def _until_next(self, found: list[Claim]) -> int:
        """Return how long nothing will be due here."""
        poll_us = self._settings.claimer.poll_us
        dues = await self._store.run(claims.next_dues([self.queue]))
        due_us = dues.get(self.queue)
        if due_us is None:
            return SLEEP_MAX_US
        if due_us > 0:
            return due_us
        if found:
            return 0
        queue = await self._store.run(queues.get(self.queue))
        self._is_limited = queue.slots is not None
        if queue.paused_at_us is not None:
            return poll_us
        return DENIED_US

    async def _release_unheard(self) -> None:
        """Give back what the store says we run and we know nothing of."""
        # What we know of must not fill the answer, or what we do not know of might never come.
        limit = len(self._running) + self._settings.claimer.batch
        held = await self._store.run(
            claims.claims_of_worker(self._worker_id, self.queue, limit=limit)
        )
        unheard = [
            claim
            for claim in held
            if self._running.find((claim.tenant, claim.id, claim.claim_no)) is None
        ]
        if unheard:
            await self._store.run(
                claims.settle(
                    [settle(claim, Released(), RetryPolicy(), u=0.0) for claim in unheard],
                    worker_id=self._worker_id,
                    inline_bytes_max=0,
                )
            )
        self._owns_unheard = len(held) == limit

    async def close(self) -> None:
        """Give back, before the worker goes, what an interrupted claim may have taken."""
        try:
            while self._owns_unheard:
                await self._release_unheard()
        except StoreError:
            return  # The leases run out by themselves.
