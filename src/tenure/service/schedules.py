"""What can be asked about schedules and calendars.

Called by the clients, the command line and the faces. Every request is validated here before it
reaches a verb, so that a schedule that is stored can be planned.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tenure.kernel import validate
from tenure.kernel.errors import (
    ConflictError,
    DuplicateError,
    InvalidError,
    LimitError,
    NotFoundError,
    RevisionError,
)
from tenure.kernel.model import Claim, NewTask, Task, TaskId
from tenure.kernel.outcome import Steer
from tenure.kernel.ports import Verb
from tenure.kernel.schedules import edits
from tenure.kernel.schedules.definition import Definition, Plan, exclusions_of, plan_for
from tenure.kernel.schedules.edits import Wanted as Wanted
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.model import Change, Fire, Schedule, Template, Verdict
from tenure.kernel.states import State
from tenure.service.program import Program, patiently
from tenure.settings import Settings
from tenure.store import schedules, tasks, workers

ALL_PAGES_MAX = 10_000
PUT_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What declaring schedules came to: ids, and the errors of those that could not be."""

    created: Sequence[str]
    updated: Sequence[str]
    unchanged: Sequence[str]
    removed: Sequence[str]
    refused: Sequence[tuple[str, str]]


def create(tenant: str, wanted: Wanted, settings: Settings) -> Program[Change]:
    """Store a new schedule.

    Raises:
        InvalidError, LimitError: it breaks a rule, contradicts itself, or would never fire.
        DuplicateError: there is one by that id.
    """
    return (yield from _put(tenant, wanted, settings, may_exist=False, must_exist=False))


def ensure(tenant: str, wanted: Wanted, settings: Settings) -> Program[Change]:
    """Store a schedule, or change the one by that id to what is wanted.

    What is unchanged stays as it is, and so do state, history, pause and start in any case.

    Raises:
        InvalidError, LimitError: as `create`.
    """
    return (yield from _put(tenant, wanted, settings, may_exist=True, must_exist=False))


def update(
    tenant: str, wanted: Wanted, settings: Settings, *, revision: int | None = None
) -> Program[Change]:
    """Change a schedule. An instant that has come due before still fires.

    Raises:
        InvalidError, LimitError: as `create`.
        NotFoundError: there is none by that id.
        RevisionError: it is not of the revision that the caller knows.
    """
    return (
        yield from _put(
            tenant, wanted, settings, may_exist=True, must_exist=True, revision=revision
        )
    )


def reconcile(
    tenant: str, origin: str, wanted: Sequence[Wanted], settings: Settings
) -> Program[Reconciled]:
    """Make the schedules of an origin those that its code declares, and report what changed.

    One that cannot be stored is reported, and the others are stored all the same.
    """
    results: dict[Change, list[str]] = {change: [] for change in Change}
    refused: list[tuple[str, str]] = []
    for each in wanted:
        try:
            change = yield from ensure(tenant, replace(each, origin=origin), settings)
        except (InvalidError, LimitError, ConflictError) as error:
            refused.append((each.id, str(error)))
        else:
            results[change].append(each.id)
    declared = {each.id for each in wanted}
    removed: list[str] = []
    for known in (yield from everything(tenant, settings, origin=origin)):
        if known.id not in declared:
            with contextlib.suppress(NotFoundError):  # Another worker was first.
                yield from delete(tenant, known.id, settings)
            removed.append(known.id)
    return Reconciled(
        created=results[Change.CREATED],
        updated=results[Change.UPDATED],
        unchanged=results[Change.UNCHANGED],
        removed=removed,
        refused=refused,
    )


def get(tenant: str, schedule_id: str, settings: Settings) -> Program[Schedule]:
    """Return a schedule.

    Raises:
        NotFoundError: there is none by that id.
    """
    found = yield from patiently(
        lambda: schedules.get(tenant, schedule_id), patience_us=settings.store.busy_us
    )
    if found is None:
        raise NotFoundError(f"there is no schedule {schedule_id!r}")
    return found


def find(
    tenant: str,
    settings: Settings,
    *,
    kind: str = "",
    origin: str = "",
    after_id: str = "",
    limit: int = 50,
) -> Program[list[Schedule]]:
    """Return a page of schedules by id; the next page is after the id of the last."""
    validate.within(limit, field="limit", low=1, high=settings.limits.page_rows_max)
    return (
        yield from patiently(
            lambda: schedules.listing(
                tenant, after_id=after_id, origin=origin, kind=kind, limit=limit
            ),
            patience_us=settings.store.busy_us,
        )
    )


