"""`tenure queues`: list, pause, resume, limit."""

from __future__ import annotations

import click

from tenure.cli import shapes, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.reach import Reached, reach
from tenure.cli.show import Column
from tenure.kernel.model import Queue, QueueCounts
from tenure.service import queues as service, workers
from tenure.service.program import Program
from tenure.store.queues import COUNT_MAX


@click.group(invoke_without_command=True)
@json_output
@choose_settings
@click.pass_context
def queues(context: click.Context) -> None:
    """Look at queues, pause them, limit them. Without a command: list them."""
    if context.invoked_subcommand is None:
        _list()


@queues.command("ls")
@json_output
@choose_settings
def ls() -> None:
    """List every queue that has tasks or switches, with its counts."""
    _list()


@queues.command()
@click.argument("name")
@json_output
@choose_settings
def pause(name: str) -> None:
    """Stop claims from a queue, on all workers; what runs goes on."""
    _change(name, service.pause(name), "is paused")


@queues.command()
@click.argument("name")
@json_output
@choose_settings
def resume(name: str) -> None:
    """Allow claims from a queue again."""
    _change(name, service.resume(name), "is open")


@queues.command()
@click.argument("name")
@click.argument("slots", type=int, required=False, metavar="[SLOTS]")
@click.option("--none", "lifts", is_flag=True, help="Lift the limit.")
@json_output
@choose_settings
def limit(*, name: str, slots: int | None, lifts: bool) -> None:
    """Bound the cost that may run at once in a queue, on all workers together."""
    if (slots is None) != lifts:
        raise click.UsageError("give either a number of slots or --none")
    _change(name, service.limit(name, slots), _bound(slots))


def _bound(slots: int | None) -> str:
    if slots is None:
        return "has no limit"
    return f"runs at most {slots} {'slot' if slots == 1 else 'slots'} at once"


def _list() -> None:
    with reach(current().settings()) as store:
        found = store.run(service.listing())
        now_us = store.run(workers.clock())
    if current().is_json:
        show.as_json({"queues": [shapes.queue_shape(counts, now_us) for counts in found]})
        return
    if not found:
        show.note("no queues: a queue is listed while it has tasks to run, or switches set")
        return
    show.table(_COLUMNS, [_row(counts, now_us) for counts in found])


def _change(name: str, program: Program[Queue], outcome: str) -> None:
    with reach(current().settings()) as store:
        is_known = _is_known(store, name)
        store.run(program)
        counts = next(each for each in store.run(service.listing()) if each.queue.name == name)
        now_us = store.run(workers.clock())
    if current().is_json:
        show.as_json(shapes.queue_shape(counts, now_us))
    else:
        click.echo(f"queue {name} {outcome}")
    if not is_known:
        show.note(f"queue {name} has no tasks yet; is the name right?")


def _is_known(store: Reached, name: str) -> bool:
    return any(each.queue.name == name for each in store.run(service.listing()))


_COLUMNS = (
    Column("QUEUE"),
    Column("DUE", is_whole=True),
    Column("SCHEDULED", is_whole=True),
    Column("RUNNING", is_whole=True),
    Column("NEXT DUE"),
    Column("SLOTS", is_whole=True),
    Column("SWITCH", is_whole=True),
)


def _row(counts: QueueCounts, now_us: int) -> list[str]:
    queue, due_us = counts.queue, counts.next_due_us
    return [
        queue.name,
        _count(counts.due),
        _count(counts.scheduled),
        _count(counts.running),
        "" if due_us is None else show.relative(now_us + due_us, now_us),
        "" if queue.slots is None else str(queue.slots),
        "open" if queue.paused_at_us is None else "paused",
    ]


def _count(number: int) -> str:
    return f"{number}+" if number >= COUNT_MAX else str(number)
