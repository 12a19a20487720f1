"""Two type checkers over small programs: some that must pass, and some that must be refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(
    path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith(("test_", "__"))
)

CLIENTS = """
import asyncpg, psycopg
from tenure import AsyncClient, Client, Handle

def given() -> Any: ...
client: Client = given()
other: AsyncClient = given()
plain: psycopg.Connection[Any] = given()
native: asyncpg.Connection[asyncpg.Record] = given()
"""
HEAD = (Path(__file__).parent / "handlers.py").read_text() + CLIENTS

# What is wrong, what mypy calls it, and what pyright does.
REFUSED = [
    ('client.enqueue(mine, "one")', "arg-type", "reportArgumentType"),
    ("client.enqueue(mine)", "call-arg", "reportCallIssue"),
    ("client.enqueue(mine, 1, 2)", "call-arg", "reportCallIssue"),
    ("client.enqueue(mine, m=1)", "call-arg", "reportCallIssue"),
    ("client.enqueue(count, 'a', 5)", "call-arg", "reportCallIssue"),
    ("client.enqueue(count, 'a', limit='b')", "arg-type", "reportArgumentType"),
    ("client.enqueue(fetch)", "call-arg", "reportCallIssue"),
    ("client.enqueue(fetch, 5)", "arg-type", "reportArgumentType"),
    ("client.enqueue(send, 'a', size='b')", "arg-type", "reportArgumentType"),
    ("client.enqueue(send.options(delay=1), 5)", "arg-type", "reportArgumentType"),
    ("client.enqueue(len, [])", "arg-type", "reportArgumentType"),
    ("client.enqueue(mine.call(1))", "arg-type", "reportArgumentType"),
    ("mine.call('a')", "arg-type", "reportArgumentType"),
    ("mine.options(cost=2).call()", "call-arg", "reportCallIssue"),
    ("mine.options(delay='5 s')", "arg-type", "reportArgumentType"),
    ("mine.options(unique=False)", "arg-type", "reportArgumentType"),
    ("mine.options(prioritty=1)", "call-arg", "reportCallIssue"),
    ("mine('a')", "arg-type", "reportArgumentType"),
    ("client.enqueue_many([mine])", "list-item|arg-type", "reportArgumentType"),
    ("wrong: Handle[str] = client.enqueue(mine, 1)", "arg-type|assignment", "reportA.*"),
    ("number: str = client.enqueue(mine, 1).result()", "assignment", "reportAssignmentType"),
    ("tenure.task(runtime='gpu')", "call-overload", "reportCallIssue|reportArgumentType"),
    ("tenure.task(queue=5)", "call-overload", "reportCallIssue|reportArgumentType"),
    ("client.within(native)", "arg-type", "reportArgumentType"),
    ("other.within(plain)", "arg-type", "reportArgumentType"),
    ("tenure.enqueue_on(native, mine.call(1))", "arg-type", "reportArgumentType"),
    ("tenure.enqueue_on(plain, mine)", "arg-type", "reportArgumentType"),
    ("tenure.every(5)", "arg-type", "reportArgumentType"),
    ("tenure.every('5m', overlap='never')", "arg-type", "reportArgumentType"),
    ("tenure.every('5m', overlaps='skip')", "call-arg", "reportCallIssue"),
    ("tenure.cron('* * * * *', drift='delay')", "call-arg", "reportCallIssue"),
    ("tenure.once('2030-01-01')", "arg-type", "reportArgumentType"),
    ("client.schedules.create('a', '5m', mine.call(1))", "arg-type", "reportArgumentType"),
    ("client.schedules.create('a', tenure.every('5m'), mine)", "arg-type", "reportArgumentType"),
    ("due: int = client.schedules.get('a')", "assignment", "reportAssignmentType"),
    ("tenure.Next(when='5m')", "arg-type", "reportArgumentType"),
]


def mypy(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--no-error-summary", *map(str, paths)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def pyright(*paths: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    return subprocess.run(
        [*command, *map(str, paths)], cwd=folder, capture_output=True, text=True, check=False
    )


def test_mypy_passes_the_programs() -> None:
    checked = mypy(*PROGRAMS)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_pyright_passes_the_programs() -> None:
    checked = pyright(*PROGRAMS, folder=ROOT)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a wrong statement on each of its last lines."""
    path = tmp_path_factory.mktemp("typing") / "refused.py"
    path.write_text(HEAD + "\n".join(statement for statement, _, _ in REFUSED) + "\n")
    return path


def expected(column: int) -> dict[int, tuple[str, str]]:
    """Return for each line the statement and what it must be called."""
    first = len(HEAD.splitlines()) + 1
    return {first + at: (case[0], case[column]) for at, case in enumerate(REFUSED)}


def compare(found: dict[int, set[str]], wanted: dict[int, tuple[str, str]]) -> None:
    missed = {
        statement: sorted(found.get(line, ()))
        for line, (statement, name) in wanted.items()
        if not any(re.fullmatch(name, each) for each in found.get(line, ()))
    }
    assert not missed
    assert set(found) == set(wanted)


def test_mypy_refuses_what_is_wrong(refused: Path) -> None:
    checked = mypy(refused)

    found: dict[int, set[str]] = {}
    for line, name in re.findall(r":(\d+):\d+: error: .*\[([\w-]+)\]$", checked.stdout, re.M):
        found.setdefault(int(line), set()).add(name)
    compare(found, expected(1))


def test_pyright_refuses_what_is_wrong(refused: Path) -> None:
    # Outside of the project, so that no setting of ours makes it stricter than a user's is.
    checked = pyright(refused, folder=refused.parent)

    found: dict[int, set[str]] = {}
    for told in json.loads(checked.stdout)["generalDiagnostics"]:
        line = told["range"]["start"]["line"] + 1
        found.setdefault(line, set()).add(told.get("rule", ""))
    compare(found, expected(2))