def pause(tenant: str, schedule_id: str, settings: Settings) -> Program[bool]:
    """Stop a schedule from firing; what runs goes on. Return False if it was paused already.

    Raises:
        NotFoundError: there is none by that id.
    """
    return (
        yield from patiently(
            lambda: schedules.pause(tenant, schedule_id), patience_us=settings.store.busy_us
        )
    )


def resume(tenant: str, schedule_id: str, settings: Settings) -> Program[bool]:
    """Let a paused or faulty schedule fire again. What came due meanwhile is let go.

    Return False if it was neither.

    Raises:
        NotFoundError: there is none by that id.
        InvalidError: it is faulty still.
    """
    return (
        yield from patiently(
            lambda: schedules.resume(tenant, schedule_id, edits.next_from_now),
            patience_us=settings.store.busy_us,
        )
    )


def delete(tenant: str, schedule_id: str, settings: Settings) -> Program[None]:
    """Delete a schedule. Its runs, and the ledger of its instants, stay.

    Raises:
        NotFoundError: there is none by that id.
    """
    deleted = yield from patiently(
        lambda: schedules.delete(tenant, schedule_id), patience_us=settings.store.busy_us
    )
    if not deleted:
        raise NotFoundError(f"there is no schedule {schedule_id!r}")


def steering(claim: Claim, steer: Steer) -> Verb[bool]:
    """Return the verb by which a run steers its schedule, for the transaction that settles it."""

    def make(
        there_is: Schedule | None, known: dict[str, Exclusion], now_us: int
    ) -> Schedule | None:
        if there_is is None or steer.definition is None:
            return None
        return edits.redefined(there_is, steer.definition, known, now_us)

    return schedules.steered(
        claim.tenant, claim.schedule_id or "", claim.id, next_us=steer.next_us, make=make
    )


def run_soon(
    tenant: str, schedule_id: str, settings: Settings, *, note: str = "asked for"
) -> Program[TaskId]:
    """Make a run now, beside those of the rule. Return its id.

    Raises:
        NotFoundError: there is no such schedule.
        ConflictError: a run is under way, and the policy for overlaps lets none wait.
    """
    asked = yield from patiently(
        lambda: schedules.run_soon(
            tenant, schedule_id, note=note, inline_bytes_max=settings.limits.inline_bytes_max
        ),
        patience_us=settings.store.busy_us,
    )
    for task_id in asked.to_cancel:
        with contextlib.suppress(ConflictError, NotFoundError):  # It has ended meanwhile.
            yield from _cancel(tenant, task_id, settings)
    entry = asked.entry
    if entry is None or entry.task_id is None or entry.verdict is Verdict.SKIPPED:
        why = "it was asked for a moment ago" if entry is None else entry.note
        raise ConflictError(f"schedule {schedule_id!r} cannot run now: {why}")
    return entry.task_id


def set_next(tenant: str, schedule_id: str, next_us: int, settings: Settings) -> Program[None]:
    """Let the next run be at an instant of your choice; after it the rule goes on.

    Raises:
        NotFoundError: there is no such schedule.
    """
    validate.within(next_us, field="at", low=1, high=validate.INSTANT_MAX_US)
    found = yield from patiently(
        lambda: schedules.steer(tenant, schedule_id, next_us), patience_us=settings.store.busy_us
    )
    if not found:
        raise NotFoundError(f"there is no schedule {schedule_id!r}")


def set_next_in(tenant: str, schedule_id: str, delay_us: int, settings: Settings) -> Program[None]:
    """Let the next run be so long from now, by the store's clock; as `set_next` otherwise."""
    now_us: int = yield workers.clock()
    yield from set_next(tenant, schedule_id, now_us + delay_us, settings)


def set_carry(
    tenant: str, schedule_id: str, carry: bytes | None, settings: Settings
) -> Program[None]:
    """Replace the state that is handed from run to run.

    Raises:
        NotFoundError: there is no such schedule.
        LimitError: the state is too large.
    """
    if carry is not None:
        validate.body(carry, field="payload", bytes_max=settings.limits.payload_bytes_max)
    yield from patiently(
        lambda: schedules.set_carry(tenant, schedule_id, carry),
        patience_us=settings.store.busy_us,
    )


