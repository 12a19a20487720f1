"""What this worker holds: one `Run` per claim, from the claim until its outcome is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from enum import Enum

from tenure.kernel.model import Claim
from tenure.kernel.ports import Clock
from tenure.sdk.task import Kind

RunKey = tuple[str, str, int]  # tenant, task id, claim_no


class Stop(Enum):
    """Why a run was stopped from outside."""

    TIMEOUT = "timeout"
    SILENT = "heartbeat"
    CANCEL = "cancelled"
    LOST = "lease_lost"
    DRAIN = "released"


class Run:
    """One attempt in this worker; also the context's line to the executor."""

    __slots__ = (
        "_clock",
        "beat_us",
        "cancel_asked",
        "claim",
        "cost",
        "has_begun",
        "has_slot",
        "is_lost",
        "is_settling",
        "is_taken_away",
        "key",
        "kind",
        "lease_ends_us",
        "said",
        "stop",
        "task",
        "timers",
        "when_begun",
    )

    def __init__(
        self, claim: Claim, kind: Kind[..., object] | None, clock: Clock, *, lease_ends_us: int
    ) -> None:
        self.claim: Claim = claim
        self.kind: Kind[..., object] | None = kind
        self.key: RunKey = (claim.tenant, claim.id, claim.claim_no)
        self.cost: int = claim.cost
        self.lease_ends_us: int = lease_ends_us  # by this process's monotonic clock
        self.has_slot: bool = False
        self.has_begun: bool = False  # it may have a slot and still wait for a thread or a process
        self.when_begun: Callable[[], None] | None = None
        self.cancel_asked: bool = False
        self.is_lost: bool = False
        self.is_settling: bool = False
        self.is_taken_away: bool = False  # from a handler that goes on though it was stopped
        self.said: bytes | None = None  # progress not yet written
        self.stop: Stop | None = None
        self.task: asyncio.Task[None] | None = None
        self.timers: list[tuple[asyncio.TimerHandle, float]] = []
        self.beat_us: int = 0
        self._clock = clock

    def begin(self) -> None:
        """Note that the handler begins: from now on its time counts."""
        self.has_begun = True
        if self.when_begun is not None:
            self.when_begun()

    def beat(self) -> None:
        """Note that the handler lives."""
        self.beat_us = self._clock.monotonic_us()

    def progress(self, body: bytes) -> None:
        """Keep the handler's last word on its progress."""
        self.said = body

    def later(self, us: int, call: Callable[[], None]) -> None:
        """Call after so long, unless the run ends before."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        # A handler that beats for days has a new timer for every beat. When each is due is kept
        # beside it: uvloop's timers do not say, if that is at once.
        self.timers = [entry for entry in self.timers if entry[1] > now]
        delay_s = us / 1_000_000
        self.timers.append((loop.call_later(delay_s, call), now + delay_s))

    def expect_beat(self, every_us: int, silent: Callable[[], None]) -> None:
        """Call *silent* once the handler has given no sign of life for so long."""
        self.beat()

        def listen() -> None:
            quiet_us = self._clock.monotonic_us() - self.beat_us
            if quiet_us >= every_us:
                silent()
            else:
                self.later(every_us - quiet_us, listen)

        self.later(every_us, listen)

    def drop_timers(self) -> None:
        """Forget what was to happen to this run later."""
        for timer, _ in self.timers:
            timer.cancel()
        self.timers.clear()


class Running:
    """All runs of a worker, by claim."""

    def __init__(self) -> None:
        self._runs: dict[RunKey, Run] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._runs.values()))

    def add(self, run: Run) -> None:
        """Hold a run."""
        self._runs[run.key] = run

    def drop(self, run: Run) -> None:
        """Hold it no more."""
        self._runs.pop(run.key, None)

    def find(self, key: RunKey) -> Run | None:
        """Return the run of a claim, if it is held."""
        return self._runs.get(key)
