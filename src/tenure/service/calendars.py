"""What can be asked about calendars: named sets of days off, which schedules exclude."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tenure.kernel import validate
from tenure.kernel.errors import ConflictError, LimitError, NotFoundError
from tenure.kernel.schedules.exclusions import parse_exclusion
from tenure.service import schedules as schedule_programs
from tenure.service.program import Program, patiently
from tenure.settings import Settings
from tenure.store import firing, schedules
from tenure.store.schedules import Calendar

DOCUMENT_BYTES_MAX = 1_000_000


def put(tenant: str, name: str, document: Mapping[str, object], settings: Settings) -> Program[int]:
    """Store a calendar, in place of an older one, and plan the schedules anew.

    Return for how many schedules the next instant is another one now.

    Raises:
        InvalidError, LimitError: the name or the document breaks a rule.
    """
    validate.name(name, field="name")
    parse_exclusion(document)
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    if len(text) > DOCUMENT_BYTES_MAX:
        raise LimitError(
            f"the calendar {name!r} has {len(text):,} characters; at most {DOCUMENT_BYTES_MAX:,} "
            "are allowed: leave out years that have passed",
            bound=DOCUMENT_BYTES_MAX,
        )
    yield from patiently(
        lambda: schedules.put_calendar(tenant, name, text), patience_us=settings.store.busy_us
    )
    return (yield from _replan(settings))


def get(tenant: str, name: str) -> Program[Calendar]:
    """Return a calendar.

    Raises:
        NotFoundError: there is none by that name.
    """
    found: Calendar | None = yield schedules.calendar(tenant, name)
    if found is None:
        raise NotFoundError(f"there is no calendar {name!r}")
    return found


def find(
    tenant: str, settings: Settings, *, after_name: str = "", limit: int = 50
) -> Program[list[Calendar]]:
    """Return a page of calendars by name; the next page is after the name of the last."""
    validate.within(limit, field="limit", low=1, high=settings.limits.page_rows_max)
    found: list[Calendar] = yield schedules.calendars(tenant, after_name=after_name, limit=limit)
    return found


def delete(tenant: str, name: str, settings: Settings) -> Program[None]:
    """Delete a calendar.

    Raises:
        NotFoundError: there is none by that name.
        ConflictError: a schedule excludes it.
    """
    for schedule in (yield from schedule_programs.everything(tenant, settings)):
        if name in schedule.definition.policies.exclude:
            raise ConflictError(
                f"schedule {schedule.id!r} excludes the calendar {name!r}: change it first"
            )
    deleted: bool = yield schedules.delete_calendar(tenant, name)
    if not deleted:
        raise NotFoundError(f"there is no calendar {name!r}")


def _replan(settings: Settings) -> Program[int]:
    changed = 0
    after: firing.ScheduleKey | None = ("", "")
    while after is not None:
        page = yield from _replan_page(after, settings)
        after = page[0]
        changed += page[1]
    return changed


def _replan_page(
    after: firing.ScheduleKey, settings: Settings
) -> Program[tuple[firing.ScheduleKey | None, int]]:
    limit = settings.scheduler.replan_batch
    return (
        yield from patiently(
            lambda: firing.replan(after, limit=limit), patience_us=settings.store.busy_us
        )
    )
