"""`tenure schedules preview`, and how fires to come are shown by it, by `show` and by `put`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import click

from tenure.cli import schedule_shapes as shapes, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.reach import Reached, reach
from tenure.cli.schedule_rules import (
    definition_of,
    has_rule,
    instant_or_none,
    rule_options,
)
from tenure.cli.show import Column
from tenure.kernel.errors import NotFoundError
from tenure.kernel.model import NO_TENANT
from tenure.kernel.schedules.definition import (
    DEFAULT_ZONE,
    SECOND_US,
    Definition,
    Plan,
    checked_plan,
    exclusions_of,
)
from tenure.kernel.schedules.exclusions import Exclusion
from tenure.kernel.schedules.model import Schedule
from tenure.kernel.schedules.preview import Difference, Preview, difference, occurrences
from tenure.kernel.schedules.shown import Occurrence
from tenure.kernel.schedules.words import describe, describe_policies
from tenure.kernel.schedules.words_values import WEEKDAYS, local_moment, offset
from tenure.kernel.schedules.zones import DAY_S, zone
from tenure.service import calendars, schedules as service, workers
from tenure.service.clockwork import SystemClock

FIRES_SHOWN = 10
# So far ahead an edit is compared with what there is, and fires are looked for, unless told.
COMPARED_US = 366 * DAY_S * SECOND_US
AHEAD_US = 50 * COMPARED_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Fires after an instant and up to another are shown, at most so many."""

    after_us: int
    until_us: int
    limit: int = FIRES_SHOWN


@click.command()
@click.argument("schedule_id", metavar="[ID]", required=False)
@rule_options
@click.option("--from", "from_text", metavar="TIME", help="Fires from here on. [default: now]")
@click.option("--until", "until_text", metavar="TIME", help="Fires up to here.")
@click.option("--limit", "-n", type=int, default=FIRES_SHOWN, metavar="N",
              help=f"At most so many. [default: {FIRES_SHOWN}]")  # fmt: skip
@click.option("--against", "against_id", metavar="ID",
              help="Show what the rule would change in this schedule.")  # fmt: skip
@json_output
@choose_settings
def preview(
    *,
    schedule_id: str | None,
    from_text: str | None,
    until_text: str | None,
    limit: int,
    against_id: str | None,
    **given: Any,
) -> None:
    """Show when a rule would fire, or a schedule will, and what it leaves out.

    Give the rule by options, or the ID of a schedule. Nothing is stored.
    """
    if has_rule(given) == (schedule_id is not None):
        raise click.UsageError(
            "give either the ID of a schedule or a rule; --against compares a rule with a schedule"
        )
    if against_id is not None and schedule_id is not None:
        raise click.UsageError("--against needs a rule to compare the schedule with, as by --cron")
    asked = _Asked(from_text=from_text, until_text=until_text, limit=limit)
    if schedule_id is not None:
        _answer_schedule(schedule_id, asked)
    elif against_id is not None:
        _answer_difference(definition_of(given), against_id, asked)
    else:
        _answer_rule(definition_of(given), asked)


def checked(store: Reached, definition: Definition, now_us: int) -> Plan:
    """Return the plan of a definition with its calendars, checked as if it were to be stored.

    Raises:
        InvalidError: it breaks a rule, names an unknown calendar, or would never fire.
    """
    known = calendars_of(store, definition)
    plan, _ = checked_plan(definition, exclusions_of(definition.policies, known), now_us=now_us)
    return plan


def calendars_of(store: Reached, definition: Definition) -> dict[str, Exclusion]:
    """Return the calendars that a definition names, as far as there are any."""
    known: dict[str, Exclusion] = {}
    for name in definition.policies.exclude:
        try:
            known[name] = store.run(calendars.get(NO_TENANT, name)).exclusion
        except NotFoundError:
            continue
    return known


def compared(
    store: Reached,
    known: Schedule,
    wanted: Definition,
    now_us: int,
    window: Window | None = None,
) -> Difference:
    """Return what giving a schedule another definition would change, by default within a year.

    Raises:
        InvalidError: the definition could not be stored.
    """
    if wanted.start_us is None:
        wanted = replace(wanted, start_us=known.definition.start_us)
    window = window or Window(after_us=now_us, until_us=now_us + COMPARED_US)
    return difference(
        store.run(service.plan_of(NO_TENANT, known.definition, now_us)),
        checked(store, wanted, now_us),
        after_us=window.after_us,
        until_us=window.until_us,
        limit=window.limit,
    )


def coming(plan: Plan, schedule: Schedule, now_us: int, limit: int = FIRES_SHOWN) -> Preview:
    """Return the fires of a schedule's rule that are to come."""
    after_us = max(now_us, schedule.steered_us or 0)
    return occurrences(plan, after_us=after_us, until_us=_far(plan, after_us), limit=limit)


def first_fires(plan: Plan, now_us: int, limit: int) -> Preview:
    """Return the first fires of a rule that is not stored yet."""
    after_us = now_us - 1
    return occurrences(plan, after_us=after_us, until_us=_far(plan, after_us), limit=limit)


def _far(plan: Plan, after_us: int) -> int:
    """Return until when fires are looked for unless told: long after the first of them."""
    return (plan.next_after(after_us) or after_us) + AHEAD_US


