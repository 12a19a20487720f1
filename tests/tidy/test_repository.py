"""Hold the repository to its own rules, one test for each rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.tidy import python_rules, sql_rules
from tests.tidy.source import ROOT, Finding, Rule, Source, read_sources


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    return read_sources(ROOT)


@pytest.mark.parametrize("rule", python_rules.RULES, ids=lambda rule: rule.__name__)
def test_every_python_file_keeps_the_rule(rule: Rule, sources: list[Source]) -> None:
    assert sources

    findings = [str(finding) for source in sources for finding in rule(source)]

    assert not findings, "\n".join(["", *findings])


@pytest.mark.parametrize("rule", sql_rules.RULES, ids=lambda rule: rule.__name__)
def test_every_statement_keeps_the_rule(
    rule: Callable[[list[sql_rules.Block]], Iterator[Finding]],
) -> None:
    blocks = sql_rules.read_blocks(ROOT / "src/tenure/store/sql")
    assert blocks

    findings = [str(finding) for finding in rule(blocks)]

    assert not findings, "\n".join(["", *findings])
