"""What can be asked about workers."""

from __future__ import annotations

from tenure.kernel.model import Worker
from tenure.service.program import Program
from tenure.store import workers


def listing() -> Program[list[Worker]]:
    """Return the known workers, oldest first."""
    found: list[Worker] = yield workers.listing()
    return found


def clock() -> Program[int]:
    """Return the store's time in microseconds."""
    now_us: int = yield workers.clock()
    return now_us
