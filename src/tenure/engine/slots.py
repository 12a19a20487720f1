"""How much a worker may have in hand at once, by cost, and how much of it is taken."""

from __future__ import annotations

from tenure.engine.pace import Pace
from tenure.kernel.ports import Clock


class Slots:
    """The room of one worker.

    A claim under way holds what it may bring as *promised*; what it brought is *taken* until
    it ends. A fast worker takes more than its slots, so as to have the next at hand; what has
    begun is *busy*, and never more than the slots.
    """

    def __init__(self, total: int, clock: Clock) -> None:
        self.total = total
        self._pace = Pace(clock)
        self._taken = 0
        self._promised = 0
        self._busy = 0

    def promise(self, wanted: int) -> int:
        """Set aside up to *wanted* of what is free; return how much that is, perhaps 0."""
        room = self.total + self._pace.ahead() - self._taken - self._promised
        promised = max(0, min(wanted, room))
        self._promised += promised
        return promised

    def keep_promise(self, promised: int) -> None:
        """Take back what was set aside for a claim that is over."""
        self._promised -= promised

    def take(self, cost: int) -> int:
        """Take room for a task; return how much, which is never more than there is in all."""
        taken = min(cost, self.total)
        self._taken += taken
        return taken

    def has_room(self, cost: int) -> bool:
        """Return whether a task that was taken may begin."""
        return self._busy + cost <= self.total

    def begin(self, cost: int) -> None:
        """Note that a task begins."""
        self._busy += cost

    def give_back(self, taken: int, *, has_begun: bool) -> None:
        """Free the room of a task that has ended."""
        self._taken -= taken
        if has_begun:
            self._busy -= taken
        self._pace.note()
