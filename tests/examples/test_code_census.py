"""The example that counts code: killed, interrupted, on both stores, and right all the same."""

from __future__ import annotations

import signal
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw
import msgspec
import psutil
import psycopg
import pytest

import tenure
from examples.code_census.measure import Measurement, Ranking, measure, rank
from tests.e2e import audit
from tests.e2e.harness import ROOT, environment, seeded, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SEED = 20_260_104
KILLS = 4  # a file may crash its worker five times before it is given up
PROGRAM = ROOT / "examples/code_census/run.py"
STDLIB = Path(sysconfig.get_path("stdlib"))
FILES = sorted(
    path.relative_to(STDLIB).as_posix()
    for path in STDLIB.rglob("*.py")
    if "site-packages" not in path.parts
)
MEASURED = "SELECT COUNT(*) FROM task WHERE kind = 'measure_file' AND state = 'completed'"
RANKING = "SELECT id FROM task WHERE kind = 'rank_files'"


@pytest.fixture(scope="module")
def measurements() -> list[Measurement]:
    """Every file of the library, measured here and now."""
    with warnings.catch_warnings():
        # As an error, a warning about what a file holds would be taken for a fault of the file.
        warnings.simplefilter("ignore")
        return [measure(STDLIB, file) for file in FILES]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("store", "count"), [("sqlite", len(FILES)), ("postgres", 300)])
def test_killed_workers_neither_lose_nor_repeat_a_file(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    measurements: list[Measurement],
    store: str,
    count: int,
) -> None:
    url = f"sqlite:///{tmp_path / 'census.db'}"
    if store == "postgres":
        url = request.getfixturevalue("postgres_dsn")
    rng = seeded(SEED)

    with _census(url, tmp_path, "--workers", "3", "--limit", str(count)) as census:
        for number in range(KILLS):
            moment = count * number // KILLS + rng.randint(1, count // KILLS)
            until(lambda: _measured(url) >= moment, what="files are measured", within_s=60)  # noqa: B023 - it is called in this turn of the loop only
            rng.choice(until(lambda: _workers(census), what="a worker lives")).kill()
        assert census.wait(60) == 0, (tmp_path / "said").read_text()

    assert _stored_ranking(url) == rank(measurements[:count])
    assert audit.states(url) == {"completed": count + 1}
    assert audit.findings(url) == []
    assert audit.events(url)["expire"] > 0
    assert f"{count:,} files measured" in (tmp_path / "said").read_text()


def test_a_census_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'census.db'}"
    options = ("--workers", "2", "--limit", "400")

    with _census(url, tmp_path, *options) as census:
        until(lambda: _measured(url) >= 20, what="files are measured")
        workers = _workers(census)
        census.send_signal(signal.SIGINT)
        status = census.wait(30)
    said = (tmp_path / "said").read_text()
    before = _measured(url)

    assert status == 130
    assert f"--url {url} --limit 400" in said
    assert not any(worker.is_running() for worker in workers)
    assert 20 <= before < 400
    assert _census_says(url, tmp_path, *options).count(f"{400 - before:,} files measured in") == 1
    assert "\n0 files measured in" in _census_says(url, tmp_path, *options)
    assert audit.findings(url) == []
    assert audit.states(url) == {"completed": 401}


def test_a_file_that_cannot_be_read_is_counted_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "broken.py").write_text("def half(:\n")
    (tmp_path / "null.py").write_bytes(b"x = 1\0\n")

    faults = {
        file: measure(tmp_path, file).fault.partition(":")[0]
        for file in ("bytes.py", "broken.py", "null.py", "missing.py")
    }

    assert faults.pop("null.py") in ("SyntaxError", "ValueError")  # by the version of Python
    assert faults == {
        "bytes.py": "SyntaxError",
        "broken.py": "SyntaxError",
        "missing.py": "FileNotFoundError",
    }


def test_a_file_is_measured_as_a_reader_would(tmp_path: Path) -> None:
    (tmp_path / "sound.py").write_text(
        '"""A head."""\n'
        "import os.path, re\n"
        "from collections import abc\n"
        "from . import sibling\n"
        "class Told:\n"
        '    """It says."""\n'
        "    async def long(self):\n"
        "        import json\n"
        "        return json\n"
        "def short(): pass\n"
    )

    found = measure(tmp_path, "sound.py")

    assert (found.lines, found.functions, found.definitions, found.documented) == (10, 2, 4, 2)
    assert found.imports == ("collections", "json", "os", "re")
    assert found.longest is not None
    assert (found.longest.name, found.longest.line, found.longest.lines) == ("long", 7, 3)


@contextmanager
def _census(url: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "said").open("wb") as said:
        census = subprocess.Popen(
            [sys.executable, str(PROGRAM), "--url", url, *options],
            cwd=folder,
            env=environment({"COLUMNS": "200"}),
            stdout=said,
            stderr=said,
        )
    try:
        yield census
    finally:
        if census.poll() is None:
            census.send_signal(signal.SIGINT)
            census.wait(30)


def _census_says(url: str, folder: Path, *options: str) -> str:
    with _census(url, folder, *options) as census:
        assert census.wait(60) == 0, (folder / "said").read_text()
    return (folder / "said").read_text()


def _workers(census: subprocess.Popen[bytes]) -> Sequence[psutil.Process]:
    """Return the worker processes, which their parent starts anew when they die."""
    descendants = psutil.Process(census.pid).children(recursive=True)
    return [each for each in descendants if "--watch-stdin" in _command(each)]


def _command(process: psutil.Process) -> Sequence[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return ()


def _measured(url: str) -> int:
    """Return how many files are measured; none, while there are no tables yet."""
    with suppress(apsw.SQLError, psycopg.errors.UndefinedTable):
        return int(audit.ask(url, MEASURED)[0][0])
    return 0


def _stored_ranking(url: str) -> Ranking:
    with tenure.Client(url) as client:
        return msgspec.json.decode(client.result(audit.ask(url, RANKING)[0][0]), type=Ranking)
