"""`tenure schedules show`, `fires` and `runs`: one schedule, its ledger, and its runs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tenure.cli import schedule_shapes as shapes, shapes as task_shapes, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.reach import Reached, reach
from tenure.cli.schedule_preview import coming, local, local_moment_of, show_fires
from tenure.cli.schedule_rules import instant
from tenure.cli.show import Column
from tenure.kernel.errors import NotFoundError, TenureError
from tenure.kernel.model import NO_TENANT, Lane, Task
from tenure.kernel.schedules.definition import DEFAULT_ZONE
from tenure.kernel.schedules.model import Fire, Schedule
from tenure.kernel.schedules.preview import Preview
from tenure.kernel.schedules.words import describe_policies
from tenure.service import schedules as service, workers
from tenure.store.schedules import LAST_US

PAGE_ROWS = 50
RUNS_SHOWN = 5


@click.command("show")
@click.argument("schedule_id", metavar="ID")
@json_output
@choose_settings
def show_one(schedule_id: str) -> None:
    """Show a schedule: its rule and policies in words, what comes, and what has been."""
    settings = current().settings()
    with reach(settings) as store:
        schedule = store.run(service.get(NO_TENANT, schedule_id, settings))
        now_us = store.run(workers.clock())
        latest = store.run(service.runs(NO_TENANT, schedule_id, settings, limit=RUNS_SHOWN))
        ledger = store.run(service.fires(NO_TENANT, schedule_id, settings, limit=RUNS_SHOWN))
        try:
            plan = store.run(service.plan_of(NO_TENANT, schedule.definition, now_us))
            preview = coming(plan, schedule, now_us)
            policies = describe_policies(schedule.definition)
        except TenureError:
            # It is faulty, and its trouble is shown.
            preview, policies = None, []
    if current().is_json:
        words = shapes.words_of(schedule.definition, now_us)
        show.as_json(
            shapes.ScheduleStory(
                schedule=shapes.schedule_shape(schedule, now_us),
                state=show.body(schedule.carry),
                preview=None
                if preview is None
                else shapes.preview_shape(preview, words=words, policies=policies),
                runs=[task_shapes.task_shape(task, now_us) for task in latest],
                fires=[shapes.fire_shape(fire) for fire in ledger],
            )
        )
        return
    click.echo(click.style(f"schedule {schedule.id}", bold=True))
    show.fields(_facts(schedule, now_us))
    _show_bodies(schedule, policies)
    if preview is not None:
        _show_coming(schedule, preview, now_us)
    if latest:
        show.heading("latest runs")
        _table_of_runs(latest, zone_of(schedule), now_us)
    if ledger:
        show.heading("latest entries in the ledger")
        _table_of_fires(ledger, zone_of(schedule))


@click.command()
@click.argument("schedule_id", metavar="ID")
@click.option("--limit", "-n", type=int, default=PAGE_ROWS, metavar="N",
              help=f"At most so many. [default: {PAGE_ROWS}]")  # fmt: skip
@click.option("--before", "before_text", metavar="TIME",
              help="Go on from here: only instants before this one.")  # fmt: skip
@json_output
@choose_settings
def fires(*, schedule_id: str, limit: int, before_text: str | None) -> None:
    """List what became of a schedule's instants, latest first: fired, missed, skipped."""
    settings = current().settings()
    with reach(settings) as store:
        schedule = store.run(service.get(NO_TENANT, schedule_id, settings))
        before_us = LAST_US
        if before_text is not None:
            before_us = instant(before_text, field="before", zone_name=schedule.definition.zone)
        found = store.run(
            service.fires(NO_TENANT, schedule_id, settings, before_us=before_us, limit=limit)
        )
    next_before = show.instant(found[-1].instant_us) if len(found) == limit else None
    if current().is_json:
        show.as_json(shapes.FirePage([shapes.fire_shape(fire) for fire in found], next_before))
        return
    if not found:
        show.note("no entries")
        return
    _table_of_fires(found, zone_of(schedule))
    if next_before:
        show.note(f"there may be more: --before {next_before}")


@click.command()
@click.argument("schedule_id", metavar="ID")
@click.option("--limit", "-n", type=int, default=PAGE_ROWS, metavar="N",
              help=f"At most so many. [default: {PAGE_ROWS}]")  # fmt: skip
@click.option("--before", "before_id", default="", metavar="ID",
              help="Go on from here: only runs older than this one.")  # fmt: skip
