"""Write outcomes, many at once, and keep trying until they are written or lost.

Given runs and outcomes by the executor. A task counts as done only after the commit; until
then its lease is renewed like that of a running one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from tenure.engine.loop import Loop
from tenure.engine.running import Run, RunKey, Running
from tenure.engine.surroundings import Surroundings
from tenure.engine.verdict import raised
from tenure.kernel.errors import SchemaError, StoreBusyError, StoreDownError
from tenure.kernel.outcome import Outcome
from tenure.kernel.retry import RetryPolicy
from tenure.kernel.settle import EFFECTS, Settlement, settle
from tenure.kernel.states import Event, State
from tenure.observe.events import AttemptFailed, AttemptsSettled, LeaseLost
from tenure.sdk.task import Kind
from tenure.store import claims
from tenure.store.claims import Settled

IDLE_US = 60_000_000
# A verb of the user's that the store refuses so often, over minutes, is taken for the cause.
REFUSALS_MAX = 20

_NO_POLICY = RetryPolicy()
_OF_THE_STORE = (StoreBusyError, StoreDownError, SchemaError)


class Settler(Loop):
    """What has been decided and is not yet in the store."""

    def __init__(self, around: Surroundings, *, running: Running, worker_id: str) -> None:
        super().__init__("settler", around.emit)
        self.when_written: Callable[[], None] = _nobody
        # Told the queue of a task that was put back, and in how many microseconds it is due.
        self.when_back: Callable[[str, int], None] = _nobody_at_all
        self._store = around.store
        self._running = running
        self._worker_id = worker_id
        self._settings = around.settings
        self._rng = around.rng
        self._decided: deque[tuple[Run, Settlement]] = deque()
        self._lingered = False
        self._singly = 0  # how many to write one by one, to find which of them cannot be written
        self._refused: Counter[RunKey] = Counter()
        self._replaced: set[RunKey] = set()

    @property
    def is_full(self) -> bool:
        """Whether so much is unwritten that nothing more should be claimed."""
        return len(self._decided) >= self._settings.settler.backlog_max

    @property
    def is_empty(self) -> bool:
        """Whether everything decided is written."""
        return not self._decided

    def put(self, run: Run, outcome: Outcome) -> None:
        """Decide what an outcome means, and write it soon."""
        policy = run.kind.settings.retry if run.kind is not None else _NO_POLICY
        settlement = settle(run.claim, outcome, policy, u=self._rng.random())
        self._decided.append((run, settlement))
        if settlement.error is not None:
            self._tell_failure(run, settlement)
        if len(self._decided) == 1:
            self.wake()

    async def tick(self) -> int:
        """Write a batch. A settlement with a verb of its own goes alone, for it may fail.

        One that cannot be written becomes the failure of its attempt, so that it is neither lost
        nor in the way of all others.
        """
        if not self._decided:
            return IDLE_US
        if self._should_linger():
            return self._settings.settler.linger_us
        self._lingered = False
        batch = self._next_batch()
        try:
            answers = await self._write(batch)
        # The verb of a settlement is the user's, and may raise anything.
        except Exception as error:
            if not self._can_go_on(batch, error):
                raise
            return 0
        self._forget(batch, answers)
        self.when_written()
        return 0 if self._decided else IDLE_US

    async def _write(self, batch: list[tuple[Run, Settlement]]) -> list[Settled]:
        said = [(run.claim.lease, run.said) for run, _ in batch if run.said is not None]
        if said:
            leases, words = zip(*said, strict=True)
            await self._store.run(claims.report_progress(leases, words))
        return await self._store.run(
            claims.settle(
                [settlement for _, settlement in batch],
                worker_id=self._worker_id,
                inline_bytes_max=self._settings.limits.inline_bytes_max,
            )
        )

    def _forget(self, batch: list[tuple[Run, Settlement]], answers: list[Settled]) -> None:
        """Drop what has been answered for."""
        lost = 0
        for (run, settlement), answer in zip(batch, answers, strict=True):
            assert self._decided[0][0] is run, "the settler alone takes from its queue"
            self._decided.popleft()
            self._running.drop(run)
            self._replaced.discard(run.key)
            if answer is Settled.LOST:
                lost += 1
                self.emit(
                    LeaseLost(
                        task_id=settlement.task_id,
                        kind=run.claim.kind,
                        claim_no=settlement.claim_no,
                    )
                )
            # What we have no handler for is left to others, who might else never be first.
            elif run.kind is not None and EFFECTS[settlement.event].state == State.PENDING.value:
                self.when_back(run.claim.queue, settlement.delay_us)
        self._singly = max(0, self._singly - len(batch))
        self._refused.clear()
        if lost < len(batch):
            self.emit(AttemptsSettled(count=len(batch) - lost))

    def _can_go_on(self, batch: list[tuple[Run, Settlement]], error: Exception) -> bool:
        """See to a settlement that cannot be written. Return False if it is the store's trouble."""
        is_the_stores = isinstance(error, _OF_THE_STORE)
        if len(batch) > 1:
            self._singly = 0 if is_the_stores else len(batch)
            return not is_the_stores
        run, settlement = batch[0]
        if settlement.also is not None and is_the_stores:
            self._refused[run.key] += 1
            is_the_stores = self._refused[run.key] < REFUSALS_MAX
        if is_the_stores or run.kind is None or run.key in self._replaced:
            # Whatever is wrong with it, the others have their turn first.
            self._decided.rotate(-1)
            return False
        self._replace_first(run, run.kind, error)
        return True

    def _replace_first(self, run: Run, kind: Kind[..., Any], error: Exception) -> None:
        """Let the first attempt fail with the error that kept it from being written."""
        self._decided.popleft()
        self._replaced.add(run.key)
        outcome = raised(kind, error, self._settings.limits)
        settlement = settle(run.claim, outcome, kind.settings.retry, u=self._rng.random())
        self._decided.appendleft((run, settlement))
        self._tell_failure(run, settlement)

    def _should_linger(self) -> bool:
        """Wait a moment for others that are about to end, but only once, and not for nobody."""
        if self._lingered or len(self._decided) >= self._settings.settler.batch:
            return False
        self._lingered = len(self._running) > len(self._decided)
        return self._lingered

    def _next_batch(self) -> list[tuple[Run, Settlement]]:
        """Return what to write next; it stays in the queue until it is written."""
        batch: list[tuple[Run, Settlement]] = []
        batch_max = 1 if self._singly else self._settings.settler.batch
        for entry in self._decided:
            if entry[1].also is not None:
                return batch or [entry]
            batch.append(entry)
            if len(batch) == batch_max:
                break
        return batch

    def _tell_failure(self, run: Run, settlement: Settlement) -> None:
        assert settlement.error is not None
        if settlement.event in (Event.RETRY, Event.FAIL):
            self.emit(
                AttemptFailed(
                    task_id=settlement.task_id,
                    kind=run.claim.kind,
                    attempt=settlement.attempt,
                    attempts_max=run.claim.attempts_max,
                    move=settlement.event,
                    delay_us=settlement.delay_us,
                    error=settlement.error,
                )
            )


def _nobody_at_all(queue: str, delay_us: int) -> None:
    """Whom a task that comes back is told before anyone listens."""


def _nobody() -> None:
    """Whom a written batch is told before anyone listens."""