def runs(
    tenant: str, schedule_id: str, settings: Settings, *, before_id: str = "", limit: int = 50
) -> Program[list[Task]]:
    """Return a page of the runs of a schedule, newest first."""
    validate.within(limit, field="limit", low=1, high=settings.limits.page_rows_max)
    last_id = before_id or tasks.LAST_ID
    found: list[Task] = yield schedules.runs(tenant, schedule_id, before_id=last_id, limit=limit)
    return found


def fires(
    tenant: str,
    schedule_id: str,
    settings: Settings,
    *,
    before_us: int = schedules.LAST_US,
    limit: int = 50,
) -> Program[list[Fire]]:
    """Return a page of the ledger of a schedule: what became of its instants, latest first."""
    validate.within(limit, field="limit", low=1, high=settings.limits.page_rows_max)
    found: list[Fire] = yield schedules.fires(tenant, schedule_id, before_us=before_us, limit=limit)
    return found


def plan_of(tenant: str, definition: Definition, start_us: int) -> Program[Plan]:
    """Return the plan of a definition with the calendars that it names, for a preview.

    *start_us* is its start unless it says one itself.

    Raises:
        InvalidError: the definition breaks a rule, or names an unknown calendar.
    """
    known: dict[str, Exclusion] = {}
    for name in definition.policies.exclude:
        entry: schedules.Calendar | None = yield schedules.calendar(tenant, name)
        if entry is not None:
            known[name] = entry.exclusion
    if definition.start_us is None:
        definition = replace(definition, start_us=start_us)
    return plan_for(definition, exclusions_of(definition.policies, known))


def everything(tenant: str, settings: Settings, *, origin: str = "") -> Program[list[Schedule]]:
    """Return all schedules, or all of an origin."""
    found: list[Schedule] = []
    after_id = ""
    for _ in range(ALL_PAGES_MAX):
        limit = settings.limits.page_rows_max
        page = yield from find(tenant, settings, origin=origin, after_id=after_id, limit=limit)
        found += page
        if len(page) < limit:
            break
        after_id = page[-1].id
    return found


def _put(
    tenant: str,
    wanted: Wanted,
    settings: Settings,
    *,
    may_exist: bool,
    must_exist: bool,
    revision: int | None = None,
) -> Program[Change]:
    validate.identifier(wanted.id, field="id")
    _check_template(wanted.template, settings)

    def make(
        there_is: Schedule | None, known: dict[str, Exclusion], now_us: int
    ) -> Schedule | None:
        if there_is is None:
            if must_exist:
                raise NotFoundError(f"there is no schedule {wanted.id!r}")
            return edits.created(tenant, wanted, known, now_us)
        if not may_exist:
            raise DuplicateError(
                f"there is a schedule {wanted.id!r} already: update it, or choose another id",
                existing_id=wanted.id,
            )
        if revision is not None and revision != there_is.revision:
            raise RevisionError(
                f"schedule {wanted.id!r} is at revision {there_is.revision}, not {revision}: "
                "somebody has changed it; read it again"
            )
        return edits.changed(there_is, wanted, known, now_us)

    names = wanted.definition.policies.exclude
    tries_left = PUT_TRIES
    while True:
        tries_left -= 1
        try:
            return (
                yield from patiently(
                    lambda: schedules.put(tenant, wanted.id, names, make),
                    patience_us=settings.store.busy_us,
                )
            )
        except RevisionError:
            # Workers that begin together make the same schedules together: look again.
            if revision is not None or not tries_left:
                raise


def _cancel(tenant: str, task_id: TaskId, settings: Settings) -> Program[State]:
    return (
        yield from patiently(
            lambda: tasks.cancel(tenant, task_id, force=False, reason="a newer run is due"),
            patience_us=settings.store.busy_us,
        )
    )


def _check_template(template: Template, settings: Settings) -> None:
    task = NewTask(
        id=TaskId("fire"),
        kind=template.kind,
        payload=template.payload,
        queue=template.queue,
        lane=template.lane,
        cost=template.cost,
        attempts_max=template.attempts_max,
        timeout_us=template.timeout_us,
        tags=template.tags,
    )
    validate.new_task(task, payload_bytes_max=settings.limits.payload_bytes_max)
