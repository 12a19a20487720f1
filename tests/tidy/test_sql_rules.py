"""Every rule for SQL files fails on a planted fault, and is quiet about its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tidy import sql_rules as rules
from tests.tidy.source import Finding

SqlRule = Callable[[list[rules.Block]], Iterator[Finding]]
Tree = dict[str, str]

SHARED_ONE = {"shared/tasks.sql": "-- name: get_task\nSELECT :id;"}
BOTH = {
    "sqlite/tasks.sql": "-- name: claim\n-- Not :this.\nSELECT ':that', :until_us, :rows;",
    # The driver binds :notify, so it may differ.
    "postgres/tasks.sql": (
        "-- name: claim\n/* :nor */ SELECT :rows::bigint, CAST(:until_us AS int), :notify;"
    ),
}

FAULTS: dict[str, tuple[SqlRule, Tree]] = {
    "no name": (rules.statements_are_named, {"shared/tasks.sql": "SELECT 1;"}),
    "a name in capitals": (
        rules.statements_are_named,
        {"shared/tasks.sql": "-- name: GetTask\nSELECT 1;"},
    ),
    "a name and nothing": (
        rules.statements_are_named,
        {"shared/tasks.sql": "-- name: get_task\n-- Later.\n"},
    ),
    "a fragment of a dialect": (
        rules.fragments_stand_in_shared,
        {"sqlite/tasks.sql": "-- fragment: columns\nid, kind"},
    ),
    "twice in one file": (
        rules.statements_are_shared_or_in_every_dialect,
        {"shared/tasks.sql": "-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;"},
    ),
    "in one dialect only": (
        rules.statements_are_shared_or_in_every_dialect,
        {"sqlite/tasks.sql": "-- name: claim\nSELECT 1;"},
    ),
    "overridden": (
        rules.statements_are_shared_or_in_every_dialect,
        {**SHARED_ONE, "sqlite/tasks.sql": "-- name: get_task\nSELECT :id;"},
    ),
    "shared and in both": (
        rules.statements_are_shared_or_in_every_dialect,
        {**BOTH, "shared/tasks.sql": "-- name: claim\nSELECT 1;"},
    ),
    "another parameter": (
        rules.dialects_take_the_same_parameters,
        {**BOTH, "postgres/tasks.sql": "-- name: claim\nSELECT :rows, :from_us, :until_us;"},
    ),
    "a parameter in a comment": (
        rules.dialects_take_the_same_parameters,
        {**BOTH, "postgres/tasks.sql": "-- name: claim\n-- :until_us\nSELECT :rows;"},
    ),
    "a parameter in a fragment": (
        rules.dialects_take_the_same_parameters,
        {
            "shared/tasks.sql": "-- fragment: due\nrun_at_us <= :due_us\n",
            "sqlite/tasks.sql": "-- name: claim\nSELECT id FROM task WHERE {due}",
            "postgres/tasks.sql": "-- name: claim\nSELECT id FROM task",
        },
    ),
}


def plant(root: Path, tree: Tree) -> list[rules.Block]:
    for path, text in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return rules.read_blocks(root)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_rule_finds_the_fault(fault: str, tmp_path: Path) -> None:
    rule, tree = FAULTS[fault]
    blocks = plant(tmp_path, tree)

    findings = list(rule(blocks))

    assert len(findings) == 1


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_rule_is_quiet_about_what_is_allowed(rule: SqlRule, tmp_path: Path) -> None:
    opening = {"shared/queues.sql": "-- A file may open with a comment.\n-- name: a\nSELECT 1;"}
    fragment = {"shared/workers.sql": "-- fragment: columns\nid, seen_at_us"}
    migration = {"sqlite/migrations/0001_first.sql": "CREATE TABLE task (id text);"}
    blocks = plant(tmp_path, {**SHARED_ONE, **BOTH, **opening, **fragment, **migration})

    findings = list(rule(blocks))

    assert not findings


def test_every_rule_has_a_planted_fault() -> None:
    planted = {rule for rule, _ in FAULTS.values()}

    assert set(rules.RULES) == planted


def test_a_finding_names_the_file_and_the_line_of_the_heading(tmp_path: Path) -> None:
    blocks = plant(tmp_path, {"sqlite/tasks.sql": "-- Head.\n\n-- name: claim\nSELECT 1;"})

    findings = [str(each) for each in rules.statements_are_shared_or_in_every_dialect(blocks)]

    assert findings[0].startswith("sqlite/tasks.sql:3: claim: stands in sqlite;")
