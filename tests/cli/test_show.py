"""How times, bodies and tables look."""

from __future__ import annotations

import pytest
from rich.console import Console

from tenure.cli import show
from tenure.cli.show import SECOND_US, Column

ID = "01a1fff4-91f7-7484-948d-b54b3f21826f"


@pytest.mark.parametrize(
    ("length_us", "expected"),
    [
        (0, "0 µs"),
        (999, "999 µs"),
        (1_500, "1 ms"),
        (1_250_000, "1.2 s"),
        (59 * SECOND_US, "59 s"),
        (61 * SECOND_US, "1 min 1 s"),
        (3_600 * SECOND_US, "1 h 0 min"),
        (90_000 * SECOND_US, "1 d 1 h"),
        (20 * 86_400 * SECOND_US, "20 d"),
    ],
)
def test_a_span_has_one_unit_or_two(length_us: int, expected: str) -> None:
    assert expected == show.span(length_us)


@pytest.mark.parametrize(
    ("apart_s", "expected"),
    [(0, "now"), (5, "in 5 s"), (-5, "5 s ago"), (-125, "2 min ago"), (86_400 * 3, "in 3 d")],
)
def test_a_relative_time_has_one_unit(apart_s: int, expected: str) -> None:
    assert expected == show.relative((100 + apart_s) * SECOND_US, 100 * SECOND_US)


def test_an_instant_is_exact_to_the_microsecond() -> None:
    assert "2033-05-18T03:33:20.000001Z" == show.instant(2_000_000_000_000_001)


@pytest.mark.parametrize("stored", [b"1.10", b'{"a":  1}', b"12345678901234567890123", b"null"])
def test_a_body_that_is_json_is_untouched(stored: bytes) -> None:
    body = show.body(stored)

    assert body is not None
    assert stored == bytes(body)


def test_a_body_that_is_not_json_becomes_text() -> None:
    body = show.body(b"\xffplain")

    assert body is not None
    assert b'"\\\\xffplain"' == bytes(body)


def test_a_plain_table_cuts_nothing() -> None:
    columns = (Column("ID", is_whole=True), Column("KIND"))

    lines = show.plain_lines(columns, [[ID, "k" * 200], [ID, "short"]])

    assert f"{ID}  {'k' * 200}" == lines[1]
    assert f"{ID}  short" == lines[2]


def test_a_table_for_a_terminal_keeps_ids_whole_and_folds_the_rest() -> None:
    console = Console(width=60, record=True, force_terminal=True, quiet=False, file=None)
    made = show.table_for_eyes((Column("ID", is_whole=True), Column("KIND")), [[ID, "k" * 100]])

    with console.capture() as captured:
        console.print(made)

    text = captured.get()
    assert ID in text
    assert 100 == text.count("k")
    assert "…" not in text
