"""The loader of named statements: where they may stand, and what becomes of their parameters."""

from __future__ import annotations

import re

import pytest

from tenure.store import statements
from tenure.store.statements import AMBIENT, PARAMETERS, Dialect, load

DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgres")


def test_both_dialects_have_the_same_statements() -> None:
    names = [set(load(dialect, store_clock=True)) for dialect in DIALECTS]

    assert names[0] == names[1]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_statement_is_left_with_a_name_in_it(dialect: Dialect) -> None:
    left = re.compile(r"(?<![:\w']):[a-z_]+|\{\w+\}")

    for compiled in load(dialect, store_clock=False).values():
        text = re.sub(r"'[^']*'", "''", compiled.text)
        assert not left.search(text), compiled.name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_parameters_are_numbered_in_the_order_of_their_names(dialect: Dialect) -> None:
    mark = r"\$(\d+)" if dialect == "postgres" else r"\?(\d+)"

    for compiled in load(dialect, store_clock=False).values():
        numbers = {int(number) for number in re.findall(mark, compiled.text)}
        assert set(range(1, len(compiled.names) + 1)) == numbers, compiled.name
        assert len(set(compiled.names)) == len(compiled.names)


def test_the_clock_of_the_server_stands_in_the_text() -> None:
    texts = load("postgres", store_clock=True)

    assert not [name for name, each in texts.items() if "now_us" in each.names]
    assert "statement_timestamp()" in texts["claim_tasks"].text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_clock_of_a_test_is_a_parameter(dialect: Dialect) -> None:
    assert "now_us" in load(dialect, store_clock=False)["claim_tasks"].names


def test_every_parameter_of_postgres_has_its_type() -> None:
    bare = re.compile(r"(?<!CAST\()\$\d")

    for compiled in load("postgres", store_clock=False).values():
        assert not bare.search(compiled.text), compiled.name
        assert set(compiled.names) <= set(PARAMETERS) | AMBIENT


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(AssertionError, match=":colour has no type"):
        statements._position("colour", [])


def test_a_column_of_a_batch_is_an_array_on_postgres() -> None:
    compiled = load("postgres", store_clock=False)["renew_leases"]

    assert f"CAST(${compiled.names.index('claim_no') + 1} AS bigint[])" in compiled.text
