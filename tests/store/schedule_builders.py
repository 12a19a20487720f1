"""Schedules to put, to fire and to look at, with only the interesting field written out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tenure.kernel.model import Claim, Task
from tenure.kernel.ports import Mode, Rows, Step, Steps, Verb
from tenure.kernel.schedules import edits
from tenure.kernel.schedules.definition import Definition, RuleKind
from tenure.kernel.schedules.edits import Wanted
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.model import Change, Schedule, Template, Verdict, fire_id
from tenure.kernel.schedules.policies import Policies
from tenure.kernel.settle import Settlement
from tenure.kernel.states import Event
from tenure.store import firing, schedules, tasks
from tenure.store.firing import Fired
from tests.store.builders import INLINE_BYTES_MAX, a_settlement, settle_all
from tests.store.drivers import SECOND_US, START_US, Driver

MINUTE_US = 60 * SECOND_US
LATE_US = MINUTE_US


def a_definition(text: str = "1m", **fields: Any) -> Definition:
    """Return a rule of every minute; what is no field of a definition is a policy."""
    names = {"rule", "zone", "start_us", "end_us"}
    own = {name: value for name, value in fields.items() if name in names}
    chosen = {name: value for name, value in fields.items() if name not in names}
    return Definition(
        **{"rule": RuleKind.INTERVAL, "text": text, **own}, policies=Policies(**chosen)
    )


def a_template(**fields: Any) -> Template:
    """Return the task of a schedule."""
    return Template(**{"kind": "mail", "payload": b"{}", **fields})


def a_wanted(id: str = "s", text: str = "1m", **fields: Any) -> Wanted:
    """Return a schedule as somebody wants it."""
    own = ("template", "origin", "carry", "paused")
    chosen: dict[str, Any] = {"template": a_template()}
    chosen |= {name: fields.pop(name) for name in own if name in fields}
    return Wanted(id=id, definition=a_definition(text, **fields), **chosen)


def put(
    store: Driver, id: str = "s", text: str = "1m", *, tenant: str = "", **fields: Any
) -> Change:
    """Make a schedule, or change the one there is; its first instant is now, if its rule allows."""
    wanted = a_wanted(id, text, **fields)

    def make(
        there_is: Schedule | None, known: dict[str, Exclusion], now_us: int
    ) -> Schedule | None:
        if there_is is None:
            return edits.created(tenant, wanted, known, now_us)
        return edits.changed(there_is, wanted, known, now_us)

    return store.run(schedules.put(tenant, id, wanted.definition.policies.exclude, make))


def change(store: Driver, id: str = "s", *, tenant: str = "", **fields: Any) -> Change:
    """Set fields of a schedule as they are stored, whatever a rule says."""

    def make(there_is: Schedule | None, known: object, now_us: int) -> Schedule | None:
        assert there_is is not None
        return replace(there_is, **fields)

    return store.run(schedules.put(tenant, id, (), make))


def known(store: Driver, id: str = "s", *, tenant: str = "") -> Schedule:
    """Return a schedule that exists."""
    found = store.run(schedules.get(tenant, id))
    assert found is not None
    return found


def fire(store: Driver, *, limit: int = 100, late_us: int = LATE_US) -> Fired:
    """Fire what is due."""
    verb = firing.fire_due(limit=limit, late_us=late_us, inline_bytes_max=INLINE_BYTES_MAX)
    return store.run(verb)


def run_soon(store: Driver, id: str = "s") -> schedules.Asked:
    """Ask for a run by hand."""
    return store.run(
        schedules.run_soon("", id, note="asked for", inline_bytes_max=INLINE_BYTES_MAX)
    )


def ledger(store: Driver, id: str = "s", *, tenant: str = "") -> list[tuple[int, Verdict]]:
    """Return the ledger, earliest first: seconds after the start, and the verdict."""
    found = store.run(schedules.fires(tenant, id, before_us=schedules.LAST_US, limit=1_000))
    return [((each.instant_us - START_US) // SECOND_US, each.verdict) for each in found[::-1]]


def runs(store: Driver, id: str = "s", *, tenant: str = "") -> list[Task]:
    """Return the runs, oldest first."""
    found = store.run(schedules.runs(tenant, id, before_id=tasks.LAST_ID, limit=1_000))
    return found[::-1]


def states(store: Driver, id: str = "s") -> list[str]:
    """Return how the runs stand, oldest first."""
    return [task.state.value for task in runs(store, id)]


def run_id(after_s: float = 0, id: str = "s", *, tenant: str = "") -> str:
    """Return the id of the run for an instant so many seconds after the start."""
    return fire_id(tenant, id, START_US + round(after_s * SECOND_US))


def next_s(store: Driver, id: str = "s") -> float | None:
    """Return how many seconds after the start the next instant is."""
    at_us = known(store, id).next_fire_at_us
    return None if at_us is None else (at_us - START_US) / SECOND_US


def of_schedule(claims: Sequence[Claim], id: str = "s") -> list[str]:
    """Return the ids of those claims that are of runs of a schedule."""
    return [claim.id for claim in claims if claim.schedule_id == id]


def answered(store: Driver, step: Step) -> Rows:
    """Run one step by itself, past the verb that it is of."""

    def alone() -> Steps[Rows]:
        return (yield step)

    return store.run(Verb(alone, mode=Mode.TRANSACTION, name="alone"))


def of_run(claim: Claim, event: Event, **fields: object) -> Settlement:
    """Return what settles a claim as the engine does, with the schedule it is a run of."""
    return a_settlement(claim, event, schedule_id=claim.schedule_id, **fields)


def end(store: Driver, claim: Claim, event: Event = Event.COMPLETE, **fields: object) -> None:
    """Settle a run as the engine does."""
    settle_all(store, [of_run(claim, event, **fields)])
