"""`tenure schedules`: list them, and switch, run, steer and delete them.

What makes and shows one has modules of its own: `schedule_put.py`, `schedule_show.py`,
`schedule_preview.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from tenure.cli import schedule_shapes as shapes, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.enqueue import read_json
from tenure.cli.problems import CHECK_FAILED, say_line
from tenure.cli.reach import reach
from tenure.cli.schedule_preview import local, local_moment_of, preview
from tenure.cli.schedule_put import note_origin, put
from tenure.cli.schedule_rules import instant, length_us
from tenure.cli.schedule_show import fires, next_in_words, runs, show_one, zone_of
from tenure.cli.show import Column
from tenure.kernel.model import NO_TENANT
from tenure.kernel.schedules.model import Schedule
from tenure.service import bulk_schedules, schedules as service, skipping, tasks, workers
from tenure.service.bulk_schedules import Bulk

PAGE_ROWS = 50
WITHIN = "5m"


@click.group()
def schedules() -> None:
    """Look at schedules, make them, try them, switch them."""


for _command in (show_one, put, preview, fires, runs):
    schedules.add_command(_command)


@schedules.command("ls")
@click.option("--kind", "-k", default="", metavar="NAME", help="Only those that run this kind.")
@click.option(
    "--origin",
    default="",
    metavar="TEXT",
    help="Only those of this origin: code:MODULE for those that a module declares.",
)
@click.option(
    "--limit",
    "-n",
    type=int,
    default=PAGE_ROWS,
    metavar="N",
    help=f"At most so many. [default: {PAGE_ROWS}]",
)
@click.option(
    "--after",
    "after_id",
    default="",
    metavar="ID",
    help="Go on from here: only those after this one.",
)
@click.option("--ids", "only_ids", is_flag=True,
              help="Print nothing but ids, for xargs.")  # fmt: skip
@json_output
@choose_settings
def ls(*, kind: str, origin: str, limit: int, after_id: str, only_ids: bool) -> None:
    """List schedules by id. Times are those of each schedule's zone."""
    settings = current().settings()
    with reach(settings) as store:
        found = store.run(
            service.find(
                NO_TENANT, settings, kind=kind, origin=origin, after_id=after_id, limit=limit
            )
        )
        now_us = store.run(workers.clock())
    next_after = found[-1].id if len(found) == limit else None
    if current().is_json:
        rows = [shapes.schedule_shape(schedule, now_us) for schedule in found]
        show.as_json(shapes.SchedulePage(schedules=rows, next_after=next_after))
        return
    if only_ids:
        click.echo("".join(f"{schedule.id}\n" for schedule in found), nl=False)
        return
    if not found:
        show.note("no schedules")
        return
    show.table(_COLUMNS, [_row(schedule, now_us) for schedule in found])
    if next_after:
        show.note(f"there may be more: --after {next_after}")


@schedules.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@json_output
@choose_settings
def pause(*, ids: tuple[str, ...]) -> None:
    """Stop schedules from firing; what runs goes on."""
    settings = current().settings()
    with reach(settings) as store:
        done = store.run(bulk_schedules.pause(NO_TENANT, ids, settings))
    _answer_many(ids, done, changed="paused", unchanged="was paused already")


@schedules.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--run-soon", is_flag=True, help="Let each run once, spread over --within.")
@click.option("--within", metavar="LENGTH",
              help=f"Spread the runs over so long. [default: {WITHIN}]")  # fmt: skip
@json_output
@choose_settings
def resume(*, ids: tuple[str, ...], run_soon: bool, within: str | None) -> None:
    """Let schedules fire again, from now on; what came due meanwhile is let go.

    Faulty ones are looked at anew, and fire again if their trouble is over.
    """
    if within is not None and not run_soon:
        raise click.UsageError("--within needs --run-soon: there is nothing to spread without it")
    settings = current().settings()
    within_us = length_us(within or WITHIN, field="within")
    with reach(settings) as store:
        program = bulk_schedules.resume(
            NO_TENANT, ids, settings, run_soon=run_soon, within_us=within_us
        )
        done = store.run(program)
    _answer_many(ids, done, changed="resumed", unchanged="was not paused")


