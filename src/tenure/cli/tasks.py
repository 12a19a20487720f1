"""`tenure tasks`: list, show, cancel, revive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tenure.cli import shapes, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.problems import CHECK_FAILED, problem, say_error
from tenure.cli.reach import reach
from tenure.cli.show import Column
from tenure.kernel.errors import ConflictError, NotFoundError, TenureError
from tenure.kernel.model import NO_TENANT, Attempt, Lane, Task
from tenure.kernel.states import ENDED, State
from tenure.service import tasks as service, workers
from tenure.service.program import Program
from tenure.service.tasks import TaskStory

PAGE_ROWS = 50
PRIORITIES = {lane.value: lane.name.lower() for lane in Lane}


@click.group()
def tasks() -> None:
    """Look at tasks, cancel them, revive them."""


@tasks.command("ls")
@click.option("--state", type=click.Choice([state.value for state in State]),
              help="Only tasks in this state.")  # fmt: skip
@click.option("--queue", "-q", default="", metavar="NAME", help="Only tasks of this queue.")
@click.option("--kind", "-k", default="", metavar="NAME", help="Only tasks of this kind.")
@click.option("--limit", "-n", type=int, default=PAGE_ROWS, metavar="N",
              help=f"At most so many. [default: {PAGE_ROWS}]")  # fmt: skip
@click.option("--before", "before_id", default="", metavar="ID",
              help="Go on from here: only tasks older than this one.")  # fmt: skip
@click.option("--ids", "only_ids", is_flag=True, help="Print nothing but ids, for xargs.")
@json_output
@choose_settings
def ls(
    *, state: str | None, queue: str, kind: str, limit: int, before_id: str, only_ids: bool
) -> None:
    """List tasks, newest first."""
    settings = current().settings()
    with reach(settings) as store:
        found = store.run(
            service.find(
                NO_TENANT,
                settings,
                state=state or "",
                queue=queue,
                kind=kind,
                before_id=before_id,
                limit=limit,
            )
        )
        now_us = store.run(workers.clock())
    next_before = found[-1].id if len(found) == limit else None
    if current().is_json:
        rows = [shapes.task_shape(task, now_us) for task in found]
        show.as_json(shapes.TaskPage(tasks=rows, next_before=next_before))
        return
    if only_ids:
        click.echo("".join(f"{task.id}\n" for task in found), nl=False)
        return
    if not found:
        show.note("no tasks")
        return
    show.table(_COLUMNS, [_row(task, now_us) for task in found])
    if next_before:
        show.note(f"there may be more: --before {next_before}")


@tasks.command("show")
@click.argument("task_id", metavar="ID")
@json_output
@choose_settings
def show_one(task_id: str) -> None:
    """Show a task with its bodies, its attempts and what was done to it."""
    settings = current().settings()
    with reach(settings) as store:
        story = store.run(service.story(NO_TENANT, task_id, settings))
        now_us = store.run(workers.clock())
    if current().is_json:
        show.as_json(shapes.story_shape(story, now_us))
        return
    _show_story(story, now_us)


@tasks.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--force", is_flag=True,
              help="Cut a running task short at once, without asking its handler.")  # fmt: skip
@click.option("--reason", default="", metavar="TEXT", help="Kept in the task's history.")
@json_output
@choose_settings
def cancel(*, ids: tuple[str, ...], force: bool, reason: str) -> None:
    """Cancel tasks; one that runs is asked to stop, or with --force cut short.

    A task that was cancelled already stays so, and that is no error.
    """

    def one(task_id: str) -> Program[str]:
        state = yield from service.cancel(NO_TENANT, task_id, force=force, reason=reason)
        return "asked to stop" if state is State.RUNNING else state.value

    _each(ids, one)


@tasks.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@json_output
@choose_settings
def revive(*, ids: tuple[str, ...]) -> None:
    """Put ended tasks back to pending, due now, with one more attempt."""

    def one(task_id: str) -> Program[str]:
        yield from service.revive(NO_TENANT, task_id)
        return State.PENDING.value

    _each(ids, one)


def _each(ids: tuple[str, ...], one: Callable[[str], Program[str]]) -> None:
    """Do one thing to each task, whatever becomes of the others; exit 1 if one refused."""
    is_json = current().is_json
    answers: list[dict[str, Any]] = []
    refused = 0
    with reach(current().settings()) as store:
        for task_id in dict.fromkeys(ids):
            try:
                outcome = store.run(one(task_id))
            except (NotFoundError, ConflictError) as error:
                refused += 1
                _say_refused(error, is_json=is_json)
                answers.append({"id": task_id, "outcome": None, "error": problem(error)})
                continue
            answers.append({"id": task_id, "outcome": outcome, "error": None})
            if not is_json:
                click.echo(f"{task_id}  {outcome}")
    if is_json:
        show.as_json({"tasks": answers})
    if refused:
        click.get_current_context().exit(CHECK_FAILED)


def _say_refused(error: TenureError, *, is_json: bool) -> None:
    if not is_json:
        say_error(error)


_COLUMNS = (
    Column("ID", is_whole=True),
    Column("STATE", is_whole=True),
    Column("KIND"),
    Column("QUEUE"),
    Column("TRY", is_whole=True),
    Column("WHEN"),
)


def _row(task: Task, now_us: int) -> list[str]:
    return [
        task.id,
        shapes.label_of(task, now_us),
        task.kind,
        task.queue,
        f"{task.attempt}/{task.attempts_max}",
        _when(task, now_us),
    ]


def _when(task: Task, now_us: int) -> str:
    """Return the time that matters in the task's state."""
    if task.state in ENDED:
        return "" if task.ended_at_us is None else show.relative(task.ended_at_us, now_us)
    if task.state is State.RUNNING:
        started_us = task.claimed_at_us or now_us
        return f"for {show.span(max(0, now_us - started_us))}"
    if task.state is State.PENDING:
        return show.relative(task.run_at_us, now_us)
    return show.relative(task.created_at_us, now_us)


