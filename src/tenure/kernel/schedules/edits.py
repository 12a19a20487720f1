"""From a schedule as it is and as somebody wants it, to what must be stored.

Called by the programs of `service.schedules`, inside the transaction that holds the schedule. The
one place that knows what an edit keeps: the state, the history, the pause, the start unless
another is asked for, and an instant that has come due already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tenure.kernel.errors import InvalidError, LimitError
from tenure.kernel.schedules.definition import (
    Definition,
    checked_plan,
    exclusions_of,
    plan_for,
)
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.firing import gap_us
from tenure.kernel.schedules.model import Schedule, Template

Calendars = Mapping[str, Exclusion]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A schedule as somebody wants it."""

    id: str
    definition: Definition
    template: Template
    origin: str = ""
    carry: bytes | None = None
    paused: bool = False


def created(tenant: str, wanted: Wanted, known: Calendars, now_us: int) -> Schedule:
    """Return a new schedule.

    Raises:
        InvalidError, LimitError: it breaks a rule, contradicts itself, or would never fire.
    """
    exclusions = exclusions_of(wanted.definition.policies, known)
    plan, first_us = checked_plan(wanted.definition, exclusions, now_us=now_us)
    return Schedule(
        tenant=tenant,
        id=wanted.id,
        definition=plan.definition,
        template=wanted.template,
        carry=wanted.carry,
        origin=wanted.origin,
        paused_at_us=now_us if wanted.paused else None,
        trouble=None,
        cursor_us=now_us - 1,
        steered_us=None,
        next_fire_at_us=first_us,
        last_fired_at_us=None,
        held_by=None,
        floor_us=0,
        fired=0,
        revision=1,
        created_at_us=now_us,
        updated_at_us=now_us,
    )


def changed(there_is: Schedule, wanted: Wanted, known: Calendars, now_us: int) -> Schedule | None:
    """Return the schedule as wanted, or None if it is so already.

    Raises:
        InvalidError, LimitError: as `created`.
    """
    if wanted.definition.is_same(there_is.definition) and there_is.trouble is None:
        if (wanted.template, wanted.origin) == (there_is.template, there_is.origin):
            return None
        # Another task at the same times: what is planned, or was steered, stays planned.
        return replace(there_is, template=wanted.template, origin=wanted.origin)
    start_us = wanted.definition.start_us
    if start_us is None:
        start_us = there_is.definition.start_us
    definition = replace(wanted.definition, start_us=start_us)
    exclusions = exclusions_of(definition.policies, known)
    plan, first_us = checked_plan(definition, exclusions, now_us=now_us)
    planned = replace(
        there_is,
        definition=plan.definition,
        template=wanted.template,
        origin=wanted.origin,
        trouble=None,
        cursor_us=max(there_is.cursor_us, now_us - 1),
        steered_us=None,
        next_fire_at_us=first_us,
        held_by=None,
    )
    due_us = there_is.next_fire_at_us
    may_have_fired = due_us is not None and due_us <= there_is.floor_us
    is_wish = due_us is not None and due_us == there_is.steered_us
    is_due = due_us is not None and due_us <= now_us and there_is.paused_at_us is None
    if is_due and (is_wish or not may_have_fired):
        # It has come due and nobody has fired it yet: it still counts.
        return replace(planned, steered_us=due_us, next_fire_at_us=due_us)
    if planned.counts_from_ends and there_is.counts_from_ends:
        if there_is.held_by is not None:
            return replace(planned, next_fire_at_us=None, held_by=there_is.held_by)
        if due_us is not None:
            return replace(planned, next_fire_at_us=min(due_us, now_us + gap_us(planned)))
    return planned


def redefined(
    there_is: Schedule, definition: Definition, known: Calendars, now_us: int
) -> Schedule | None:
    """Return the schedule with the rule that one of its runs asked for, or None if it has it.

    The policies are the operator's, so they stay. A rule that is refused is kept with what is
    wrong with it, for somebody to mend: the run that asked has ended, and hears of no error.
    """
    definition = replace(definition, policies=there_is.definition.policies)
    wanted = Wanted(
        id=there_is.id,
        definition=definition,
        template=there_is.template,
        origin=there_is.origin,
    )
    try:
        return changed(there_is, wanted, known, now_us)
    except (InvalidError, LimitError) as error:
        return replace(there_is, definition=definition, trouble=str(error))


def next_from_now(schedule: Schedule, known: Calendars, now_us: int) -> int | None:
    """Return the first instant after *now_us*, for a schedule that begins to fire again.

    Raises:
        InvalidError: its rule, its zone or its calendars are not sound.
    """
    schedule.definition.check()
    exclusions = exclusions_of(schedule.definition.policies, known)
    return plan_for(schedule.definition, exclusions).next_after(now_us)
