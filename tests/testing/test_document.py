"""The page on testing runs, block by block, and prints what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tutorial.test_7_documents import Block, Page, read, run

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "test-your-tasks.md"


@pytest.fixture(scope="module")
def page() -> Page:
    return read(PAGE)


def is_whole(block: Block) -> bool:
    """Whether a block is a program, and not a part of somebody's test."""
    return block.code.startswith(("import", "from"))


def test_each_program_of_the_page_prints_what_it_says(page: Page, tmp_path: Path) -> None:
    for name, text in page.files.items():
        (tmp_path / name).write_text(text)
    programs = [block for block in page.blocks if is_whole(block)]
    # One start of Python for all of them, each with names of its own.
    parts = [
        f"exec({block.code!r}, {{'__name__': 'block'}})\nprint({MARK!r})" for block in programs
    ]
    fresh = "import app; app.sent.clear()"

    printed = run(f"\n{fresh}\n".join(parts), tmp_path).split(f"{MARK}\n")

    assert 6 == len(programs)
    assert [block.printed for block in programs] == printed[:-1]


def test_the_other_blocks_are_sound_python(page: Page) -> None:
    others = [block for block in page.blocks if not is_whole(block)]

    for block in others:
        compile(block.code, str(PAGE), "exec")

    assert 1 == len(others)


def test_the_page_speaks_of_no_name_that_is_not_there(page: Page) -> None:
    from tenure import testing

    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"tenure\.testing\.(\w+)", text))

    assert named <= set(testing.__all__)
    assert set(re.findall(r"platform\.(\w+)", text)) <= {
        *dir(testing.Platform),
        *dir(testing.AsyncPlatform),
    }


MARK = "-- the end of a block --"
