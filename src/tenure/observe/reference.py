"""The reference page of events: `python -m tenure.observe.reference` writes it.

Made from the events themselves and from the table of log lines, so that it cannot say anything
else than they do. With `--check` nothing is written, and 1 is returned if the page is not in step.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from tenure.observe.events import EngineEvent
from tenure.observe.log import LINES

PAGE_DEFAULT: Final = Path("docs/reference/events.md")

HEAD: Final = """\
<!-- Made by `python -m tenure.observe.reference` from `src/tenure/observe`; edit that instead. -->

# Events

On this page you find every event that a worker tells, its fields and their units, and the log line
that is made of it.

A subscriber is a function that takes an event: `worker.bus.subscribe(function)`.
It is called on the worker's event loop, in the order of the events; it must not wait, nor raise.
Events that would come once for each task come once for each batch instead.

The log lines go to the logger `tenure`; the values are in the record's attribute `tenure`.
`tenure worker` writes them to standard error as text or as JSON (`log.format`).
*AttemptFailed* and *TickFailed* show their error as text, with its traceback below the line, and
*AttemptFailed* is an error in the log if there will be no other attempt.

| event | name | level | log line |
| --- | --- | --- | --- |
"""

UNITS: Final = {"_us": "µs", "_s": "s", "_bytes": "bytes", "_rows": "rows"}
# What a plain number counts.
COUNTS: Final = {
    "attempt": "attempts, from 1",
    "attempts_max": "attempts",
    "claim_no": "claims of the task",
    "count": "tasks",
    "created": "schedules",
    "failures": "failures in a row",
    "fired": "instants",
    "kinds": "kinds",
    "missed": "instants",
    "released": "attempts",
    "removed": "schedules",
    "replanned": "schedules",
    "running": "attempts",
    "skipped": "instants",
    "slots": "slots",
    "stuck": "threads",
    "unchanged": "schedules",
    "updated": "schedules",
}


def name_of(event: type[Any]) -> str:
    """Return an event's name: `tenure.`, the noun, and what became of it."""
    first, *rest = re.findall(r"[A-Z][a-z]*", event.__name__)
    return ".".join(["tenure", first.lower(), "_".join(word.lower() for word in rest)])


def page() -> str:
    """Return the page in Markdown."""
    events: tuple[type[Any], ...] = get_args(EngineEvent)
    lines = [HEAD.rstrip("\n")]
    for event in events:
        level, text = LINES[event]
        told = logging.getLevelName(level).lower()
        anchor = f"[{event.__name__}](#{event.__name__.lower()})"
        lines.append(f"| {anchor} | `{name_of(event)}` | {told} | {text} |")
    for event in events:
        lines += ["", f"## {event.__name__}", "", *_description(event)]
    return "\n".join(lines) + "\n"


def _description(event: type[Any]) -> Iterator[str]:
    yield event.__doc__ or ""
    yield ""
    yield "| field | type | unit |"
    yield "| --- | --- | --- |"
    hints = get_type_hints(event)
    for field in fields(event):
        shown = getattr(hints[field.name], "__name__", "")
        if hints[field.name] == tuple[str, ...]:
            shown = "tuple of str"
        yield f"| `{field.name}` | {shown} | {unit_of(field.name, hints[field.name])} |"


def unit_of(name: str, kind: object) -> str:
    """Return the unit of a field, or nothing for what has none."""
    if kind is not int:
        return ""
    for suffix, unit in UNITS.items():
        if name.endswith(suffix):
            return unit
    return COUNTS[name]


def main(arguments: Sequence[str], *, path: Path = PAGE_DEFAULT) -> int:
    """Write the reference page, or with `--check` return 1 if it is not in step."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python -m tenure.observe.reference [--check]\n")
        return 2
    if not arguments:
        path.write_text(page(), encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write(f"{path} is not in step; run `python -m tenure.observe.reference`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
