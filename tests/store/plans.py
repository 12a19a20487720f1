"""Ask both databases how they run a statement, and how much of the tables that touches.

Called by test_plans.py. Nothing is timed: what is counted are pages on PostgreSQL and steps of
the virtual machine on SQLite, which are the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import apsw
import psycopg
from psycopg import sql

from tenure.store.statements import Compiled, load
from tests.store.drivers import START_US, ApswSyncDriver, PsycopgDriver

Values = Mapping[str, object]
Mode = Literal["auto", "force_custom_plan", "force_generic_plan"]

# A scan over an index that holds little of the table is not one of the table.
SQLITE_SCAN = re.compile(
    r"SCAN (task|attempt|task_event|task_body|schedule|fire)\b(?! USING .*INDEX)"
)
SQLITE_INDEX = re.compile(r"(?:SEARCH|SCAN) \w+ USING (?:COVERING )?INDEX (\w+)")
SQLITE_KEY = re.compile(r"SEARCH (\w+) USING PRIMARY KEY")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How a statement was run: tables read whole, indexes used, and how much was touched."""

    scanned: frozenset[str]
    indexes: frozenset[str]
    touched: int
    rows: int


class PostgresPlans:
    """Explains statements, as production sends them, without leaving a trace."""

    def __init__(self, store: PsycopgDriver) -> None:
        self._statements = load("postgres", store_clock=True)
        self._connection = psycopg.connect(store.dsn)
        self._connection.execute("SET work_mem = '4MB'")
        self._connection.commit()

    def explain(
        self, name: str, values: Values, *, mode: Mode = "auto", before: str = ""
    ) -> Finding:
        """Run a statement, with its plan kept, and undo it."""
        compiled = self._statements[name]
        ask = self._connection.execute
        if before:
            ask(sql.SQL(before))
        ask(sql.SQL(f"SET LOCAL plan_cache_mode = {mode}"))
        ask(sql.SQL(f"PREPARE explained AS {compiled.text}"))
        given = [sql.Literal(values[name]) for name in compiled.names]
        call = sql.SQL("explained ({})").format(sql.SQL(", ").join(given))
        head = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE ")
        ((report,),) = ask(head + (call if given else sql.SQL("explained"))).fetchall()
        ask(sql.SQL("DEALLOCATE explained"))
        self._connection.rollback()
        root = report[0]["Plan"]
        nodes = list(_nodes(root))
        return Finding(
            scanned=frozenset(
                node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"
            ),
            indexes=frozenset(node["Index Name"] for node in nodes if "Index Name" in node),
            touched=root["Shared Hit Blocks"] + root["Shared Read Blocks"],
            rows=root["Actual Rows"],
        )

    def analyze(self) -> None:
        """Let the planner know what is in the tables."""
        self._connection.execute("ANALYZE")
        self._connection.commit()

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()


class SqlitePlans:
    """Explains statements on a connection of its own, without leaving a trace."""

    def __init__(self, store: ApswSyncDriver) -> None:
        self._statements = load("sqlite", store_clock=False)
        self._connection = apsw.Connection(str(store.path))
        # As the store has it: a statement is planned once, whatever its values are.
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)

    def explain(
        self, name: str, values: Values, *, mode: Mode = "auto", before: str = ""
    ) -> Finding:
        """Run a statement, with its plan kept, and undo it. There is but one mode."""
        compiled = self._statements[name]
        steps: list[int] = []

        def count(event: dict[str, Any]) -> None:
            steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

        ask = self._connection.execute
        ask("BEGIN")
        if before:
            ask(before)
        runs = _runs(compiled, {**values, "now_us": START_US})
        plan = [str(row[3]) for row in ask("EXPLAIN QUERY PLAN " + compiled.text, runs[0])]
        self._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, count)
        found = self._connection.executemany(compiled.text, runs).fetchall()
        changes = self._connection.changes()
        self._connection.trace_v2(0, None)
        ask("ROLLBACK")
        used = {each[1] for line in plan if (each := SQLITE_INDEX.search(line))}
        keys = {f"{each[1]}_pkey" for line in plan if (each := SQLITE_KEY.search(line))}
        return Finding(
            scanned=frozenset(each[1] for line in plan if (each := SQLITE_SCAN.search(line))),
            indexes=frozenset(used | keys),
            touched=sum(steps),
            rows=len(found) or changes,
        )

    def analyze(self) -> None:
        """Let the planner know what is in the tables."""
        self._connection.execute("ANALYZE")

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()


Plans = PostgresPlans | SqlitePlans


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _runs(compiled: Compiled, values: Values) -> list[list[object]]:
    """Return the values of one run, or of one for each row if there are columns of them."""
    columns = [values[name] for name in compiled.names]
    many = [len(column) for column in columns if isinstance(column, list)]
    return [
        [column[place] if isinstance(column, list) else column for column in columns]
        for place in range(many[0] if many else 1)
    ]
