"""How answers look: tables, lists of fields, times, JSON.

On a terminal a table has colours and fits its width, by folding and never by cutting. Anywhere
else it is plain text in columns, as wide as it needs to be, for grep and awk. JSON is the same
everywhere, on one line; bodies stand in it byte for byte as they are stored.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from rich.table import Table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000
_UNITS = (
    ("d", 86_400 * SECOND_US),
    ("h", 3_600 * SECOND_US),
    ("min", 60 * SECOND_US),
    ("s", SECOND_US),
)
_JSON = msgspec.json.Encoder(decimal_format="number")

STYLES = {
    "available": "cyan", "running": "blue", "cancelling": "yellow", "retrying": "yellow",
    "completed": "green", "failed": "red", "crashed": "red", "cancelled": "yellow",
    "alive": "green", "silent": "red", "stopping": "yellow", "stuck": "red",
    "ok": "green", "warning": "yellow", "problem": "red", "paused": "yellow",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and whether its cells must stay in one piece, as an id must."""

    title: str
    is_whole: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to standard output."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(table_for_eyes(columns, cleaned))
    else:
        click.echo("\n".join(plain_lines(columns, cleaned)))


def plain_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines of aligned text, nothing cut."""
    lines = [[column.title for column in columns], *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def table_for_eyes(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table with colours, whose cells fold where the width asks for it."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for at, column in enumerate(columns):
        widest = max([len(column.title), *(len(row[at]) for row in rows)])
        made.add_column(
            Text(column.title),
            no_wrap=column.is_whole,
            min_width=widest if column.is_whole else None,
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    return made


def fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Write names and values under one another; empty values are left out."""
    shown = [(name, clean(value)) for name, value in pairs if value]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        label = click.style(f"  {name:<{width}}  ", dim=True)
        text = click.style(value, fg=STYLES.get(value))
        click.echo(label + text.replace("\n", "\n" + " " * (width + 4)))


def heading(text: str) -> None:
    """Write the heading of a part."""
    click.echo(f"\n{click.style(text, bold=True)}")


def as_json(value: object) -> None:
    """Write a value as JSON, with raw bodies as they are."""
    # Not indented: that would take the bodies apart.
    click.echo(_JSON.encode(value).decode())


def body(stored: bytes | None) -> msgspec.Raw | None:
    """Return a stored body for JSON output, untouched; as text if it is not JSON."""
    if stored is None:
        return None
    try:
        msgspec.json.decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.Raw(_JSON.encode(stored.decode("utf-8", "backslashreplace")))
    return msgspec.Raw(stored)


def pretty(stored: bytes | None) -> str:
    """Return a stored body for reading: indented JSON, or text."""
    if stored is None:
        return ""
    raw: Any = body(stored)
    text = bytes(raw).decode()
    return text if len(text) <= 60 else msgspec.json.format(text, indent=2)


def clean(text: str) -> str:
    """Return text that cannot steer a terminal."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def instant(at_us: int) -> str:
    """Return a time as RFC 3339 in UTC, to the microsecond."""
    moment = EPOCH + timedelta(microseconds=at_us)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def instant_or_none(at_us: int | None) -> str | None:
    """Return a time as `instant` does, if there is one."""
    return None if at_us is None else instant(at_us)


def moment(at_us: int | None, now_us: int) -> str:
    """Return a time for reading: to the second, and how far from now."""
    if at_us is None:
        return ""
    whole = EPOCH + timedelta(microseconds=at_us)
    return f"{whole:%Y-%m-%d %H:%M:%SZ} ({relative(at_us, now_us)})"


def relative(at_us: int, now_us: int) -> str:
    """Return how far a time is from now, in the largest unit that fits."""
    apart_us = at_us - now_us
    length_us = abs(apart_us)
    if length_us < SECOND_US:
        return "now"
    unit, unit_us = next(each for each in _UNITS if length_us >= each[1])
    text = f"{length_us // unit_us} {unit}"
    return f"in {text}" if apart_us > 0 else f"{text} ago"


def span(length_us: int) -> str:
    """Return a length of time in one unit, or in two if that says more."""
    if length_us < 1_000:
        return f"{length_us} µs"
    if length_us < SECOND_US:
        return f"{length_us // 1_000} ms"
    if length_us < 10 * SECOND_US:
        return f"{length_us // SECOND_US}.{length_us // 100_000 % 10} s"
    at = next(at for at, each in enumerate(_UNITS) if length_us >= each[1])
    unit, unit_us = _UNITS[at]
    count, rest_us = divmod(length_us, unit_us)
    if count >= 10 or unit == "s":
        return f"{count} {unit}"
    smaller, smaller_us = _UNITS[at + 1]
    return f"{count} {unit} {rest_us // smaller_us} {smaller}"


def note(text: str) -> None:
    """Write something beside the answer, on standard error."""
    click.echo(click.style(text, dim=True), err=True)