@schedules.command()
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "takes_all", is_flag=True, help="All schedules.")
@click.option("--until", metavar="TIME", help="The last moment that is let go. [default: now]")
@json_output
@choose_settings
def skip(*, ids: tuple[str, ...], takes_all: bool, until: str | None) -> None:
    """Let nothing up to a moment fire any more, of these schedules or of --all.

    For a store that was put back from a backup, before its workers start: what fired since the
    backup is not in its ledger, and would be made up a second time. TIME is in UTC unless it says
    its own offset.
    """
    if bool(ids) == takes_all:
        raise click.UsageError("name schedules, or give --all")
    settings = current().settings()
    until_us = None if until is None else instant(until, field="until", zone_name="UTC")
    with reach(settings) as store:
        moved = store.run(skipping.skip(NO_TENANT, ids, settings, until_us=until_us))
    if current().is_json:
        show.as_json({"skipped": moved})
    else:
        click.echo(f"{moved:,} schedule{'' if moved == 1 else 's'} had something to let go")


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_output
@choose_settings
def rm(*, schedule_id: str, yes: bool) -> None:
    """Delete a schedule. Its runs, and the ledger of its instants, stay."""
    settings = current().settings()
    if current().is_json and not yes:
        raise click.UsageError("--json answers no questions: give --yes with it")
    with reach(settings) as store:
        schedule = store.run(service.get(NO_TENANT, schedule_id, settings))
        if not yes:
            words = shapes.words_of(schedule.definition)
            click.confirm(f"Delete schedule {schedule_id} ({words})?", abort=True, err=True)
        store.run(service.delete(NO_TENANT, schedule_id, settings))
    if current().is_json:
        show.as_json({"id": schedule_id, "deleted": True})
    else:
        click.echo(f"schedule {schedule_id} is deleted")
    if schedule.origin:
        note_origin(schedule, "makes it again")


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@click.option("--wait", "waits", is_flag=True, help="Wait for the end and print the result.")
@json_output
@choose_settings
def run(*, schedule_id: str, waits: bool) -> None:
    """Make a run now, beside those of the rule, and print its id."""
    settings = current().settings()
    with reach(settings) as store:
        task_id = store.run(service.run_soon(NO_TENANT, schedule_id, settings))
        if not waits:
            if current().is_json:
                show.as_json({"id": task_id})
            else:
                click.echo(task_id)
            return
        result = store.run(tasks.result(NO_TENANT, task_id, settings, timeout_us=None))
    if current().is_json:
        show.as_json({"id": task_id, "result": show.body(result)})
    else:
        click.echo(show.clean(show.pretty(result)))


@schedules.command("next")
@click.argument("schedule_id", metavar="ID")
@click.argument("time", metavar="TIME")
@json_output
@choose_settings
def set_next(*, schedule_id: str, time: str) -> None:
    """Let the next run be at TIME; after it the rule goes on.

    TIME is on the wall clock of the schedule's zone unless it says its own offset; or it is a
    length from now, such as +5m.
    """
    settings = current().settings()
    with reach(settings) as store:
        schedule = store.run(service.get(NO_TENANT, schedule_id, settings))
        if time.startswith("+"):
            delay_us = length_us(time[1:], field="time")
            store.run(service.set_next_in(NO_TENANT, schedule_id, delay_us, settings))
        else:
            next_us = instant(time, field="time", zone_name=schedule.definition.zone)
            store.run(service.set_next(NO_TENANT, schedule_id, next_us, settings))
        schedule = store.run(service.get(NO_TENANT, schedule_id, settings))
        now_us = store.run(workers.clock())
    if current().is_json:
        show.as_json(shapes.schedule_shape(schedule, now_us))
        return
    upcoming = local_moment_of(schedule.next_fire_at_us, zone_of(schedule), now_us)
    click.echo(f"schedule {schedule_id} runs next {upcoming}")
    if not next_in_words(schedule, now_us):
        show.note(f"it is {schedule.label}, and runs only once it is resumed")


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@click.option(
    "--replace", "text", metavar="JSON", help="Put this in its place; - reads standard input."
)
@click.option(
    "--version",
    type=click.IntRange(min=1),
    metavar="N",
    help="The version of its form. [default: as it was, or 1]",
)
@click.option("--clear", "clears", is_flag=True,
              help="Let the next run begin without one.")  # fmt: skip
