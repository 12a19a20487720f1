"""Every block of Python in the documents runs, and prints what the document says it does."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
STARTING = sorted((DOCS / "start").glob("*.md"))
TRANSACTIONS = DOCS / "how-to" / "transactional-enqueue.md"

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")


@dataclass
class Block:
    """A block of Python, and the text that follows it if it shows what is printed."""

    code: str
    printed: str = ""


@dataclass
class Page:
    """What a document has to be run: files by name, and blocks in their order."""

    files: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


def read(path: Path) -> Page:
    page = Page()
    for language, text in FENCE.findall(path.read_text(encoding="utf-8")):
        named = FILE.match(text)
        if language == "python" and named:
            page.files[named[1]] = text
        elif language == "python":
            page.blocks.append(Block(text))
        elif language == "text":
            page.blocks[-1].printed = text
    return page


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("path", STARTING, ids=lambda path: path.stem)
def test_each_block_is_a_program_that_prints_what_it_says(path: Path, tmp_path: Path) -> None:
    page = read(path)
    assert page.blocks, "the document has no blocks"
    for name, text in page.files.items():
        (tmp_path / name).write_text(text)

    for block in page.blocks:
        assert block.printed == run(block.code, tmp_path)


APP = """
import tenure

@tenure.task
def confirm(order_id: int) -> str:
    return f"order {order_id} is confirmed"
"""


def test_the_page_on_transactions_runs_from_top_to_bottom(
    postgres_url: str, tmp_path: Path
) -> None:
    page = read(TRANSACTIONS)
    (tmp_path / "app.py").write_text(APP)
    head = f"""
import psycopg
url = {postgres_url!r}
with psycopg.connect(url) as connection:
    connection.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
"""
    tail = """
with psycopg.connect(url) as connection:
    print(connection.execute("SELECT payload FROM task ORDER BY id").fetchall())
"""

    printed = run(head + "\n".join(block.code for block in page.blocks) + tail, tmp_path)

    stored = [(b'{"order_id":%d}' % number,) for number in (1, 2, 3, 4, 5)]
    assert printed == f"{page.blocks[-1].printed}{stored}\n"
