"""Renew the leases of all runs, find out which are lost, and pass on wishes to cancel.

Also writes what handlers say of their progress, and the worker's own sign of life.
"""

from __future__ import annotations

import asyncio

from tenure.engine.executor import Executor
from tenure.engine.loop import Loop
from tenure.engine.running import Run, Running, Stop
from tenure.engine.surroundings import Surroundings
from tenure.kernel.errors import StoreBusyError
from tenure.kernel.model import Worker
from tenure.observe.events import LeaseLost, WorkerUnhealthy
from tenure.store import claims, workers

LOOK_US = 1_000_000
BEAT_US = 10_000_000
BATCH = 500


class Renewer(Loop):
    """What keeps this worker's claims its own."""

    def __init__(
        self, around: Surroundings, *, executor: Executor, running: Running, worker: Worker
    ) -> None:
        super().__init__("renewer", around.emit)
        self._store = around.store
        self._executor = executor
        self._running = running
        self._worker = worker
        self._settings = around.settings
        self._clock = around.clock
        self._renewed_us = self._beaten_us = around.clock.monotonic_us()
        self._must_look = False
        self._was_healthy = True
        # However sick the store is, leases end when they end.
        self.failure_last_us = LOOK_US

    def look(self) -> None:
        """Someone asked a task to cancel, perhaps one of ours: look now."""
        if len(self._running):
            self._must_look = True
            self.wake()

    async def tick(self) -> int:
        """Renew if it is time; look for wishes to cancel; write progress."""
        self._drop_overdue()
        # A store that does not answer must not keep us from seeing that a lease has ended.
        try:
            async with asyncio.timeout(self._until_overdue_us() / 1_000_000):
                await self._look_after_all()
        except TimeoutError as error:
            raise StoreBusyError("the store did not answer before a lease ended") from error
        return min(LOOK_US, self._settings.renew_every_us)

    async def _look_after_all(self) -> None:
        now_us = self._clock.monotonic_us()
        if len(self._running):
            if self._must_look or now_us - self._renewed_us >= self._settings.renew_every_us:
                self._must_look = False
                try:
                    await self._renew()
                except BaseException:
                    self._must_look = True
                    raise
            await self._look_for_cancels()
            await self._write_progress()
        else:
            self._renewed_us = now_us
        if now_us - self._beaten_us >= BEAT_US:
            await self._beat()

    async def _renew(self) -> None:
        runs = [run for run in self._running if not run.is_lost]
        for first in range(0, len(runs), BATCH):
            part = runs[first : first + BATCH]
            began_us = self._clock.monotonic_us()
            lease_us = self._settings.worker.lease_us
            held = await self._store.run(
                claims.renew([run.claim.lease for run in part], lease_us=lease_us)
            )
            for run in part:
                if run.key in held:
                    run.lease_ends_us = began_us + lease_us
                # One that is being settled has perhaps just been written; the settler knows.
                elif not run.is_settling:
                    self._lose(run)
        self._renewed_us = self._clock.monotonic_us()

    async def _look_for_cancels(self) -> None:
        asked = await self._store.run(claims.cancels_asked(self._worker.id, limit=BATCH))
        # A set of texts has another order in every process; a simulation must repeat.
        for key in sorted(asked):
            run = self._running.find(key)
            if run is not None and not run.is_settling:
                self._executor.ask_to_cancel(run)

    async def _write_progress(self) -> None:
        said = [(run, run.said) for run in self._running if run.said is not None]
        if not said:
            return
        await self._store.run(
            claims.report_progress(
                [run.claim.lease for run, _ in said], [body for _, body in said if body]
            )
        )
        for run, body in said:
            # What was said meanwhile is still to be written.
            if run.said is body:
                run.said = None

    async def _beat(self) -> None:
        stuck = self._executor.stuck
        if not await self._store.run(workers.beat(self._worker.id, stuck=stuck)):
            await self._store.run(workers.register(self._worker))
        self._beaten_us = self._clock.monotonic_us()
        is_healthy = self._executor.is_healthy
        if self._was_healthy and not is_healthy:
            self.emit(WorkerUnhealthy(worker_id=self._worker.id, stuck=stuck))
        self._was_healthy = is_healthy

    def _drop_overdue(self) -> None:
        """Stop runs whose lease is over as far as we can know: the store did not answer."""
        now_us = self._clock.monotonic_us()
        for run in self._running:
            if now_us >= run.lease_ends_us and not run.is_settling and not run.is_lost:
                self._lose(run)

    def _until_overdue_us(self) -> int:
        """Return how long no lease will end of those that have not."""
        now_us = self._clock.monotonic_us()
        ends_us = [run.lease_ends_us for run in self._running if not run.is_settling]
        lefts_us = [end_us - now_us for end_us in ends_us if end_us > now_us]
        return min(lefts_us, default=self._settings.worker.lease_us)

    def _lose(self, run: Run) -> None:
        self._executor.stop(run, Stop.LOST)
        self.emit(LeaseLost(task_id=run.claim.id, kind=run.claim.kind, claim_no=run.claim.claim_no))
