"""`tenure schedules put`: make a schedule, change it, or see what a change would do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import click

from tenure.cli import application, schedule_shapes as shapes, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.enqueue import PRIORITIES, read_call, read_json
from tenure.cli.reach import Reached, reach
from tenure.cli.schedule_preview import checked, compared, first_fires, show_difference, show_fires
from tenure.cli.schedule_rules import definition_of, length_us, rule_options
from tenure.cli.schedule_show import next_in_words
from tenure.kernel import validate
from tenure.kernel.errors import InvalidError, NotFoundError
from tenure.kernel.model import DEFAULT_QUEUE, NO_TENANT, Lane
from tenure.kernel.schedules.model import Change, Schedule, Template
from tenure.kernel.schedules.words import describe
from tenure.sdk.client import Client
from tenure.sdk.task import DEFAULT_RETRY
from tenure.sdk.wanted import wanted as wanted_of
from tenure.sdk.when import When
from tenure.service import schedules as service, workers
from tenure.service.schedules import Wanted


@click.command()
@click.argument("schedule_id", metavar="ID")
@click.argument("kind")
@click.argument("arguments", metavar="[JSON]", default="{}")
@rule_options
@click.option(
    "--app",
    metavar="APP",
    help="Check KIND and JSON against this application's handler, and take the "
    "handler's queue, attempts and timeout from it.",
)
@click.option("--queue", "-q", metavar="NAME", help="The queue of the runs.")
@click.option("--priority", type=click.Choice(list(PRIORITIES)), help="The priority of the runs.")
@click.option("--cost", type=click.IntRange(min=1), metavar="N", help="How many slots a run takes.")
@click.option(
    "--attempts",
    type=click.IntRange(min=1),
    metavar="N",
    help="At most so many attempts of one run.",
)
@click.option("--timeout", metavar="LENGTH", help="Bounds one attempt.")
@click.option(
    "--tag", "tags", multiple=True, metavar="TEXT", help="A tag of the runs; repeat it for more."
)
@click.option("--paused", is_flag=True, help="If it is new, let it wait for `resume`.")
@click.option("--dry-run", "is_dry", is_flag=True,
              help="Say what would change, and store nothing.")  # fmt: skip
@json_output
@choose_settings
def put(*, schedule_id: str, paused: bool, is_dry: bool, **given: Any) -> None:
    """Make the schedule ID what is said here: runs of KIND, by one rule.

    JSON holds the arguments of each run, as in `tenure enqueue`. State, history, start and pause
    of a schedule that exists stay; all else becomes what the options say, or its default.
    """
    asked = Wanted(
        id=schedule_id,
        definition=definition_of(given),
        template=_template(schedule_id, given),
        paused=paused,
    )
    settings = current().settings()
    if is_dry:
        with reach(settings) as store:
            _answer_dry(store, asked)
        return
    with Client(settings=settings) as client:
        known = _known(client, schedule_id)
        if known is not None:
            # It still belongs to the code that declares it.
            asked = replace(asked, origin=known.origin)
        change = client.run(service.ensure(NO_TENANT, asked, settings))
        schedule = client.run(service.get(NO_TENANT, schedule_id, settings))
        now_us = client.run(workers.clock())
    _answer(schedule, change, now_us)


def _answer(schedule: Schedule, change: Change, now_us: int) -> None:
    if current().is_json:
        shape = shapes.schedule_shape(schedule, now_us)
        show.as_json({"id": schedule.id, "change": change.value, "schedule": shape})
    else:
        words = describe(schedule.definition, now_us=now_us)
        upcoming = next_in_words(schedule, now_us)
        what = f"next {upcoming}" if upcoming else schedule.label
        click.echo(show.clean(f"schedule {schedule.id} {change.value}: {words}; {what}"))
    if schedule.origin and change is Change.UPDATED:
        note_origin(schedule, "changes it back")


def note_origin(schedule: Schedule, does: str) -> None:
    """Remark that a schedule is declared in code, and what that comes to."""
    module = schedule.origin.removeprefix("code:")
    show.note(
        f"{schedule.id} is declared in module {module}: the next worker that starts with it {does}"
    )


def _known(store: Client | Reached, schedule_id: str) -> Schedule | None:
    validate.identifier(schedule_id, field="id")
    try:
        return store.run(service.get(NO_TENANT, schedule_id, current().settings()))
    except NotFoundError:
        return None


def _answer_dry(store: Reached, asked: Wanted) -> None:
    """Say what `put` would come to."""
    known = _known(store, asked.id)
    now_us = store.run(workers.clock())
    if known is None:
        _answer_dry_new(store, asked, now_us)
        return
    is_same = asked.definition.is_same(known.definition) and known.trouble is None
    parts = list(_changed_parts(known.template, asked.template))
    change = Change.UNCHANGED if is_same and not parts else Change.UPDATED
    found = None if is_same else compared(store, known, asked.definition, now_us)
    if current().is_json:
        shape = None if found is None else shapes.difference_shape(found)
        show.as_json(shapes.TrialShape(asked.id, change.value, None, shape))
        return
    click.echo(f"schedule {asked.id} would be {change.value}")
    if parts:
        show.heading("the task")
        click.echo(show.clean("\n".join(f"  {part}" for part in parts)))
    if found is not None:
        show.heading("the rule")
        before, after = known.definition, asked.definition
        click.echo(f"  was: {shapes.words_of(before, now_us)}\n  is:  {describe(after)}\n")
        show_difference(found, before.zone, after.zone)


def _answer_dry_new(store: Reached, asked: Wanted, now_us: int) -> None:
    plan = checked(store, asked.definition, now_us)
    found = first_fires(plan, now_us, limit=3)
    words = describe(plan.definition, now_us=now_us)
    if current().is_json:
        shape = shapes.preview_shape(found, words=words, policies=[])
        show.as_json(shapes.TrialShape(asked.id, Change.CREATED.value, shape, None))
        return
    click.echo(f"schedule {asked.id} would be {Change.CREATED.value}: {words}\n")
    show_fires(found, now_us)


def _changed_parts(before: Template, after: Template) -> Iterator[str]:
    for field in fields(Template):
        was, becomes = getattr(before, field.name), getattr(after, field.name)
        if was != becomes:
            yield f"{field.name}: {_written(was)} becomes {_written(becomes)}"


def _written(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Lane):
        return value.name.lower()
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value)


def _template(schedule_id: str, given: dict[str, Any]) -> Template:
    """Return the task of each run, checked against the handler if there is an application."""
    priority = None if given["priority"] is None else PRIORITIES[given["priority"]]
    timeout_us = None
    if given["timeout"] is not None:
        timeout_us = length_us(given["timeout"], field="timeout")
    if given["app"] is None:
        return _unchecked(given, priority, timeout_us)
    kind = application.load(given["app"]).get(given["kind"])
    options = kind.options(
        queue=given["queue"],
        priority=priority,
        cost=given["cost"],
        attempts=given["attempts"],
        timeout=None if timeout_us is None else timeout_us / show.SECOND_US,
        tags=given["tags"],
    )
    call = read_call(kind, options, given["arguments"])
    return wanted_of(schedule_id, When(definition_of(given)), call).template


def _unchecked(given: dict[str, Any], priority: Lane | None, timeout_us: int | None) -> Template:
    payload, value = read_json(given["arguments"])
    if not isinstance(value, dict):
        raise InvalidError(
            "the arguments must be a JSON object by name; to give them by position, name the "
            "application with --app",
            field="payload",
        )
    return Template(
        kind=given["kind"],
        payload=payload,
        queue=given["queue"] or DEFAULT_QUEUE,
        lane=Lane.NORMAL if priority is None else priority,
        cost=given["cost"] or 1,
        attempts_max=given["attempts"] or DEFAULT_RETRY.attempts_max,
        timeout_us=timeout_us,
        tags=given["tags"],
    )
