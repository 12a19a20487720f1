"""Let go of instants up to a moment: what to do after a store was put back from a backup."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from tenure.kernel import validate
from tenure.kernel.errors import NotFoundError
from tenure.service import schedules
from tenure.service.program import Program, patiently
from tenure.settings import Settings
from tenure.store import skipping, workers

PAGE = 200


def skip(
    tenant: str, ids: Sequence[str], settings: Settings, *, until_us: int | None = None
) -> Program[int]:
    """Let nothing up to an instant fire any more; without ids, of all schedules.

    Without *until_us* it is the store's now. Return how many schedules had something to let go.

    Raises:
        NotFoundError: there is no schedule by one of the ids; nothing is let go.
    """
    known = yield from schedules.everything(tenant, settings)
    missing = sorted(set(ids) - {schedule.id for schedule in known})
    if missing:
        raise NotFoundError(f"there is no schedule {missing[0]!r}")
    if until_us is None:
        until_us = yield workers.clock()
    validate.within(until_us, field="until", low=0, high=validate.INSTANT_MAX_US)
    keys = [(tenant, each.id) for each in known if not ids or each.id in ids]
    moved = 0
    for start in range(0, len(keys), PAGE):
        page = keys[start : start + PAGE]
        moved += yield from patiently(
            functools.partial(skipping.skip, page, until_us), patience_us=settings.store.busy_us
        )
    return moved
