"""Play requests about schedules on a store whose time stands still."""

from __future__ import annotations

from typing import Any, TypeVar

from tenure.kernel.model import Claim
from tenure.kernel.schedules.model import Change, Schedule, Verdict
from tenure.kernel.states import Event
from tenure.service import schedules
from tenure.service.program import Program, run_sync
from tenure.settings import Settings
from tests.store.builders import a_settlement, settle_all
from tests.store.drivers import (
    Driver,
    FakeClock,
)
from tests.store.schedule_builders import (
    a_wanted,
)

T = TypeVar("T")

SETTINGS = Settings()
FIRED = Verdict.FIRED
DAYS = {"dates": ["2023-11-15"]}


class StoppableClock(FakeClock):
    """Time that also stands still for those who block."""

    def block(self, us: int) -> None:
        self.slept_us += us


def run(store: Driver, program: Program[T]) -> T:
    return run_sync(program, store, StoppableClock())


def create(store: Driver, id: str = "s", text: str = "1m", **fields: Any) -> Change:
    return run(store, schedules.create("", a_wanted(id, text, **fields), SETTINGS))


def ensure(store: Driver, id: str = "s", text: str = "1m", **fields: Any) -> Change:
    return run(store, schedules.ensure("", a_wanted(id, text, **fields), SETTINGS))


def update(store: Driver, id: str = "s", text: str = "1m", **fields: Any) -> Change:
    revision = fields.pop("revision", None)
    wanted = a_wanted(id, text, **fields)
    return run(store, schedules.update("", wanted, SETTINGS, revision=revision))


def get(store: Driver, id: str = "s") -> Schedule:
    return run(store, schedules.get("", id, SETTINGS))


def finish(store: Driver, claim: Claim, **fields: Any) -> None:
    settle_all(
        store, [a_settlement(claim, Event.COMPLETE, schedule_id=claim.schedule_id, **fields)]
    )