def _show_story(story: TaskStory, now_us: int) -> None:
    task = story.task
    click.echo(click.style(f"task {task.id}", bold=True))
    show.fields([*_facts(task, now_us), *_times(task, now_us)])
    for name in ("payload", "carry", "progress", "result"):
        text = show.pretty(getattr(task, name))
        if text:
            show.heading(name)
            click.echo(show.clean(text))
    if story.attempts:
        show.heading("attempts")
        show.table(_ATTEMPT_COLUMNS, [_attempt_row(each, now_us) for each in story.attempts])
    if story.events:
        show.heading("events")
        show.table(
            (Column("AT"), Column("EVENT"), Column("DETAIL")),
            [[show.moment(each.at_us, now_us), each.event, each.detail] for each in story.events],
        )
    failed = next((each.error for each in story.attempts if each.error is not None), None)
    if failed is not None and failed.traceback:
        show.heading("last traceback")
        click.echo(show.clean(failed.traceback.rstrip()))


_ATTEMPT_COLUMNS = (
    Column("TRY", is_whole=True),
    Column("CAME TO", is_whole=True),
    Column("STARTED"),
    Column("TOOK"),
    Column("ERROR"),
)


def _attempt_row(attempt: Attempt, now_us: int) -> list[str]:
    error = attempt.error
    return [
        str(attempt.attempt),
        attempt.event.value,
        show.moment(attempt.started_at_us, now_us),
        show.span(max(0, attempt.ended_at_us - attempt.started_at_us)),
        "" if error is None else f"{error.type}: {error.message}".rstrip(": "),
    ]


def _facts(task: Task, now_us: int) -> list[tuple[str, str]]:
    lane = PRIORITIES.get(task.lane, str(task.lane))
    return [
        ("state", shapes.label_of(task, now_us)),
        ("cause", task.cause or ""),
        ("kind", task.kind),
        ("queue", task.queue),
        ("attempt", f"{task.attempt} of {task.attempts_max}"),
        ("crashes", str(task.crashes) if task.crashes else ""),
        ("priority", "" if task.lane == Lane.NORMAL else lane),
        ("cost", "" if task.cost == 1 else str(task.cost)),
        ("timeout", "" if task.timeout_us is None else show.span(task.timeout_us)),
        ("unique key", task.unique_key or ""),
        ("tags", ", ".join(task.tags)),
        ("waiting for", task.waiting_for or ""),
        ("worker", (task.worker_id or "") if task.state is State.RUNNING else ""),
        ("root", task.root_id or ""),
        ("parent", task.parent_id or ""),
        ("schedule", task.schedule_id or ""),
        ("traceparent", task.traceparent or ""),
    ]


def _times(task: Task, now_us: int) -> list[tuple[str, str]]:
    pairs = [
        ("created", task.created_at_us),
        ("due", task.run_at_us if task.state is State.PENDING else None),
        ("claimed", task.claimed_at_us if task.state is State.RUNNING else None),
        ("lease until", task.lease_expires_at_us),
        ("must end by", task.deadline_us),
        ("cancel asked", task.cancel_asked_at_us),
        ("ended", task.ended_at_us),
    ]
    return [(name, show.moment(at_us, now_us)) for name, at_us in pairs]
