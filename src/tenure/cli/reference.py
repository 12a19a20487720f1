"""The reference page of the command line: `python -m tenure.cli.reference` writes it.

Made from the commands themselves and from the structs of `--json`, so that it cannot say
anything else than they do. With `--check` nothing is written, and 1 is returned if the page is
not in step.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from tenure.cli import schedule_shapes, shapes
from tenure.cli.choices import COMMON_OPTIONS
from tenure.cli.main import COMMANDS, main as root
from tenure.cli.problems import EXIT_CODES

PAGE_DEFAULT: Final = Path("docs/reference/cli.md")

HEAD: Final = """\
<!-- Made by `python -m tenure.cli.reference` from `src/tenure/cli`; edit that instead. -->

# Command line

On this page you find every command, its options, its exit codes and what `--json` answers.
"""

JSON_HEAD: Final = """\
## JSON

With `--json` a command answers with one JSON value on standard output.
Its fields stay: a release may add one, and renames and removes none.
Times are RFC 3339 in UTC with `Z`, durations are seconds, and what is not there is null.
A task's payload, carry, progress and result stand in it byte for byte as they are stored.

An error is an object on standard error, and the exit code is the same as without `--json`:
`{"error": {"code": "not_found", "message": "there is no task 'x'"}}`.

| command | answer |
| --- | --- |
| `tasks ls` | a *TaskPage* |
| `tasks show` | a *Story* |
| `tasks cancel`, `tasks revive` | `{"tasks": [{"id", "outcome", "error"}]}`, one for each id |
| `schedules ls` | a *SchedulePage* |
| `schedules show` | a *ScheduleStory* |
| `schedules put` | `{"id", "change", "schedule": Schedule}`; with `--dry-run` a *Trial* |
| `schedules preview` | a *Preview*; with `--against` a *Difference* |
| `schedules pause`, `resume` | `{"schedules": [{"id", "outcome", "error"}]}`, one for each id |
| `schedules run` | `{"id"}`; with `--wait` also `"result"` |
| `schedules next` | a *Schedule* |
| `schedules state` | `{"id", "version", "state"}` |
| `schedules fires` | a *FirePage* |
| `schedules runs` | a *TaskPage* |
| `schedules rm` | `{"id", "deleted"}` |
| `calendars ls` | `{"calendars": [Calendar], "next_after"}` |
| `calendars show` | `{"calendar": Calendar, "excluded_by": [text]}` |
| `calendars put` | `{"calendar": Calendar, "moved"}` |
| `calendars rm` | `{"name", "deleted"}` |
| `queues`, `queues ls` | `{"queues": [Queue]}` |
| `queues pause`, `resume`, `limit` | a *Queue* |
| `workers` | `{"workers": [Worker]}` |
| `enqueue` | `{"id"}`; with `--wait` also `"result"`; with `--times` `{"stored"}` |
| `db migrate` | `{"applied": [Migration], "pending": [Migration]}` |
| `db plan` | `{"pending": [Migration with "sql"]}` |
| `db check` | `{"ok", "version", "applied", "pending", "drift", "troubles"}` |
| `doctor` | `{"ok", "findings": [{"what", "status", "text", "advice"}]}` |
| `doctor settings` | `{"settings": [{"key", "value", "default", "origin", "when"}]}` |