def local(at_us: int, zone_name: str) -> str:
    """Return an instant as the wall clock of a zone shows it, to the second, with its offset."""
    where = zone(zone_name)
    utc_s = at_us // SECOND_US
    offset_s = where.offset_s(utc_s)
    day = WEEKDAYS[((utc_s + offset_s) // DAY_S + 3) % 7][:3]
    suffix = "UTC" if zone_name == DEFAULT_ZONE else offset(offset_s)
    return f"{day} {local_moment(utc_s + offset_s)} {suffix}"


def local_moment_of(at_us: int | None, zone_name: str, now_us: int) -> str:
    """Return an instant as `local` does, and how far it is from now; nothing if there is none."""
    if at_us is None:
        return ""
    return f"{local(at_us, zone_name)} ({show.relative(at_us, now_us)})"


def show_fires(found: Preview, now_us: int) -> None:
    """Write the fires to come with what is special about them, and what is left out."""
    if found.occurrences:
        show.table(_COLUMNS, [_row(each, found, now_us) for each in found.occurrences])
    else:
        show.note("nothing fires in this time")
    if found.left_out:
        show.heading("left out")
        show.table(
            (Column("TIME", is_whole=True), Column("WHY")),
            [
                [f"{each.weekday[:3]} {' '.join(each.local.split('T'))}", each.words]
                for each in found.left_out
            ],
        )
    if found.sentence:
        show.note(found.sentence)


def show_difference(found: Difference, zone_before: str, zone_after: str) -> None:
    """Write what an edit changes."""
    click.echo(found.sentence)
    for title, fires, count, zone_name in (
        ("no more", found.removed, found.removed_count, zone_before),
        ("new", found.added, found.added_count, zone_after),
    ):
        if fires:
            show.heading(f"{title}: {count:,}")
            click.echo("".join(f"  {local(each.at_us, zone_name)}\n" for each in fires), nl=False)
            if count > len(fires):
                click.echo(f"  and {count - len(fires):,} more")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The window as it was typed."""

    from_text: str | None
    until_text: str | None
    limit: int

    def window(self, zone_name: str, now_us: int) -> Window:
        from_us = instant_or_none(self.from_text, field="from", zone_name=zone_name)
        # What fires exactly then is meant too, as a rule does that starts now.
        after_us = (now_us if from_us is None else from_us) - 1
        until_us = instant_or_none(self.until_text, field="until", zone_name=zone_name, is_end=True)
        return Window(
            after_us=after_us,
            until_us=after_us + COMPARED_US if until_us is None else until_us,
            limit=self.limit,
        )


def _answer_rule(wanted: Definition, asked: _Asked) -> None:
    now_us = SystemClock().now_us()
    from_us = instant_or_none(asked.from_text, field="from", zone_name=wanted.zone)
    if wanted.start_us is None and from_us is not None and from_us < now_us:
        # To look back is to ask what it would have fired, had there been it.
        wanted = replace(wanted, start_us=from_us)
    if wanted.policies.exclude:
        with reach(current().settings()) as store:
            plan = checked(store, wanted, now_us)
    else:
        # Nothing is needed from a store, so none has to be there.
        plan, _ = checked_plan(wanted, (), now_us=now_us)
    _answer(plan, asked, now_us)


def _answer_schedule(schedule_id: str, asked: _Asked) -> None:
    with reach(current().settings()) as store:
        schedule = store.run(service.get(NO_TENANT, schedule_id, current().settings()))
        now_us = store.run(workers.clock())
        plan = store.run(service.plan_of(NO_TENANT, schedule.definition, now_us))
    if schedule.paused_at_us is not None:
        show.note(f"schedule {schedule_id} is paused: this is when it would fire")
    _answer(plan, asked, now_us)


def _answer_difference(wanted: Definition, against_id: str, asked: _Asked) -> None:
    with reach(current().settings()) as store:
        known = store.run(service.get(NO_TENANT, against_id, current().settings()))
        now_us = store.run(workers.clock())
        window = asked.window(wanted.zone, now_us)
        found = compared(store, known, wanted, now_us, window)
    if current().is_json:
        show.as_json(shapes.difference_shape(found))
        return
    show_difference(found, known.definition.zone, wanted.zone)


def _answer(plan: Plan, asked: _Asked, now_us: int) -> None:
    window = asked.window(plan.definition.zone, now_us)
    if asked.until_text is None:
        window = replace(window, until_us=_far(plan, window.after_us))
    found = occurrences(
        plan, after_us=window.after_us, until_us=window.until_us, limit=window.limit
    )
    words = describe(plan.definition, now_us=now_us)
    policies = describe_policies(plan.definition)
    if current().is_json:
        show.as_json(shapes.preview_shape(found, words=words, policies=policies))
        return
    click.echo(click.style(words, bold=True))
    click.echo("".join(f"  {sentence}\n" for sentence in policies))
    show_fires(found, now_us)


_COLUMNS = (Column("FIRES", is_whole=True), Column("FROM NOW", is_whole=True), Column("MARKS"))


def _row(fire: Occurrence, found: Preview, now_us: int) -> list[str]:
    marks = [mark.words for mark in fire.marks]
    if found.jitter_us:
        marks.append(f"due up to {show.span(found.jitter_us)} later")
    when = show.relative(fire.at_us, now_us)
    return [local(fire.at_us, found.zone), when, ", ".join(marks)]
