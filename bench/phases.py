"""Carry out one phase of one system and return its records.

Called by the runner, one phase at a time. Every phase begins with an empty database or
directory, and ends with no process of the system left. `programs.py` starts and stops them.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import meter
from postgres import Cluster
from programs import PhaseError, Programs, figures_in
from systems import System

FIRST_START_WAIT_S = 60
SETTLE_S = 3.0
QUIET_SHARE = 0.3
MARK_BYTES = 16


class Bench:
    """Where systems are measured: their programs, and the database server if there is one."""

    def __init__(self, scratch: Path, cluster: Cluster | None, *, quiet_wait_s: float) -> None:
        self._programs = Programs(scratch, cluster)
        self._cluster = cluster
        self._quiet_wait_s = quiet_wait_s
        self._without_bulk: set[str] = set()

    def describe(self, system: System) -> dict[str, Any]:
        """Return versions and abilities, and make the environment on the first call."""
        self._programs.renew(system)
        described = self._programs.call(system, "describe")
        if not described["has_bulk"]:
            self._without_bulk.add(system.label)
        return described

    def measure(self, system: System, phase: str, size: int) -> list[dict[str, Any]]:
        """Carry out a phase from an empty store on; return one record or two."""
        self._programs.renew(system)
        if system.case:
            self._wait_until_quiet()
            return [{"phase": phase, **self._programs.call(system, system.case, size)}]
        self._programs.call(system, "setup")
        self._wait_until_quiet()
        match phase:
            case "enqueue_single":
                return [{"phase": phase, **self._programs.call(system, "enqueue", "single", size)}]
            case "drain" | "million":
                return self._drain(system, phase, size)
            case "latency":
                return [{"phase": phase, **self._latency(system, size)}]
            case "idle" | "idle_10_queues":
                queues = 10 if phase == "idle_10_queues" else 1
                return [{"phase": phase, **self._idle(system, size, queues=queues)}]
            case _:
                return [{"phase": phase, **self._programs.call(system, "extra", phase, size)}]

    def probe(self) -> dict[str, float]:
        return meter.probe(self._programs.scratch)

    def close(self) -> None:
        """Drop the marks, which lie outside of the scratch directory."""
        self._programs.marks.unlink(missing_ok=True)

    def _drain(self, system: System, phase: str, tasks: int) -> list[dict[str, Any]]:
        programs = self._programs
        mode = "single" if system.label in self._without_bulk else "bulk"
        fill = programs.call(system, "enqueue", mode, tasks)
        if system.suite == "postgres" and self._cluster:
            self._cluster.tidy_up()
        programs.marks.write_bytes(b"")
        self._wait_until_quiet()
        with (
            programs.watcher(system, tasks) as watcher,
            programs.worker(system, tasks=tasks) as worker,
        ):
            started = time.monotonic()
            self._wait_for_first_start(worker)
            startup_s = time.monotonic() - started
            first_mb = meter.memory_mb([worker.pid], "VmRSS")
            with meter.Window([worker.pid], programs.server(system)) as window:
                _wait_for(watcher, worker)
            memory = _memory(worker.pid, first_mb, tasks)
        figures = figures_in(watcher.stdout.read() if watcher.stdout else "")
        if figures is None:
            raise PhaseError(f"the drain did not finish, see {programs.log(system).name}")
        cpu = window.per_thousand(tasks)
        drained = {"phase": phase, "startup_s": startup_s, **figures, **cpu, **memory}
        return [{"phase": f"enqueue_{mode}", **fill}, drained] if phase == "drain" else [drained]

    def _latency(self, system: System, tasks: int) -> dict[str, Any]:
        with self._programs.worker(system) as worker:
            time.sleep(SETTLE_S)
            with meter.Window([worker.pid], self._programs.server(system)) as window:
                figures = self._programs.call(system, "latency", tasks)
        return {**figures, "foreign": window.foreign}

    def _idle(self, system: System, seconds: int, *, queues: int) -> dict[str, Any]:
        programs = self._programs
        with programs.worker(system, queues=queues) as worker:
            time.sleep(SETTLE_S)
            with meter.Window([worker.pid], programs.server(system)) as window:
                time.sleep(seconds)
            if worker.poll() is not None:
                raise PhaseError(f"the worker ended while idle, see {programs.log(system).name}")
            memory = meter.memory_mb([worker.pid], "VmHWM")
        server = window.server_cpu_s
        return {
            "seconds": window.seconds,
            "worker_percent": 100 * window.client_cpu_s / window.seconds,
            "server_percent": None if server is None else 100 * server / window.seconds,
            "peak_mb": memory,
            "foreign": window.foreign,
        }

    def _wait_until_quiet(self) -> None:
        meter.wait_until_quiet(share_max=QUIET_SHARE, wait_max_s=self._quiet_wait_s)

    def _wait_for_first_start(self, worker: subprocess.Popen[str]) -> None:
        end = time.monotonic() + FIRST_START_WAIT_S
        while self._programs.marks.stat().st_size < MARK_BYTES:
            if worker.poll() is not None or time.monotonic() > end:
                raise PhaseError(
                    f"no task started within {FIRST_START_WAIT_S} s, or the worker ended"
                )
            time.sleep(0.001)


def _wait_for(watcher: subprocess.Popen[str], worker: subprocess.Popen[str]) -> None:
    while watcher.poll() is None:
        if worker.poll() is not None:
            raise PhaseError("the worker ended before the queue was empty")
        time.sleep(0.01)


def _memory(pid: int, first_mb: float, tasks: int) -> dict[str, float]:
    grown_kb = (meter.memory_mb([pid], "VmRSS") - first_mb) * 1024
    return {"peak_mb": meter.memory_mb([pid], "VmHWM"), "grown_kb_per_1k": grown_kb * 1000 / tasks}