@json_output
@choose_settings
def state(*, schedule_id: str, text: str | None, version: int | None, clears: bool) -> None:
    """Print, or replace, the state that is handed from run to run."""
    if clears and text is not None:
        raise click.UsageError("give either --replace or --clear")
    if version is not None and text is None:
        raise click.UsageError("--version says the form of what --replace gives: give both")
    settings = current().settings()
    with reach(settings) as store:
        carry = store.run(service.get(NO_TENANT, schedule_id, settings)).carry
        if text is not None:
            body, _ = read_json(text, what="the state is")
            carry = _carry(body, version or _version(carry))
        if text is not None or clears:
            carry = None if clears else carry
            store.run(service.set_carry(NO_TENANT, schedule_id, carry, settings))
    kept = None if carry is None else _decoded(carry)
    if current().is_json:
        known = {"version": None, "state": None} if kept is None else _as_dict(kept)
        show.as_json({"id": schedule_id, **known})
    elif kept is None:
        show.note("no state")
    else:
        click.echo(show.clean(show.pretty(bytes(kept.s))))


class _Kept(msgspec.Struct):
    """A state as `sdk.recurring` stores it."""

    v: int
    s: msgspec.Raw


def _carry(body: bytes, version: int) -> bytes:
    return b'{"v":%d,"s":%b}' % (version, body)


def _version(carry: bytes | None) -> int:
    return 1 if carry is None else _decoded(carry).v


def _decoded(carry: bytes) -> _Kept:
    return msgspec.json.decode(carry, type=_Kept)


def _as_dict(kept: _Kept) -> dict[str, Any]:
    return {"version": kept.v, "state": kept.s}


def _answer_many(ids: Sequence[str], done: Bulk, *, changed: str, unchanged: str) -> None:
    """Say what became of each, in the order asked; exit 1 if one was refused."""
    refused = dict(done.refused)
    outcomes = dict.fromkeys(done.changed, changed) | dict.fromkeys(done.unchanged, unchanged)
    if current().is_json:
        show.as_json(
            {
                "schedules": [
                    {
                        "id": id,
                        "outcome": outcomes.get(id),
                        "error": {"message": refused[id]} if id in refused else None,
                    }
                    for id in dict.fromkeys(ids)
                ]
            }
        )
    else:
        for id in dict.fromkeys(ids):
            if id in refused:
                say_line(refused[id])
            else:
                click.echo(f"{id}  {outcomes[id]}")
    if refused:
        click.get_current_context().exit(CHECK_FAILED)


_COLUMNS = (
    Column("ID", is_whole=True),
    Column("STATE", is_whole=True),
    Column("FIRES"),
    Column("NEXT"),
    Column("LAST"),
    Column("KIND"),
)


def _row(schedule: Schedule, now_us: int) -> list[str]:
    last_us = schedule.last_fired_at_us
    return [
        schedule.id,
        schedule.label,
        shapes.words_of(schedule.definition, now_us),
        next_in_words(schedule, now_us),
        "" if last_us is None else f"{local(last_us, zone_of(schedule))}",
        schedule.template.kind,
    ]
