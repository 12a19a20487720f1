"""Look regularly at all queues of this worker at once, and wake whose work is due.

The net under the notices: whatever was not heard is found here, within `claimer.poll_s`. One
statement serves all queues, so that an idle worker costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenure.engine.claimer import Claimer
from tenure.engine.loop import Loop
from tenure.engine.surroundings import Surroundings
from tenure.store import claims


class Lookout(Loop):
    """The one that looks for all claimers of a worker."""

    def __init__(self, around: Surroundings, *, claimers: Sequence[Claimer]) -> None:
        super().__init__("lookout", around.emit)
        self._store = around.store
        self._settings = around.settings.claimer
        self._claimers = {claimer.queue: claimer for claimer in claimers}

    async def tick(self) -> int:
        """Look once."""
        poll_us = self._settings.poll_us
        dues = await self._store.run(claims.next_dues(list(self._claimers)))
        for queue, due_us in dues.items():
            claimer = self._claimers[queue]
            if due_us <= 0:
                claimer.wake()
            elif due_us <= poll_us:
                claimer.wake_in(due_us)
        return poll_us
