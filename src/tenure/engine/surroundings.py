"""What every part of one worker works with, handed to all of them as one value."""

from __future__ import annotations

from dataclasses import dataclass

from tenure.kernel.ports import AsyncStore, Clock, Ids, Rng
from tenure.observe.events import Bus, Emit
from tenure.sdk.task import Registry
from tenure.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The store and the ports of a worker; a test gives others than the system's."""

    store: AsyncStore
    registry: Registry
    settings: Settings
    clock: Clock
    ids: Ids
    rng: Rng
    bus: Bus

    @property
    def emit(self) -> Emit:
        """Tell a fact to whoever listens."""
        return self.bus.emit
