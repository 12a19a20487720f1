"""`tenure enqueue`: store tasks by kind and JSON arguments, to try a handler out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

from tenure.cli import application, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.kernel.errors import InvalidError
from tenure.kernel.model import Lane
from tenure.sdk.client import Client
from tenure.sdk.task import Call, Enqueueable, Kind

TIMES_MAX = 10_000_000
# Below this a progress bar would only flicker.
TIMES_SHOWN = 20_000
AT_FORM = "write a time with its zone, such as 2030-01-31T09:00Z or 2030-01-31T10:00+01:00"
PRIORITIES = {lane.name.lower(): lane for lane in Lane}


@click.command()
@click.argument("app")
@click.argument("kind")
@click.argument("arguments", metavar="[JSON]", default="{}")
@click.option("--queue", "-q", metavar="NAME", help="Another queue than the kind's.")
@click.option("--priority", type=click.Choice(list(PRIORITIES)), help="Another than the kind's.")
@click.option("--delay", type=float, metavar="SECONDS", help="Due so much later.")
@click.option("--at", "at_text", metavar="TIME",
              help="Due at this time, such as 2030-01-31T09:00Z.")  # fmt: skip
@click.option(
    "--attempts", type=click.IntRange(min=1), metavar="N", help="At most so many attempts."
)
@click.option("--timeout", type=float, metavar="SECONDS", help="Bounds one attempt.")
@click.option("--unique", metavar="KEY", help="A key that one live task may hold.")
@click.option("--tag", "tags", multiple=True, metavar="TEXT", help="Repeat it for more.")
@click.option("--times", type=click.IntRange(1, TIMES_MAX), default=1, metavar="N",
              help="Store so many of the same.")  # fmt: skip
@click.option("--wait", "waits", is_flag=True, help="Wait for the end and print the result.")
@json_output
@choose_settings
def enqueue(*, app: str, kind: str, arguments: str, times: int, waits: bool, **given: Any) -> None:
    """Store a task of KIND, a handler of APP, and print its id.

    JSON holds the arguments: an object by name, or a list by position; - reads it from standard
    input.
    """
    if times > 1 and (waits or given["unique"]):
        raise click.UsageError("--times goes with neither --wait nor --unique")
    settings = current().settings()
    found = application.load(app).get(kind)
    call = read_call(found, _options(found, given), arguments)
    with Client(settings=settings) as client:
        if times > 1:
            _store_many(client, call, times)
            return
        handles = client.enqueue_many([call])
        task_id = handles[0].id
        if not waits:
            _answer_id(task_id)
            return
        result = client.result(task_id)
    if current().is_json:
        show.as_json({"id": task_id, "result": show.body(result)})
    else:
        click.echo(show.clean(show.pretty(result)))


def _options(kind: Kind[..., Any], given: dict[str, Any]) -> Enqueueable[..., Any]:
    at_text, priority = given["at_text"], given["priority"]
    return kind.options(
        queue=given["queue"],
        priority=None if priority is None else PRIORITIES[priority],
        delay=given["delay"],
        at=None if at_text is None else _instant(at_text),
        attempts=given["attempts"],
        timeout=given["timeout"],
        unique=given["unique"],
        tags=given["tags"],
    )


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(f"at is {text!r}; {AT_FORM}", field="at") from None
    if found.tzinfo is None:
        raise InvalidError(f"at is {text!r}, which has no time zone; {AT_FORM}", field="at")
    return found


def read_call(kind: Kind[..., Any], options: Enqueueable[..., Any], text: str) -> Call[Any]:
    """Return the call, checked against the handler's signature.

    An object is stored as it was typed, so that no number changes its form on the way.

    Raises:
        InvalidError: the text is not JSON, or does not fit.
    """
    stored, value = read_json(text)
    match value:
        case dict():
            kind.codec.decode(stored)
            return Call(kind, options.choices, stored)
        case list():
            return options.call(*value)
        case _:
            raise InvalidError(
                "the arguments must be a JSON object by name or a JSON list by position",
                field="payload",
            )


def read_json(text: str, *, what: str = "the arguments are") -> tuple[bytes, Any]:
    """Return JSON as it was typed, or as standard input has it if that is -, and its value.

    Raises:
        InvalidError: it is not JSON.
    """
    stored = sys.stdin.buffer.read() if text == "-" else text.encode()
    try:
        return stored.strip(), msgspec.json.decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidError(f"{what} not JSON: {error}", field="payload") from None


def _store_many(client: Client, call: Call[Any], times: int) -> None:
    stored = 0
    for group in _groups(times, client.settings.limits.enqueue_batch):
        stored += len(client.enqueue_many([call] * group))
    if current().is_json:
        show.as_json({"stored": stored})
    else:
        click.echo(f"{stored} tasks stored")


def _groups(times: int, size: int) -> Iterator[int]:
    sizes: Sequence[int] = [size] * (times // size) + [times % size] * (times % size > 0)
    if times < TIMES_SHOWN or not sys.stderr.isatty():
        yield from sizes
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        line = bar.add_task("storing", total=times)
        for each in sizes:
            yield each
            bar.advance(line, each)


def _answer_id(task_id: str) -> None:
    if current().is_json:
        show.as_json({"id": task_id})
    else:
        click.echo(task_id)
