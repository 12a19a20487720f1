"""`tenure calendars`: named sets of days off, which schedules exclude."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from tenure.cli import schedule_shapes as shapes, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.reach import reach
from tenure.cli.show import Column
from tenure.kernel.errors import InvalidError
from tenure.kernel.model import NO_TENANT
from tenure.sdk.calendars import document_of
from tenure.sdk.client import Client
from tenure.service import calendars as service, schedules, workers
from tenure.store.schedules import Calendar

PAGE_ROWS = 50


@click.group()
def calendars() -> None:
    """Look at calendars of days off, make them, delete them."""


@calendars.command("ls")
@click.option(
    "--limit",
    "-n",
    type=int,
    default=PAGE_ROWS,
    metavar="N",
    help=f"At most so many. [default: {PAGE_ROWS}]",
)
@click.option("--after", "after_name", default="", metavar="NAME",
              help="Go on from here: only those after this one.")  # fmt: skip
@json_output
@choose_settings
def ls(*, limit: int, after_name: str) -> None:
    """List calendars by name."""
    settings = current().settings()
    with reach(settings) as store:
        found = store.run(service.find(NO_TENANT, settings, after_name=after_name, limit=limit))
        now_us = store.run(workers.clock())
    next_after = found[-1].name if len(found) == limit else None
    if current().is_json:
        rows = [shapes.calendar_shape(calendar) for calendar in found]
        show.as_json({"calendars": rows, "next_after": next_after})
        return
    if not found:
        show.note("no calendars")
        return
    show.table(_COLUMNS, [_row(calendar, now_us) for calendar in found])
    if next_after:
        show.note(f"there may be more: --after {next_after}")


@calendars.command("show")
@click.argument("name")
@json_output
@choose_settings
def show_one(name: str) -> None:
    """Show what a calendar takes out, and which schedules exclude it."""
    settings = current().settings()
    with reach(settings) as store:
        calendar = store.run(service.get(NO_TENANT, name))
        everything = store.run(schedules.everything(NO_TENANT, settings))
        now_us = store.run(workers.clock())
    users = [each.id for each in everything if name in each.definition.policies.exclude]
    if current().is_json:
        show.as_json({"calendar": shapes.calendar_shape(calendar), "excluded_by": users})
        return
    click.echo(click.style(f"calendar {name}", bold=True))
    show.fields(
        [
            ("changed", show.moment(calendar.updated_at_us, now_us)),
            ("excluded by", ", ".join(users) or "no schedule"),
        ]
    )
    document = _document(calendar)
    for title in ("dates", "rules", "periods"):
        if document.get(title):
            show.heading(title)
            lines = [_line(entry) for entry in document[title]]
            click.echo(show.clean("\n".join(f"  {line}" for line in lines)))


@calendars.command()
@click.argument("name")
@click.option(
    "--day",
    "days",
    multiple=True,
    metavar="DATE",
    help="A day, or a range such as 2026-12-24/2027-01-01; repeat it for more.",
)
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="RRULE",
    help="Days by rule: 'FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25'; repeat it for more.",
)
@click.option(
    "--ics", "file", metavar="FILE", help="The events of an iCalendar file; - reads standard input."
)
@click.option("--empty", is_flag=True,
              help="No days at all, so that it excludes nothing.")  # fmt: skip
@json_output
@choose_settings
def put(
    *, name: str, days: tuple[str, ...], rules: tuple[str, ...], file: str | None, empty: bool
) -> None:
    """Make the calendar NAME what is said here, in place of what it was.

    The schedules that exclude it are planned anew at once.
    """
    if empty == bool(days or rules or file):
        raise click.UsageError("give days with --day, --rule or --ics; or --empty and no days")
    document = document_of(days, rules, None if file is None else _text(file))
    settings = current().settings()
    with Client(settings=settings) as client:
        moved = client.run(service.put(NO_TENANT, name, document, settings))
        calendar = client.run(service.get(NO_TENANT, name))
    if current().is_json:
        show.as_json({"calendar": shapes.calendar_shape(calendar), "moved": moved})
        return
    schedules_moved = "1 schedule has" if moved == 1 else f"{moved:,} schedules have"
    click.echo(f"calendar {name} holds {_counts(calendar)}; {schedules_moved} another next fire")


@calendars.command()
@click.argument("name")
@json_output
@choose_settings
def rm(name: str) -> None:
    """Delete a calendar that no schedule excludes."""
    settings = current().settings()
    with reach(settings) as store:
        store.run(service.delete(NO_TENANT, name, settings))
    if current().is_json:
        show.as_json({"name": name, "deleted": True})
    else:
        click.echo(f"calendar {name} is deleted")


def _text(file: str) -> str:
    try:
        stored = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InvalidError(
            f"the file {file!r} cannot be read: {error.strerror}", field="ics"
        ) from None
    try:
        return stored.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidError(
            f"the file {file!r} is not UTF-8 text: {error.reason} at byte {error.start}",
            field="ics",
        ) from None


_COLUMNS = (Column("NAME", is_whole=True), Column("HOLDS"), Column("CHANGED"))


def _row(calendar: Calendar, now_us: int) -> list[str]:
    return [calendar.name, _counts(calendar), show.relative(calendar.updated_at_us, now_us)]


def _counts(calendar: Calendar) -> str:
    document = _document(calendar)
    parts = []
    for name, one, many in (
        ("dates", "date or range", "dates or ranges"),
        ("rules", "rule", "rules"),
        ("periods", "period", "periods"),
    ):
        number = len(document.get(name, ()))
        if number:
            parts.append(f"{number:,} {one if number == 1 else many}")
    return ", ".join(parts) or "no days"


def _line(entry: object) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    lengths = [f"{entry[unit]:,} {unit}" for unit in ("days", "seconds") if unit in entry]
    return " for ".join([str(entry.get("rule")), *lengths])


def _document(calendar: Calendar) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(calendar.document)
    return document
