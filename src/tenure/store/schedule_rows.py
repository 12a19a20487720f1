"""Rows of schedules and of the ledger to values and back.

The order of the fields is that of the fragment `schedule_columns` in `sql/shared/schedules.sql`.
"""

from __future__ import annotations

import functools
import json

from tenure.kernel.errors import InvalidError
from tenure.kernel.model import Lane
from tenure.kernel.ports import Row
from tenure.kernel.schedules.definition import Definition, RuleKind
from tenure.kernel.schedules.exclusions import Exclusion, parse_exclusion
from tenure.kernel.schedules.firing import gap_us
from tenure.kernel.schedules.model import Fire, Schedule, Template, Verdict
from tenure.kernel.schedules.policies import Policies, policies_from
from tenure.store import rows


def schedule(row: Row) -> Schedule:
    """Read a row of `schedule_columns`.

    Raises:
        InvalidError: a newer version wrote it, or somebody by hand, and it makes no sense here.
    """
    try:
        return _schedule(row)
    except (InvalidError, KeyError, TypeError, ValueError) as error:
        raise InvalidError(
            f"schedule {row[1]!r} cannot be read: {error}; delete it and make it anew, or use the "
            "version of Tenure that wrote it",
            field="schedule",
        ) from error


def cursor_us(row: Row) -> int:
    """Return the cursor of a row that may not be readable otherwise."""
    return int(row[20])


def next_fire_at_us(row: Row) -> int:
    """Return the next instant, which there is, of a row that may not be readable otherwise."""
    return int(row[22])


def _schedule(row: Row) -> Schedule:
    return Schedule(
        tenant=row[0],
        id=row[1],
        definition=Definition(
            rule=RuleKind(row[2]),
            text=row[3],
            zone=row[4],
            start_us=row[5],
            end_us=row[6],
            policies=_policies(row[7]),
        ),
        template=Template(
            kind=row[8],
            payload=row[9],
            queue=row[10],
            lane=Lane(row[11]),
            cost=row[12],
            attempts_max=row[13],
            timeout_us=row[14],
            tags=rows.tags(row[15]),
        ),
        carry=row[16],
        origin=row[17],
        paused_at_us=row[18],
        trouble=row[19],
        cursor_us=row[20],
        steered_us=row[21],
        next_fire_at_us=row[22],
        last_fired_at_us=row[23],
        held_by=row[24],
        floor_us=row[25],
        fired=row[26],
        revision=row[27],
        created_at_us=row[28],
        updated_at_us=row[29],
    )


def params(schedule: Schedule) -> dict[str, object]:
    """Return what inserting or updating a schedule binds."""
    definition, template = schedule.definition, schedule.template
    return {
        "tenant": schedule.tenant,
        "id": schedule.id,
        "rule": definition.rule.value,
        "text": definition.text,
        "zone": definition.zone,
        "start_us": definition.start_us,
        "end_us": definition.end_us,
        "policies": json.dumps(definition.policies.document, sort_keys=True),
        "kind": template.kind,
        "payload": template.payload,
        "queue": template.queue,
        "lane": int(template.lane),
        "cost": template.cost,
        "attempts_max": template.attempts_max,
        "timeout_us": template.timeout_us,
        "tags": rows.tags_text(template.tags),
        "origin": schedule.origin,
        "cursor_us": schedule.cursor_us,
        "next_fire_at_us": schedule.next_fire_at_us,
        "gap_us": gap_us(schedule) if schedule.counts_from_ends and not schedule.trouble else None,
        "turns": int(schedule.takes_turns),
    }


def fire(row: Row) -> Fire:
    """Read an entry of the ledger."""
    return Fire(
        schedule_id=row[0],
        instant_us=row[1],
        verdict=Verdict(row[2]),
        task_id=row[3],
        at_us=row[4],
        note=row[5],
    )


@functools.lru_cache(maxsize=1_000)
def exclusion(document: str) -> Exclusion:
    """Read a stored calendar; remembered, since few change and many schedules share them."""
    return parse_exclusion(json.loads(document))


@functools.lru_cache(maxsize=1_000)
def _policies(document: str) -> Policies:
    return policies_from(json.loads(document))
