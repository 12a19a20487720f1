"""What `--json` answers on schedules and calendars; see `shapes.py` for the promises."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

from tenure.cli.shapes import TaskShape
from tenure.cli.show import SECOND_US, body, instant, instant_or_none
from tenure.kernel.errors import TenureError
from tenure.kernel.schedules.definition import Definition
from tenure.kernel.schedules.model import Fire, Schedule, Template
from tenure.kernel.schedules.policies import Policies
from tenure.kernel.schedules.preview import Difference, Preview
from tenure.kernel.schedules.shown import Occurrence
from tenure.kernel.schedules.words import describe
from tenure.kernel.schedules.zones import zone
from tenure.store.schedules import Calendar


class PoliciesShape(msgspec.Struct, frozen=True):
    """The policies of a schedule, chosen or by default. A fold of null is by the kind of rule."""

    gap: str
    fold: str | None
    missed: str
    missed_max: int
    missed_within_s: Decimal | None
    overlap: str
    drift: str
    jitter_s: Decimal
    exclude: list[str]


class TemplateShape(msgspec.Struct, frozen=True):
    """The task that a schedule makes each time."""

    kind: str
    queue: str
    priority: int
    cost: int
    attempts_max: int
    timeout_s: Decimal | None
    tags: list[str]
    payload: msgspec.Raw | None


class ScheduleShape(msgspec.Struct, frozen=True):
    """A schedule. `label` is active, paused, faulty, running or ended; `words` say its rule."""

    id: str
    label: str
    rule: str
    text: str
    words: str
    zone: str
    start_at: str | None
    end_at: str | None
    policies: PoliciesShape
    task: TemplateShape
    origin: str
    paused_at: str | None
    trouble: str | None
    next_fire_at: str | None
    is_steered: bool
    last_fired_at: str | None
    held_by: str | None
    fired: int
    revision: int
    created_at: str
    updated_at: str


class SchedulePage(msgspec.Struct, frozen=True):
    """Schedules by id; `next_after` is what to give to `--after` for more."""

    schedules: list[ScheduleShape]
    next_after: str | None


class FireShape(msgspec.Struct, frozen=True):
    """What became of an instant: fired, missed or skipped."""

    instant: str
    verdict: str
    task_id: str | None
    at: str
    note: str


class FirePage(msgspec.Struct, frozen=True):
    """A page of the ledger, latest first; `next_before` is what to give to `--before` for more."""

    fires: list[FireShape]
    next_before: str | None


class OccurrenceShape(msgspec.Struct, frozen=True):
    """A fire to come; with a jitter the task is due up to `latest_at`."""

    at: str
    local: str
    weekday: str
    latest_at: str
    marks: list[str]


class LeftOutShape(msgspec.Struct, frozen=True):
    """A time that the rule names and that does not fire: gap, fold or calendar is the reason."""

    local: str
    weekday: str
    reason: str
    words: str


class PreviewShape(msgspec.Struct, frozen=True):
    """What a rule fires in a time, and what it leaves out there."""

    words: str
    policies: list[str]
    zone: str
    fires: list[OccurrenceShape]
    left_out: list[LeftOutShape]
    truncated: bool
    note: str


class DifferenceShape(msgspec.Struct, frozen=True):
    """What an edit changes: fires only before it, and fires only after it."""

    words: str
    kept: int
    removed_count: int
    added_count: int
    removed: list[OccurrenceShape]
    added: list[OccurrenceShape]
    compared_until: str
    truncated: bool


class ScheduleStory(msgspec.Struct, frozen=True):
    """A schedule with the state it hands on, what comes, and its latest runs and entries.

    There is no preview of one that cannot be planned.
    """

    schedule: ScheduleShape
    state: msgspec.Raw | None
    preview: PreviewShape | None
    runs: list[TaskShape]
    fires: list[FireShape]


class TrialShape(msgspec.Struct, frozen=True):
    """What `put` would do: a new schedule has a preview, another rule a difference."""

    id: str
    change: str
    preview: PreviewShape | None
    difference: DifferenceShape | None


class CalendarShape(msgspec.Struct, frozen=True):
    """A calendar: dates and ranges of days, rules of days, and periods."""

    name: str
    dates: list[str]
    rules: list[msgspec.Raw]
    periods: list[str]
    updated_at: str


def words_of(definition: Definition, now_us: int | None = None) -> str:
    """Return a definition in words, or as it was written if it cannot be read any more."""
    try:
        zone(definition.zone)
        return describe(definition, now_us=now_us)
    except TenureError:
        return f"{definition.rule.value} {definition.text}, {definition.zone} time"


def schedule_shape(schedule: Schedule, now_us: int) -> ScheduleShape:
    """Return a schedule for JSON."""
    definition = schedule.definition
    return ScheduleShape(
        id=schedule.id,
        label=schedule.label,
        rule=definition.rule.value,
        text=definition.text,
        words=words_of(definition, now_us),
        zone=definition.zone,
        start_at=instant_or_none(definition.start_us),
        end_at=instant_or_none(definition.end_us),
        policies=_policies(definition.policies),
        task=_template(schedule.template),
        origin=schedule.origin,
        paused_at=instant_or_none(schedule.paused_at_us),
        trouble=schedule.trouble,
        next_fire_at=instant_or_none(schedule.next_fire_at_us),
        is_steered=schedule.steered_us is not None,
        last_fired_at=instant_or_none(schedule.last_fired_at_us),
        held_by=schedule.held_by,
        fired=schedule.fired,
        revision=schedule.revision,
        created_at=instant(schedule.created_at_us),
        updated_at=instant(schedule.updated_at_us),
    )


def fire_shape(fire: Fire) -> FireShape:
    """Return an entry of the ledger for JSON."""
    return FireShape(
        instant=instant(fire.instant_us),
        verdict=fire.verdict.value,
        task_id=fire.task_id,
        at=instant(fire.at_us),
        note=fire.note,
    )


def preview_shape(preview: Preview, *, words: str, policies: list[str]) -> PreviewShape:
    """Return a preview for JSON."""
    return PreviewShape(
        words=words,
        policies=policies,
        zone=preview.zone,
        fires=_occurrences(preview.occurrences),
        left_out=[
            LeftOutShape(each.local, each.weekday, each.reason.value, each.words)
            for each in preview.left_out
        ],
        truncated=preview.truncated,
        note=preview.sentence,
    )


def difference_shape(found: Difference) -> DifferenceShape:
    """Return a difference for JSON."""
    return DifferenceShape(
        words=found.sentence,
        kept=found.kept,
        removed_count=found.removed_count,
        added_count=found.added_count,
        removed=_occurrences(found.removed),
        added=_occurrences(found.added),
        compared_until=instant(found.compared_until_us),
        truncated=found.truncated,
    )


def calendar_shape(calendar: Calendar) -> CalendarShape:
    """Return a calendar for JSON."""
    document: dict[str, Any] = json.loads(calendar.document)
    return CalendarShape(
        name=calendar.name,
        dates=document.get("dates", []),
        rules=[msgspec.Raw(msgspec.json.encode(rule)) for rule in document.get("rules", [])],
        periods=document.get("periods", []),
        updated_at=instant(calendar.updated_at_us),
    )


def _occurrences(found: tuple[Occurrence, ...]) -> list[OccurrenceShape]:
    return [
        OccurrenceShape(
            at=instant(each.at_us),
            local=each.local,
            weekday=each.weekday,
            latest_at=instant(each.latest_us),
            marks=[mark.words for mark in each.marks],
        )
        for each in found
    ]


def _policies(policies: Policies) -> PoliciesShape:
    return PoliciesShape(
        gap=policies.gap.value,
        fold=None if policies.fold is None else policies.fold.value,
        missed=policies.missed.value,
        missed_max=policies.missed_max,
        missed_within_s=_seconds(policies.missed_within_us),
        overlap=policies.overlap.value,
        drift=policies.drift.value,
        jitter_s=Decimal(policies.jitter_us) / SECOND_US,
        exclude=list(policies.exclude),
    )


def _template(template: Template) -> TemplateShape:
    return TemplateShape(
        kind=template.kind,
        queue=template.queue,
        priority=template.lane,
        cost=template.cost,
        attempts_max=template.attempts_max,
        timeout_s=_seconds(template.timeout_us),
        tags=list(template.tags),
        payload=body(template.payload),
    )


def _seconds(length_us: int | None) -> Decimal | None:
    return None if length_us is None else Decimal(length_us) / SECOND_US
