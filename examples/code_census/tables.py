"""Print a ranking. Called by run.py; knows nothing of Tenure."""

from __future__ import annotations

from collections.abc import Sequence

from measure import Ranking
from rich.console import Console
from rich.table import Table
from rich.text import Text

Cell = str | int
# From so many columns of the terminal on, two tables fit beside one another.
WIDE = 110


def show(ranking: Ranking, console: Console) -> None:
    """Print the sums, then one table for each order, beside one another where there is room."""
    sums = f"{ranking.files:,} files, {ranking.lines:,} lines, {ranking.functions:,} functions"
    largest = [(p.name, p.files, p.lines, p.functions) for p in ranking.largest]
    longest = [(f.name, f.lines, f"{f.file}:{f.line}") for f in ranking.longest]
    documented = [
        (p.name, f"{p.documented / p.definitions:.0%}", p.definitions)
        for p in ranking.least_documented
    ]
    tables = (
        table("Largest packages", ("package", "files", "lines", "functions"), largest),
        table("Longest functions", ("function", "lines", "where"), longest),
        table("Fewest docstrings", ("package", "share", "of definitions"), documented),
        table("Most imported", ("module", "by files"), ranking.most_imported),
    )
    in_a_row = 2 if console.width >= WIDE else 1
    console.print(f"\n[bold]{sums}[/]\n")
    for first in range(0, len(tables), in_a_row):
        row = Table.grid(padding=(0, 6))
        row.add_row(*tables[first : first + in_a_row])
        console.print(row, "")
    if ranking.unreadable:
        console.print(f"[bold cyan]{len(ranking.unreadable)} files cannot be parsed[/]")
        for file, fault in ranking.unreadable:
            console.print(Text(f" {file}: {fault}"), no_wrap=True, overflow="ellipsis")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """Return one table, numbers to the right."""
    made = Table(title=title, title_justify="left", title_style="bold cyan", box=None)
    for number, column in enumerate(columns):
        is_number = any(isinstance(row[number], int) for row in rows)
        made.add_column(column, justify="right" if is_number else "left")
    for row in rows:
        made.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    return made
