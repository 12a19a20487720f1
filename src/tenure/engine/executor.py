"""Run attempts, and always make an outcome of each.

Given claims by the claimer, it runs at most as many at once as there are slots and hands
every outcome to the settler. Handlers run here as coroutines, or in threads or processes.

Which task of the event loop an attempt runs in is the business of `runners.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tenure.engine.places import Places
from tenure.engine.runners import Runners
from tenure.engine.running import Run, Running, Stop
from tenure.engine.settler import Settler
from tenure.engine.slots import Slots
from tenure.engine.surroundings import Surroundings
from tenure.engine.verdict import raised, returned, stopped
from tenure.kernel.model import Claim
from tenure.kernel.outcome import Completed, Outcome, Released, Snoozed
from tenure.observe.events import HandlerStuck, KindUnknown
from tenure.sdk.context import TaskContext, current
from tenure.sdk.retrying import GiveUp, RetryLater
from tenure.service.schedules import steering

# A coroutine that was cancelled may tidy up for at least so long, before it is taken away.
TIDY_LEAST_US = 1_000_000


class Executor:
    """The attempts of one worker."""

    def __init__(
        self, around: Surroundings, *, running: Running, settler: Settler, places: Places
    ) -> None:
        self.stuck: int = 0
        self.slots: Slots = Slots(around.settings.worker.slots, around.clock)
        self.when_free: Callable[[], None] = _nobody
        self._registry = around.registry
        self._running = running
        self._settler = settler
        self._places = places
        self._settings = around.settings
        self._limits = around.settings.limits
        self._clock = around.clock
        self._emit = around.emit
        self._runners = Runners(
            self.slots,
            around.clock,
            attempt=self._attempt,
            when_waiting=self._bound,
            when_taken_away=lambda run: self._end(run, stopped(run)),
        )
        self._waiting = self._runners.waiting

    @property
    def is_full(self) -> bool:
        """Whether so many outcomes are unwritten that nothing more should be claimed."""
        return self._settler.is_full

    @property
    def is_healthy(self) -> bool:
        """Whether more may be claimed: not all threads are stuck, and not too many."""
        worker = self._settings.worker
        return self.stuck <= worker.stuck_slots_max and self.stuck < worker.threads

    def start(self, claims: Sequence[Claim], *, lease_ends_us: int) -> None:
        """Take over claims; each will come to the settler, or be lost."""
        for claim in claims:
            run = Run(
                claim,
                self._registry.find(claim.kind),
                self._clock,
                lease_ends_us=lease_ends_us,
            )
            run.cost = self.slots.take(claim.cost)
            self._running.add(run)
            self._waiting.append(run)
        self._runners.call()

    def stop(self, run: Run, why: Stop) -> None:
        """Stop a run from outside; the first reason counts, and a lost lease in any case."""
        if run.is_settling:
            return
        if why is Stop.LOST:
            run.is_lost = True
        if run.stop is not None:
            return
        run.stop = why
        if run.task is not None:
            run.task.cancel()
            tidy_us = max(self._settings.worker.cancel_grace_us, TIDY_LEAST_US)
            run.later(tidy_us, lambda: self.take_away(run))
        elif run in self._waiting:
            self._waiting.remove(run)
            self._end(run, stopped(run))

    def take_away(self, run: Run) -> None:
        """End a stopped run without its handler, a coroutine that goes on all the same."""
        if run.stop is not None and run.task is not None:
            run.is_taken_away = True
            run.task.cancel()

    def ask_to_cancel(self, run: Run) -> None:
        """Tell a handler that its task was asked to cancel; cut it short after the grace."""
        if run.cancel_asked:
            return
        run.cancel_asked = True
        if not run.has_begun:
            self.stop(run, Stop.CANCEL)
            return
        self._places.ask_to_cancel(run)
        grace_us = self._settings.worker.cancel_grace_us
        run.later(grace_us, lambda: self.stop(run, Stop.CANCEL))

    def release_waiting(self) -> int:
        """Give back what was claimed and has not begun. Return how many that were."""
        released = 0
        while self._waiting:
            run = self._waiting.popleft()
            run.stop = Stop.DRAIN
            self._end(run, Released())
            released += 1
        # These have a slot and wait for a thread or a process.
        for run in self._running:
            if not run.has_begun and run.stop is None and not run.is_settling:
                self.stop(run, Stop.DRAIN)
                released += 1
        return released

    async def close(self) -> None:
        """Cut short what still runs: nobody is left who could write what comes of it."""
        for end in (lambda run: self.stop(run, Stop.LOST), self.take_away):
            for run in self._running:
                end(run)
            await self._runners.wait(TIDY_LEAST_US)

    def _bound(self, run: Run) -> None:
        """Count the handler's time, from when it begins."""
        if not run.has_begun:
            run.when_begun = lambda: self._bound(run)
            return
        claim, kind = run.claim, run.kind
        if claim.timeout_us is not None:
            run.later(claim.timeout_us, lambda: self.stop(run, Stop.TIMEOUT))
        if kind is not None and kind.settings.heartbeat_us is not None:
            run.expect_beat(kind.settings.heartbeat_us, lambda: self.stop(run, Stop.SILENT))

    async def _attempt(self, run: Run) -> None:
        outcome = await self._outcome(run)
        run.task = None
        self._end(run, outcome)

    async def _outcome(self, run: Run) -> Outcome | None:
        """Return what the attempt came to, or None if it does not count any more."""
        kind = run.kind
        if kind is None:
            delay_us = self._settings.claimer.unknown_kind_us
            unknown = KindUnknown(kind=run.claim.kind, queue=run.claim.queue, delay_us=delay_us)
            self._emit(unknown)
            return Snoozed(delay_us=delay_us)
        try:
            current.set(TaskContext(run.claim, run, kind.states))
            value = await self._places.run(kind, run)
            outcome = returned(kind, value, self._limits)
            if isinstance(outcome, Completed) and outcome.steer is not None:
                return replace(outcome, also=steering(run.claim, outcome.steer))
            return outcome
        # A handler may raise anything, sys.exit() and a cancellation of its own included, and
        # must not end the worker.
        except BaseException as error:  # noqa: BLE001 - becomes the outcome
            # What else it raises when it is cut short is not the reason why it was.
            if run.stop is None or isinstance(error, GiveUp | RetryLater):
                return raised(kind, error, self._limits)
            self._note_if_stuck(run)
            return stopped(run)

    def _end(self, run: Run, outcome: Outcome | None) -> None:
        """Free the run's slot and pass on its outcome."""
        run.drop_timers()
        run.is_settling = True
        if not self._places.holds(run):
            self.slots.give_back(run.cost, has_begun=run.has_slot)
        if outcome is None or run.is_lost:
            self._running.drop(run)
        else:
            self._settler.put(run, outcome)
        self._runners.call()
        self.when_free()

    def _note_if_stuck(self, run: Run) -> None:
        """A thread cannot be stopped: its slot stays taken until it ends."""
        if not self._places.holds(run):
            return
        self.stuck += 1
        self._emit(HandlerStuck(task_id=run.claim.id, kind=run.claim.kind, stuck=self.stuck))

        def free() -> None:
            self.stuck -= 1
            self.slots.give_back(run.cost, has_begun=True)
            self._runners.call()
            self.when_free()

        self._places.when_free(run, free)
        if not self.is_healthy:
            # What waits here for a thread could wait for ever, with its lease renewed.
            self.release_waiting()


def _nobody() -> None:
    """Whom a free slot is told before anyone listens."""
