"""What the tests of the command line share: stores, small applications, and ways to run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner, Result

from tenure import Client, Registry
from tenure.cli.main import main

PATIENCE_S = 30.0
LOOK_S = 0.02

# Handlers in a registry of their own: the one of @tenure.task is shared by all tests.
APPLICATION = """
    import tenure

    registry = tenure.Registry()

    @registry.task
    def add(a: int, b: int = 1) -> int:
        return a + b

    @registry.task(retry=tenure.RetryPolicy(attempts_max=1))
    def fail(text: str) -> None:
        raise ValueError(text)

    @registry.task(queue="mail")
    def send(to: str) -> str:
        return to
"""

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, and leave no setting and no module behind."""
    for name in os.environ:  # noqa: TID251 - emptied, not asked
        if name.startswith("TENURE_") and not name.startswith("TENURE_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def run() -> Run:
    """Run a command line in this process."""

    def runner(*arguments: str, **options: Any) -> Result:
        result = CliRunner().invoke(main, list(arguments), **options)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        assert "Traceback" not in result.stderr or "--debug" in arguments
        return result

    return runner


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store without tables, of each database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tenure.db"
    dsn: str = request.getfixturevalue("postgres_dsn")
    return dsn


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """A client of that store, which therefore has tables."""
    with Client(url) as opened:
        yield opened


@pytest.fixture
def kinds() -> Registry:
    """Handlers to enqueue with a client."""
    registry = Registry()

    @registry.task
    def add(a: int, b: int = 1) -> int:
        return a + b

    @registry.task(queue="mail")
    def send(to: str) -> str:
        return to

    return registry


def write(path: Path, text: str) -> Path:
    """Write an indented text, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture
def app(tmp_path: Path) -> str:
    """The command-line form of an application with a registry of its own."""
    name = f"app_{tmp_path.name}"
    write(tmp_path / f"{name}.py", APPLICATION)
    return f"{name}.py:registry"


def answer(result: Result) -> Any:
    """Return the JSON on standard output."""
    assert result.exit_code in (0, 1), result.stderr
    return json.loads(result.stdout)


def until(condition: Callable[[], Any], what: str) -> Any:
    """Return the first true answer; fail when patience is over."""
    give_up_at = time.monotonic() + PATIENCE_S  # noqa: TID251 - real processes are waited for
    while time.monotonic() < give_up_at:  # noqa: TID251 - as above
        found = condition()
        if found:
            return found
        time.sleep(LOOK_S)  # noqa: TID251 - as above
    raise AssertionError(f"not within {PATIENCE_S} s: {what}")


class Started:
    """A real process of the command line, and what it has said."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, log: IO[bytes]) -> None:
        self._log = Path(log.name)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tenure.cli", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    @property
    def said(self) -> str:
        """Everything on standard output and standard error so far."""
        return self._log.read_text()

    def says(self, text: str) -> None:
        """Wait until it has said something."""
        until(
            lambda: text in self.said or (self.process.poll() is not None and self.said),
            f"{text!r} in:\n{self.said}",
        )
        assert text in self.said, self.said

    def ends(self) -> int:
        """Wait for its end, and return its exit code."""
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start real processes; what is left of them is killed at the end."""
    started: list[Started] = []

    def starter(*arguments: str, folder: Path | None = None) -> Started:
        with (tmp_path / f"log-{len(started)}").open("wb") as log:
            started.append(Started(arguments, folder or Path.cwd(), log))
        return started[-1]

    yield starter
    for each in started:
        each.process.kill()
        each.process.wait()
