"""The disk is full, and then it is not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tenure
from tests.e2e import audit, handlers
from tests.e2e.harness import Crew, until
from tests.e2e.ledger import Ledger

pytestmark = pytest.mark.e2e


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("only root, where it may mount, can make a disk small enough to fill")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_told_and_nothing_is_half_written(
    small_disk: Path, crew_for: Callable[[str], Crew], ledger: Ledger, tmp_path: Path
) -> None:
    crew = crew_for(f"sqlite:///{small_disk / 'tenure.db'}")
    ballast, gate = small_disk / "ballast", tmp_path / "gate"
    with tenure.Client(crew.url) as client:
        held = client.enqueue(handlers.in_thread, str(ledger.path), 0, str(gate))
        worker = crew.start("--lease", "3600")
        until(lambda: ledger.marks("begin"), what="the task runs")

        _fill(ballast)
        accepted, told = _enqueue_until_refused(client, ledger)
        gate.with_suffix(".1").touch()
        until(lambda: worker.says("disk is full"), what="the worker tells of it")
        stored = sum(audit.states(crew.url).values())
        ballast.unlink()
        mark = held.result(timeout=30)
        late = client.enqueue(handlers.in_coroutine, str(ledger.path)).id

    assert "disk is full" in told
    assert (mark.attempt, worker.is_alive) == (1, True)
    assert stored == 1 + accepted
    assert audit.findings(crew.url) == []
    until(lambda: ledger.marks("end", late), what="work goes on")


def _enqueue_until_refused(client: tenure.Client, ledger: Ledger) -> tuple[int, str]:
    """Use up the room inside of the files. Return how many were stored, and the refusal."""
    for accepted in range(10_000):
        try:
            client.enqueue(handlers.in_coroutine, str(ledger.path), 0, "x" * 3_000)
        except tenure.StoreDownError as error:
            return accepted, str(error)
    raise AssertionError("the disk was never full")


def _fill(ballast: Path) -> None:
    """Leave not a page free."""
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (65_536, 4_096, 512):
            _write_until_full(file, size)
    finally:
        os.close(file)


def _write_until_full(file: int, size: int) -> None:
    try:
        while os.write(file, b"\0" * size):
            pass
    except OSError:
        return
