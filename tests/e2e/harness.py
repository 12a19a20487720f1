"""Start real worker processes, harm them, and wait for what must come of it.

Called by the tests of this folder and by tests/examples. Processes are ended by the one who
started them: `Crew` kills what a test left over. Nothing sleeps for a fixed time; everything is
looked at again and again, up to a bound.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import psutil

from tests.e2e.ledger import Ledger

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
HANDLERS = f"{ROOT / 'tests/e2e/handlers.py'}:app"
LOOK_S = 0.03
START_S_MAX = 30.0

# Short enough that a test need not wait long for a dead worker's tasks.
HASTE = {
    "TENURE_WORKER__LEASE_S": "1",
    "TENURE_REAPER__EVERY_S": "0.1",
    "TENURE_REAPER__BACKOFF_S": "0",
    "TENURE_REAPER__BACKOFF_MAX_S": "0",
    "TENURE_REAPER__CRASHES_MAX": "1000",
    "TENURE_ELECTOR__LEASE_S": "1",
    "TENURE_CLAIMER__POLL_S": "0.1",
}


def seeded(seed: int) -> random.Random:
    """Return chance that comes out the same in the next run."""
    return random.Random(seed)


def until(condition: Callable[[], T], *, what: str, within_s: float = 30.0) -> T:
    """Return the condition's value as soon as it is true."""
    give_up_at = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < give_up_at, f"not within {within_s:g} s: {what}"
        time.sleep(LOOK_S)
    return value


def until_more_ended(ledger: Ledger, count: int, *, most: int) -> None:
    """Wait until so many more attempts have ended; *most* is how many there can be."""
    target = min(len(ledger.marks("end")) + count, most)
    until(lambda: len(ledger.marks("end")) >= target, what="the work goes on")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: ours, with these settings of Tenure's and no others."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    return ours | dict(settings)


class WorkerProcess:
    """One `tenure worker`, and the file that holds its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def says(self, text: str) -> int:
        """Return how many lines of its log hold a text."""
        return sum(text in line for line in self.log.read_text().splitlines())

    def kill(self) -> None:
        """End it by SIGKILL, also if it is frozen."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop it by SIGSTOP, between any two instructions, and see that it stands."""
        self._process.send_signal(signal.SIGSTOP)
        stands = psutil.Process(self.pid)
        until(lambda: stands.status() == psutil.STATUS_STOPPED, what="the worker stands still")

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Send SIGTERM: the first asks to drain, the second to hurry."""
        self._process.terminate()

    def exit_code(self, *, within_s: float = 30.0) -> int:
        """Wait for its end and return how it ended."""
        return self._process.wait(within_s)


class Crew:
    """The workers of one test, on one store."""

    def __init__(self, url: str, folder: Path, settings: Mapping[str, str] = HASTE) -> None:
        self.url = url
        self.workers: list[WorkerProcess] = []
        self._folder = folder
        self._settings = settings

    def start(
        self, *options: str, fault: str = "", app: str = HANDLERS, is_waited_for: bool = True
    ) -> WorkerProcess:
        """Start one more worker, and return when it works.

        *fault* names one of `tests.e2e.faults`, planted into this worker.
        """
        program = ["tests.e2e.faults", fault] if fault else ["tenure.cli"]
        log = self._folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as lines:
            process = subprocess.Popen(
                [sys.executable, "-m", *program, "worker", app, *options],
                cwd=ROOT,
                env=environment({**self._settings, "TENURE_URL": self.url}),
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                process_group=0,
            )
        worker = WorkerProcess(process, log)
        self.workers.append(worker)
        if is_waited_for:
            self.see_started(worker)
        return worker

    def see_started(self, worker: WorkerProcess) -> WorkerProcess:
        """Wait until a worker works."""
        until(
            lambda: worker.says("worker started") or not worker.is_alive,
            what="the worker starts",
            within_s=START_S_MAX,
        )
        assert worker.is_alive, worker.log.read_text()
        return worker

    def start_many(self, count: int, *options: str) -> list[WorkerProcess]:
        """Start workers at the same time."""
        started = [self.start(*options, is_waited_for=False) for _ in range(count)]
        return [self.see_started(worker) for worker in started]

    @property
    def alive(self) -> list[WorkerProcess]:
        """Those that have not ended, oldest first."""
        return [worker for worker in self.workers if worker.is_alive]

    def close(self) -> None:
        """End whatever still runs."""
        for worker in self.alive:
            worker.kill()
