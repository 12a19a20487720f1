"""What the documents on schedules show runs: each block of Python, and each command."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tenure.cli.main import main
from tests.tutorial.test_7_documents import DOCS, FENCE, FILE, run

PAGES = [
    DOCS / "start" / "first-schedule.md",
    DOCS / "learn" / "schedules.md",
    DOCS / "how-to" / "holidays.md",
    DOCS / "how-to" / "move-from-celery-beat-and-apscheduler.md",
]
# How far a time is from now depends on when the page is tested.
RELATIVE = re.compile(r"in \d+ \w+|\d+ \w+ ago|\bnow\b")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:  # noqa: TID251 - emptied, not asked
        if name.startswith("TENURE_") and not name.startswith("TENURE_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    # What the documents call `app` is another module in each of them.
    monkeypatch.delitem(sys.modules, "app", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_each_block_runs_from_top_to_bottom_and_prints_what_it_says(
    path: Path, tmp_path: Path
) -> None:
    blocks = FENCE.findall(path.read_text(encoding="utf-8"))
    assert any(language == "python" for language, _ in blocks), "the document has no blocks"
    for at, (language, text) in enumerate(blocks):
        following, expected = blocks[at + 1] if at + 1 < len(blocks) else ("", "")
        if language == "console":
            check_commands(text)
        elif named := FILE.match(text):
            (tmp_path / named[1]).write_text(text)
        elif language == "python":
            printed = run(text, tmp_path)
            assert printed == (expected if following == "text" else "")


def check_commands(text: str) -> None:
    """Run the commands of a block, and hold what they print to what follows them, if anything."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        program, *arguments = shlex.split(command)
        assert program == "tenure"
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, f"{command}\n{done.stderr}"
        if shown.strip():
            assert plain(done.stdout) == plain(shown)


def plain(text: str) -> list[list[str]]:
    """Return the words of each line that has any, without what depends on the present."""
    return [RELATIVE.sub("~", line).split() for line in text.splitlines() if line.strip()]