A *Migration* is `{"number", "name", "phase", "checksum"}`; among those applied also `"applied_at"`.
*drift* is `{"missing": [text], "extra": [text]}`: what the migrations make, and what is there.
"""

STRUCTS: Final = (
    shapes.TaskPage,
    shapes.TaskShape,
    shapes.StoryShape,
    shapes.AttemptShape,
    shapes.ErrorShape,
    shapes.EventShape,
    shapes.QueueShape,
    shapes.WorkerShape,
    schedule_shapes.SchedulePage,
    schedule_shapes.ScheduleShape,
    schedule_shapes.ScheduleStory,
    schedule_shapes.TrialShape,
    schedule_shapes.PoliciesShape,
    schedule_shapes.TemplateShape,
    schedule_shapes.FirePage,
    schedule_shapes.FireShape,
    schedule_shapes.PreviewShape,
    schedule_shapes.OccurrenceShape,
    schedule_shapes.LeftOutShape,
    schedule_shapes.DifferenceShape,
    schedule_shapes.CalendarShape,
)


def page() -> str:
    """Return the page in Markdown."""
    lines = [HEAD, *_start(), *_exit_codes()]
    context = click.Context(root, info_name="tenure")
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        lines += _command(command, ["tenure", name])
    lines.append(JSON_HEAD)
    for struct in STRUCTS:
        lines += _struct(struct)
    return "\n".join(lines).rstrip() + "\n"


def _start() -> Iterator[str]:
    yield "These options stand before or after any command; what stands after it wins."
    yield ""
    yield from _options(
        [
            each
            for each in root.params
            if isinstance(each, click.Option) and each.name in COMMON_OPTIONS
        ]
    )


def _exit_codes() -> Iterator[str]:
    yield "| exit code | meaning |"
    yield "| --- | --- |"
    for code, meaning in EXIT_CODES:
        yield f"| {code} | {meaning} |"
    yield ""


def _command(command: click.Command, path: list[str]) -> Iterator[str]:
    """Yield the part of a command, and those of the commands under it."""
    level = "#" * len(path)
    yield f"{level} {' '.join(path)}"
    yield ""
    yield "```console"
    yield " ".join(["$", *path, *_usage(command)])
    yield "```"
    yield ""
    yield inspect.cleandoc(command.help or "")
    yield ""
    if command.epilog:
        yield "```"
        yield inspect.cleandoc(command.epilog.replace("\b", "")).strip()
        yield "```"
        yield ""
    options = [
        each
        for each in command.params
        if isinstance(each, click.Option) and not each.hidden and each.name not in COMMON_OPTIONS
    ]
    if options:
        yield from _options(options)
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _command(command.commands[name], [*path, name])


def _usage(command: click.Command) -> Iterator[str]:
    if any(isinstance(each, click.Option) for each in command.params):
        yield "[OPTIONS]"
    if isinstance(command, click.Group):
        yield "[COMMAND]" if command.invoke_without_command else "COMMAND"
    for each in command.params:
        if isinstance(each, click.Argument):
            yield each.metavar or _choices(each) or (each.name or "").upper()


def _options(options: Sequence[click.Option]) -> Iterator[str]:
    yield "| option | |"
    yield "| --- | --- |"
    for each in options:
        names = ", ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts))
        value = "" if each.is_flag else f" {each.metavar or _choices(each)}".rstrip()
        yield f"| {names}{value.replace('|', ' or ')} | {each.help or ''} |"
    yield ""


def _choices(parameter: click.Parameter) -> str:
    kind = parameter.type
    return "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else ""


def _struct(struct: type[msgspec.Struct]) -> Iterator[str]:
    name = struct.__name__.removesuffix("Shape")
    yield f"### {name}"
    yield ""
    yield inspect.cleandoc(struct.__doc__ or "")
    yield ""
    yield "| field | type |"
    yield "| --- | --- |"
    for field in msgspec.structs.fields(struct):
        yield f"| `{field.name}` | {_type(str(struct.__annotations__[field.name]))} |"
    yield ""


def _type(annotation: str) -> str:
    words = {
        "str": "text",
        "int": "integer",
        "Decimal": "number",
        "msgspec.Raw": "any JSON",
        "None": "null",
    }
    parts = [part.strip() for part in annotation.split("|")]
    named = []
    for part in parts:
        inner = part.removeprefix("list[").removesuffix("]")
        word = words.get(inner, inner.removesuffix("Shape"))
        named.append(f"list of {word}" if part.startswith("list[") else word)
    return " or ".join(named)


def main(arguments: Sequence[str], *, path: Path = PAGE_DEFAULT) -> int:
    """Write the page, or with `--check` return 1 if it is not in step."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python -m tenure.cli.reference [--check]\n")
        return 2
    if not arguments:
        path.write_text(page(), encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write(f"{path} is not in step; run `python -m tenure.cli.reference`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
