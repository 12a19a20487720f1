"""The verb that tells which database a connection leads to, and whether our tables are there."""

from __future__ import annotations

from dataclasses import dataclass

from tenure.kernel.ports import Statement, Steps, read


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection leads. Two that are equal lead to the same table.

    `database` is a name or a file. `server` tells servers with databases of the same name
    apart; `table` is None if no table `task` is in sight.
    """

    database: str
    server: str
    table: str | None


@read
def place() -> Steps[Place]:
    """Return where this connection leads; not an error, whatever is missing there."""
    found = yield Statement("show_place", {})
    database, server, table = found[0]
    return Place(database=database, server=server, table=table)
