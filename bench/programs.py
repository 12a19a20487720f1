"""Start and stop the programs of a measurement: adapters, raw limits, workers, watchers.

Called by `phases.py`. Owns the scratch directory's logs and data and the marks. Each program
runs in its system's own environment and in a process group of its own, so that it can be ended
with all its children.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import venvs
from postgres import Cluster
from systems import System

HERE = Path(__file__).resolve().parent
CALL_WAIT_S = 1500
STOP_WAIT_S = 5


class PhaseError(Exception):
    """A system could not be measured; the text says why and where its log is."""


class Programs:
    """What runs, or ran, for one system after the other."""

    def __init__(self, scratch: Path, cluster: Cluster | None) -> None:
        self.scratch = scratch
        memory = Path("/dev/shm")
        self.marks = (memory if memory.is_dir() else scratch) / f"{scratch.name}.marks"
        self._cluster = cluster

    def renew(self, system: System) -> None:
        """Forget all data: an empty directory, an empty database, no marks."""
        shutil.rmtree(self.scratch / "data", ignore_errors=True)
        (self.scratch / "data").mkdir()
        self.marks.write_bytes(b"")
        if self._cluster and system.suite == "postgres":
            self._cluster.renew_database()

    def server(self, system: System) -> int | None:
        """Return the process id of the database server that the system uses, if it has one."""
        return self._cluster.pid if self._cluster and system.suite == "postgres" else None

    def log(self, system: System) -> Path:
        """Return the file to which the system's programs write."""
        return self.scratch / "logs" / f"{system.program}.log"

    def call(self, system: System, *arguments: object) -> dict[str, Any]:
        """Carry out one command of an adapter to its end and return its figures."""
        program = self._start(system, *arguments)
        try:
            output, _ = program.communicate(timeout=CALL_WAIT_S)
        except subprocess.TimeoutExpired:
            raise PhaseError(f"{arguments[0]} took more than {CALL_WAIT_S} s") from None
        finally:
            stop(program)
        if program.returncode:
            raise PhaseError(f"{arguments[0]} failed: {_last_line(self.log(system))}")
        return figures_in(output) or {}

    @contextlib.contextmanager
    def worker(
        self, system: System, *, tasks: int = 0, queues: int = 1
    ) -> Iterator[subprocess.Popen[str]]:
        """Run the system's worker for as long as the block lasts."""
        worker = self._start(system, "worker", tasks=tasks, queues=queues)
        try:
            yield worker
        finally:
            stop(worker)

    @contextlib.contextmanager
    def watcher(self, system: System, tasks: int) -> Iterator[subprocess.Popen[str]]:
        """Start the process that notices the end of a drain, and wait until it is watching."""
        watcher = self._start(system, "drain", tasks, tasks=tasks)
        try:
            assert watcher.stdout is not None
            while (line := watcher.stdout.readline()) != "READY\n":
                if not line:
                    raise PhaseError(f"no watcher: {_last_line(self.log(system))}")
            yield watcher
        finally:
            stop(watcher)

    def _start(
        self, system: System, *arguments: object, tasks: int = 0, queues: int = 1
    ) -> subprocess.Popen[str]:
        with self.log(system).open("ab") as log:
            return subprocess.Popen(
                _command(system, *arguments),
                env=self._environment(system, tasks=tasks, queues=queues),
                cwd=self.scratch / "data",
                stdout=log if arguments[0] == "worker" else subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def _environment(self, system: System, *, tasks: int, queues: int) -> dict[str, str]:
        return environment(system.venv) | {
            "BENCH_DATA": str(self.scratch / "data"),
            "BENCH_MARKS": str(self.marks),
            "BENCH_VARIANT": system.variant,
            "BENCH_CONCURRENCY": str(system.concurrency),
            "BENCH_TASKS": str(tasks),
            "BENCH_QUEUES": str(queues),
            "BENCH_POSTGRES_URL": self._cluster.url() if self._cluster else "",
            "BENCH_SERVER_PID": str(self.server(system) or 0),
            "BENCH_RUNNER_PID": str(os.getpid()),
        }


def environment(venv: str) -> dict[str, str]:
    """Return the variables under which a program of this directory runs in an environment.

    Settings of Tenure that the caller happens to have are left out: defaults are measured.
    """
    place = venvs.environment(venv)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
    return kept | {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{HERE}:{HERE / 'peers'}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def figures_in(output: str) -> dict[str, Any] | None:
    """Return the figures that a program reported last, if it did."""
    lines = [line for line in output.splitlines() if line.startswith("BENCH ")]
    return json.loads(lines[-1].removeprefix("BENCH ")) if lines else None


def stop(program: subprocess.Popen[str]) -> None:
    """End a program and its children: politely at first, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(STOP_WAIT_S)


def _command(system: System, *arguments: object) -> list[str]:
    python = str(venvs.environment(system.venv) / "bin" / "python")
    if system.program.startswith("raw_"):
        return [python, str(HERE / f"{system.program}.py"), *map(str, arguments)]
    return [python, str(HERE / "call_peer.py"), system.program, *map(str, arguments)]


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"{lines[-1]} (see {log.name})" if lines else f"see {log.name}"
