"""The same change to many schedules, each for itself, with an answer for each.

Nothing that was asked for is passed over in silence: every id is in the answer, as changed, as
unchanged, or with its error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tenure.kernel import validate
from tenure.kernel.errors import ConflictError, InvalidError, LimitError, NotFoundError
from tenure.kernel.schedules.definition import Definition
from tenure.kernel.schedules.model import Change
from tenure.service import schedules
from tenure.service.program import Program
from tenure.settings import Settings

IDS_MAX = 10_000
SPREAD_MAX_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What a change to many came to: ids, and the errors of those that could not be changed."""

    changed: Sequence[str]
    unchanged: Sequence[str]
    refused: Sequence[tuple[str, str]]


def pause(tenant: str, ids: Sequence[str], settings: Settings) -> Program[Bulk]:
    """Pause schedules."""
    return (yield from _each(ids, lambda id: schedules.pause(tenant, id, settings)))


def resume(
    tenant: str, ids: Sequence[str], settings: Settings, *, run_soon: bool, within_us: int
) -> Program[Bulk]:
    """Resume schedules; with *run_soon* each runs once, spread evenly over *within_us*.

    So a hundred that are switched on at once do not all begin at once.
    """
    validate.within(within_us, field="within", low=0, high=SPREAD_MAX_US)
    done = yield from _each(ids, lambda id: schedules.resume(tenant, id, settings))
    if not run_soon:
        return done
    delays_us = {
        id: within_us * place // len(done.changed) for place, id in enumerate(done.changed)
    }

    def steer(id: str) -> Program[bool]:
        yield from schedules.set_next_in(tenant, id, delays_us[id], settings)
        return True

    steered = yield from _each(done.changed, steer)
    return replace(done, changed=steered.changed, refused=[*done.refused, *steered.refused])


def redefine(
    tenant: str, ids: Sequence[str], definition: Definition, settings: Settings
) -> Program[Bulk]:
    """Give schedules another rule; each keeps its task, state and history."""

    def change(id: str) -> Program[bool]:
        known = yield from schedules.get(tenant, id, settings)
        wanted = schedules.Wanted(
            id=id,
            definition=definition,
            template=known.template,
            origin=known.origin,
        )
        came_to = yield from schedules.update(tenant, wanted, settings, revision=known.revision)
        return came_to is Change.UPDATED

    return (yield from _each(ids, change))


def _each(ids: Sequence[str], change: Callable[[str], Program[bool]]) -> Program[Bulk]:
    validate.within(len(ids), field="ids", low=0, high=IDS_MAX)
    changed: list[str] = []
    unchanged: list[str] = []
    refused: list[tuple[str, str]] = []
    for id in dict.fromkeys(ids):
        try:
            is_changed = yield from change(id)
        except (NotFoundError, InvalidError, LimitError, ConflictError) as error:
            refused.append((id, str(error)))
        else:
            (changed if is_changed else unchanged).append(id)
    return Bulk(changed=changed, unchanged=unchanged, refused=refused)
