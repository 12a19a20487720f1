"""Every rule for Python files fails on a planted fault, and is quiet about its neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tidy import python_rules as rules
from tests.tidy.source import Rule, Source, read_sources

HEAD = '"""Own a thing."""\n\nfrom __future__ import annotations\n\n'
PRODUCT = "src/tenure/thing.py"
TEST = "tests/test_thing.py"


def lines(number: int) -> str:
    return "pass\n" * number


def function_of(number: int) -> str:
    return HEAD + "def long():\n" + "    pass\n" * (number - 1)


def class_of(methods: int) -> str:
    bodies = [f"    def method_{index}(self): ...\n" for index in range(methods)]
    return HEAD + "class Wide:\n" + "".join(bodies)


def overloaded_class() -> str:
    return HEAD + "class Wide:\n" + "    def method(self): ...\n" * 20


FAULTS: list[tuple[Rule, str, str]] = [
    (rules.files_are_short, PRODUCT, lines(401)),
    (rules.files_are_short, TEST, lines(601)),
    (rules.functions_fit_a_screen, PRODUCT, function_of(71)),
    (rules.classes_have_few_methods, PRODUCT, class_of(16)),
    (rules.sql_stays_in_sql_files, PRODUCT, 'text = "SELECT id FROM task"'),
    (rules.sql_stays_in_sql_files, PRODUCT, 'text = "select id from task"'),
    (rules.sql_stays_in_sql_files, PRODUCT, 'text = f"UPDATE {table} SET a = 1"'),
    (rules.sql_stays_in_sql_files, PRODUCT, 'text = "insert into task"'),
    (rules.sql_stays_in_sql_files, PRODUCT, 'text = "DELETE FROM task"'),
    (rules.sql_stays_in_sql_files, PRODUCT, 'text = "create table task (id text)"'),
    (rules.modules_have_a_head, PRODUCT, "value = 1"),
    (rules.modules_have_a_head, TEST, "# A comment is no head.\nvalue = 1"),
    (rules.modules_import_the_future, PRODUCT, '"""Head."""\n\nvalue = 1'),
    (rules.modules_import_the_future, PRODUCT, "from __future__ import division"),
    (rules.names_say_something, PRODUCT, "def job(): ..."),
    (rules.names_say_something, PRODUCT, "async def misc(): ..."),
    (rules.names_say_something, PRODUCT, "class Manager: ..."),
    (rules.names_say_something, PRODUCT, "data = 1"),
    (rules.names_say_something, PRODUCT, "for item in things: ..."),
    (rules.names_say_something, PRODUCT, "def count(info): ..."),
    (rules.names_say_something, PRODUCT, "self._helper = 1"),
    (rules.names_say_something, PRODUCT, "import things as utils"),
    (rules.names_say_something, PRODUCT, "match thing:\n    case common: ..."),
    (rules.names_say_something, TEST, "data = 1"),
    (rules.modules_are_named_for_a_noun, "src/tenure/store/base.py", HEAD),
    (rules.modules_are_named_for_a_noun, "tests/helpers/clock.py", HEAD),
    (rules.nothing_is_left_for_later, PRODUCT, "value = 1  # TODO: two"),
    (rules.nothing_is_left_for_later, TEST, '"""Head.\n\nFIXME one day.\n"""'),
    (rules.types_are_not_silenced, PRODUCT, "value = 1  # type: ignore[misc]  # foreign stub"),
    (rules.types_are_not_silenced, PRODUCT, "value = 1  # pyright: ignore"),
    (rules.types_are_not_silenced, TEST, "value = 1  # type: ignore"),
    (rules.types_are_not_silenced, TEST, "value = 1  # type: ignore[misc]"),
    (rules.types_are_not_cast, PRODUCT, "from typing import Any, cast"),
    (rules.types_are_not_cast, PRODUCT, "import typing\ntyping.cast(int, value)"),
    (rules.exceptions_to_the_lint_say_why, PRODUCT, "value = 1  # noqa"),
    (rules.exceptions_to_the_lint_say_why, PRODUCT, "value = 1  # noqa: because it is so"),
    (rules.exceptions_to_the_lint_say_why, PRODUCT, "value = 1  # noqa: S603"),
    (rules.exceptions_to_the_lint_say_why, TEST, "value = 1  # noqa: S603, S607 - why"),
    (rules.lifted_bans_stay_narrow, rules.CONFIG, "import time"),
    (rules.lifted_bans_stay_narrow, rules.CONFIG, "from datetime import datetime"),
    (rules.lifted_bans_stay_narrow, rules.CLOCKWORK, "from os import environ"),
]

NEIGHBOURS: list[tuple[Rule, str, str]] = [
    (rules.files_are_short, PRODUCT, lines(400)),
    (rules.files_are_short, TEST, lines(600)),
    (rules.functions_fit_a_screen, PRODUCT, function_of(70)),
    (rules.classes_have_few_methods, PRODUCT, class_of(15)),
    (rules.classes_have_few_methods, PRODUCT, overloaded_class()),
    (rules.sql_stays_in_sql_files, PRODUCT, '"""SELECT id FROM task is not here."""'),
    (rules.sql_stays_in_sql_files, PRODUCT, "# DELETE FROM task\nmethod = 'DELETE'"),
    (rules.sql_stays_in_sql_files, PRODUCT, 'text = "select a queue, update the limit"'),
    (rules.sql_stays_in_sql_files, TEST, 'text = "SELECT id FROM task"'),
    (rules.modules_have_a_head, "tests/__init__.py", ""),
    (rules.modules_import_the_future, PRODUCT, '"""Head."""'),
    (rules.modules_import_the_future, PRODUCT, HEAD),
    (rules.names_say_something, PRODUCT, "job_id = foreign.data\nfor key in table.items(): ..."),
    (rules.names_say_something, "bench/adapter.py", "data = 1"),
    (rules.modules_are_named_for_a_noun, "src/tenure/database.py", HEAD),
    (rules.nothing_is_left_for_later, PRODUCT, 'states = ["TODO"]'),
    (rules.types_are_not_silenced, TEST, "a = 1  # type: ignore[misc]  # the stub is wrong"),
    (rules.types_are_not_cast, PRODUCT, "def cast_votes(): ..."),
    (rules.types_are_not_cast, TEST, "from typing import cast"),
    (rules.exceptions_to_the_lint_say_why, PRODUCT, "a = 1  # noqa: S603 - a constant command"),
    (rules.exceptions_to_the_lint_say_why, PRODUCT, "a = 1  # noqa: S603, E501  # it is long"),
    (rules.lifted_bans_stay_narrow, rules.CONFIG, "import os"),
    (rules.lifted_bans_stay_narrow, rules.CLOCKWORK, "import time\nfrom datetime import datetime"),
]


def name_of(value: object) -> str | None:
    if callable(value):
        return str(getattr(value, "__name__", value))
    if isinstance(value, str) and len(value) < 80:
        return value.splitlines()[-1] if value else "empty"
    return None if not isinstance(value, str) else f"{len(value)}_characters"


@pytest.mark.parametrize(("rule", "path", "text"), FAULTS, ids=name_of)
def test_the_rule_finds_the_fault(rule: Rule, path: str, text: str) -> None:
    findings = list(rule(Source(path, text)))

    assert len(findings) == 1


@pytest.mark.parametrize(("rule", "path", "text"), NEIGHBOURS, ids=name_of)
def test_the_rule_is_quiet_about_what_is_allowed(rule: Rule, path: str, text: str) -> None:
    findings = list(rule(Source(path, text)))

    assert not findings


def test_every_rule_has_a_planted_fault() -> None:
    planted = {rule for rule, _, _ in FAULTS}

    assert set(rules.RULES) == planted


def test_every_folder_is_read(tmp_path: Path) -> None:
    for folder in ("src/tenure/store", "tests/store", ".venv/lib"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "tasks.py").write_text("job = 1")

    sources = read_sources(tmp_path)

    assert ["src/tenure/store/tasks.py", "tests/store/tasks.py"] == [
        source.path for source in sources
    ]


def test_a_finding_can_be_clicked_on() -> None:
    source = Source(PRODUCT, "\njob = 1")

    findings = [str(finding) for finding in rules.names_say_something(source)]

    assert [f"{PRODUCT}:2: the name 'job' says too little (style: names)"] == findings
