"""The generated page about events, and whether it is in step."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from tenure.observe import reference
from tenure.observe.events import AttemptFailed, EngineEvent, TasksClaimed, WorkerUnhealthy
from tenure.observe.log import LINES

PAGE = Path(__file__).parents[2] / reference.PAGE_DEFAULT
KINDS: tuple[type[Any], ...] = get_args(EngineEvent)


def test_the_page_is_in_step() -> None:
    assert 0 == reference.main(["--check"], path=PAGE), "run `python -m tenure.observe.reference`"


def test_the_check_fails_if_the_page_differs_or_is_absent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "events.md"

    absent = reference.main(["--check"], path=page)
    reference.main([], path=page)
    same = reference.main(["--check"], path=page)
    page.write_text(page.read_text() + "\n")
    differs = reference.main(["--check"], path=page)

    assert (1, 0, 1) == (absent, same, differs)
    assert "is not in step; run `python -m tenure.observe.reference`" in capsys.readouterr().err


def test_other_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == reference.main(["--chek"])
    assert "usage: python -m tenure.observe.reference [--check]" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_page_has_every_event_with_every_field(kind: type[Any]) -> None:
    page = reference.page()

    _, _, part = page.partition(f"\n## {kind.__name__}\n")
    part = part.partition("\n## ")[0]

    assert part.strip().startswith(str(kind.__doc__))
    assert [field.name for field in fields(kind)] == re.findall(r"^\| `(\w+)` \|", part, re.M)
    assert f"| {LINES[kind][1]} |" in page


def test_every_number_has_a_unit() -> None:
    lines = [line for line in reference.page().splitlines() if "| int |" in line]

    assert lines
    assert [] == [line for line in lines if line.endswith("| int |  |")]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (AttemptFailed, "tenure.attempt.failed"),
        (TasksClaimed, "tenure.tasks.claimed"),
        (WorkerUnhealthy, "tenure.worker.unhealthy"),
    ],
)
def test_a_name_is_a_noun_and_what_became_of_it(kind: type[Any], name: str) -> None:
    assert name == reference.name_of(kind)


def test_a_number_without_a_unit_is_an_error() -> None:
    with pytest.raises(KeyError):
        reference.unit_of("width", int)