@json_output
@choose_settings
def runs(*, schedule_id: str, limit: int, before_id: str) -> None:
    """List the runs of a schedule, newest first; they are tasks, as in `tenure tasks`."""
    settings = current().settings()
    with reach(settings) as store:
        found = store.run(
            service.runs(NO_TENANT, schedule_id, settings, before_id=before_id, limit=limit)
        )
        zone_name = _zone_of_id(store, schedule_id, must_exist=not found)
        now_us = store.run(workers.clock())
    next_before = found[-1].id if len(found) == limit else None
    if current().is_json:
        rows = [task_shapes.task_shape(task, now_us) for task in found]
        show.as_json(task_shapes.TaskPage(tasks=rows, next_before=next_before))
        return
    if not found:
        show.note("no runs")
        return
    _table_of_runs(found, zone_name, now_us)
    if next_before:
        show.note(f"there may be more: --before {next_before}")


def zone_of(schedule: Schedule) -> str:
    """Return the zone to show a schedule's times in: its own, as long as that is known."""
    try:
        local(0, schedule.definition.zone)
    except TenureError:
        return DEFAULT_ZONE
    return schedule.definition.zone


def _zone_of_id(store: Reached, schedule_id: str, *, must_exist: bool) -> str:
    """Return the zone to show times in; a schedule that is deleted has runs all the same."""
    try:
        return zone_of(store.run(service.get(NO_TENANT, schedule_id, current().settings())))
    except NotFoundError:
        # A mistyped id must not look like a schedule that has not run.
        if must_exist:
            raise
        return DEFAULT_ZONE


def next_in_words(schedule: Schedule, now_us: int) -> str:
    """Return when a schedule fires next, in its zone, and how far that is from now."""
    at_us = schedule.next_fire_at_us
    if schedule.paused_at_us is not None or schedule.trouble is not None:
        return ""
    if at_us is None:
        return "after the run" if schedule.held_by is not None else ""
    return local_moment_of(at_us, zone_of(schedule), now_us)


def _facts(schedule: Schedule, now_us: int) -> list[tuple[str, str]]:
    definition, template = schedule.definition, schedule.template
    lane = Lane(template.lane)

    def at(at_us: int | None) -> str:
        return local_moment_of(at_us, zone_of(schedule), now_us)

    return [
        ("fires", shapes.words_of(definition, now_us)),
        ("rule", f"{definition.rule.value} {definition.text}"),
        ("zone", definition.zone),
        ("state", schedule.label),
        ("trouble", schedule.trouble or ""),
        ("paused", at(schedule.paused_at_us)),
        ("next", next_in_words(schedule, now_us)),
        ("last", at(schedule.last_fired_at_us)),
        ("start", at(definition.start_us)),
        ("end", at(definition.end_us)),
        ("fired", f"{schedule.fired:,}"),
        ("kind", template.kind),
        ("queue", template.queue),
        ("attempts", str(template.attempts_max)),
        ("priority", "" if lane is Lane.NORMAL else lane.name.lower()),
        ("timeout", "" if template.timeout_us is None else show.span(template.timeout_us)),
        ("tags", ", ".join(template.tags)),
        ("origin", schedule.origin),
        ("revision", str(schedule.revision)),
    ]


def _show_bodies(schedule: Schedule, policies: list[str]) -> None:
    if policies:
        show.heading("policies")
        click.echo("\n".join(f"  {sentence}" for sentence in policies))
    for name, stored in (("payload", schedule.template.payload), ("state", schedule.carry)):
        text = show.pretty(stored)
        if text and text != "{}":
            show.heading(name)
            click.echo(show.clean(text))


def _show_coming(schedule: Schedule, preview: Preview, now_us: int) -> None:
    show.heading("next fires" if schedule.paused_at_us is None else "next fires, once resumed")
    if schedule.counts_from_ends:
        # Only the schedule knows: the rule alone says no more than the first.
        text = next_in_words(schedule, now_us)
        click.echo(f"  {text}\n" if text else "", nl=False)
        show.note(preview.sentence)
        return
    if schedule.steered_us is not None:
        at = local(schedule.steered_us, zone_of(schedule))
        click.echo(f"  {at}, as asked for in place of the rule's next; then:")
    show_fires(preview, now_us)


def _table_of_runs(found: Sequence[Task], zone_name: str, now_us: int) -> None:
    show.table(
        (
            Column("RUN", is_whole=True),
            Column("STATE", is_whole=True),
            Column("DUE"),
            Column("ENDED"),
        ),
        [
            [
                task.id,
                task_shapes.label_of(task, now_us),
                local_moment_of(task.run_at_us, zone_name, now_us),
                local_moment_of(task.ended_at_us, zone_name, now_us),
            ]
            for task in found
        ],
    )


def _table_of_fires(found: Sequence[Fire], zone_name: str) -> None:
    show.table(
        (Column("INSTANT", is_whole=True), Column("VERDICT", is_whole=True), Column("RUN"),
         Column("NOTE")),
        [
            [local(fire.instant_us, zone_name), fire.verdict.value, fire.task_id or "", fire.note]
            for fire in found
        ],
    )  # fmt: skip
