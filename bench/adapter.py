"""What a peer adapter offers, and the commands that the runner gives it.

An adapter is one file `peers/peer_<name>.py` with a class `Adapter(Peer)`. The runner starts it
in the peer's own environment through `call_peer.py`, so this file needs the standard library
only. A command prints one line that begins with `BENCH` and holds its figures as JSON.

Every handler calls `mark(number)` first: one appending write of (CLOCK_MONOTONIC in ns, number).
That clock is one for the whole machine, so stamps of different processes can be compared.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import struct
import sys
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import meter

DATA = Path(os.environ.get("BENCH_DATA", "."))
MARKS = Path(os.environ.get("BENCH_MARKS", "bench.marks"))
VARIANT = os.environ.get("BENCH_VARIANT", "")
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "0"))
TASKS = int(os.environ.get("BENCH_TASKS", "0"))
QUEUES = int(os.environ.get("BENCH_QUEUES", "1"))
POSTGRES_URL = os.environ.get("BENCH_POSTGRES_URL", "")
SERVER_PID = int(os.environ.get("BENCH_SERVER_PID", "0")) or None

RECORD = struct.Struct("<qq")
BULK_ROWS = 1000
WARM_UP = 3
START_WAIT_S = 30
DRAIN_WAIT_S = 900
SETTLE_WAIT_S = 120

_descriptor: int | None = None


class Peer:
    """One system. With `is_async`, all but worker, durability and extras may be coroutines."""

    packages: tuple[str, ...] = ()
    is_async = False
    has_bulk = True

    def setup(self) -> Any:
        """Create the schema. The database or the data directory is new and empty."""

    def open(self) -> Any:
        """Connect as a producer."""

    def close(self) -> Any:
        """Undo `open`."""

    def enqueue(self, number: int) -> Any:
        """Enqueue one task; return when it is stored."""
        raise NotImplementedError

    def enqueue_bulk(self, numbers: Iterable[int]) -> Any:
        """Enqueue many tasks in the best way the system documents."""
        raise NotImplementedError

    def pending(self) -> Any:
        """Return how many tasks have not been settled."""
        raise NotImplementedError

    def worker(self) -> None:
        """Become the system's worker, until a signal."""
        raise NotImplementedError

    def durability(self) -> str:
        """Say in a few words when a stored task survives a power cut."""
        return "PostgreSQL defaults"

    def extras(self) -> dict[str, Callable[[int], Any]]:
        """Return measurements that only this system has, by the name of the phase."""
        return {}


def mark(number: int = 0) -> None:
    """Record that a handler started. Called by the handler."""
    global _descriptor
    now_ns = time.monotonic_ns()
    if _descriptor is None:
        _descriptor = os.open(MARKS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(_descriptor, RECORD.pack(now_ns, number))


def mark_count() -> int:
    """Return how many handlers have started since the marks were dropped."""
    try:
        return MARKS.stat().st_size // RECORD.size
    except FileNotFoundError:
        return 0


def marks() -> list[tuple[int, int]]:
    """Return all marks as (time in ns, number)."""
    return list(RECORD.iter_unpack(MARKS.read_bytes()))


def drop_marks() -> None:
    """Forget all marks. Writers append, so this is safe while they run."""
    os.truncate(MARKS, 0)


def report(**figures: Any) -> None:
    """Print the figures for the runner."""
    print("BENCH " + json.dumps(figures), flush=True)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which *share* of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main(peer: Peer, arguments: list[str]) -> None:
    """Carry out one command of the runner."""
    command, *rest = arguments
    if command == "worker":
        peer.worker()
    elif command == "describe":
        describe(peer)
    elif command == "setup":
        outcome = peer.setup()
        if asyncio.iscoroutine(outcome):
            asyncio.run(outcome)
    else:
        Driver(peer).carry_out(command, rest)


def describe(peer: Peer) -> None:
    """Report the versions and what the system can do."""
    report(
        has_bulk=peer.has_bulk,
        durability=peer.durability(),
        packages={name: metadata.version(name) for name in peer.packages},
        python=sys.version.split()[0],
    )


class Driver:
    """The producer's and watcher's side of a measurement, for sync and async peers alike."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._runner = asyncio.Runner(loop_factory=_loop_factory()) if peer.is_async else None

    def carry_out(self, command: str, arguments: list[str]) -> None:
        self._wait(self._peer.open())
        try:
            match command:
                case "enqueue":
                    self.enqueue(arguments[0], int(arguments[1]))
                case "drain":
                    self.drain(int(arguments[0]))
                case "latency":
                    self.latency(int(arguments[0]))
                case "extra":
                    report(**self._wait(self._peer.extras()[arguments[0]](int(arguments[1]))))
                case _:
                    raise SystemExit(f"unknown command {command!r}")
        finally:
            self._wait(self._peer.close())
            if self._runner:
                self._runner.close()

    def enqueue(self, mode: str, tasks: int) -> None:
        """Report the rate of a producer that awaits each task, or hands over all of them."""
        with meter.Window([os.getpid()], SERVER_PID) as window:
            if mode == "bulk":
                self._wait(self._peer.enqueue_bulk(range(tasks)))
            elif self._peer.is_async:
                self._wait(self._enqueue_each(tasks))
            else:
                for number in range(tasks):
                    self._peer.enqueue(number)
        figures = window.per_thousand(tasks)
        report(tasks=tasks, seconds=window.seconds, rate=tasks / window.seconds, **figures)

    def drain(self, tasks: int) -> None:
        """Report the rate from the first start to the moment when the store has settled all."""
        print("READY", flush=True)
        end = time.monotonic() + DRAIN_WAIT_S
        while mark_count() < tasks and time.monotonic() < end:
            time.sleep(0.002)
        end = time.monotonic() + SETTLE_WAIT_S
        while (pending := self._wait(self._peer.pending())) > 0 and time.monotonic() < end:
            time.sleep(0.004)
        settled_ns = time.monotonic_ns()
        _report_drain(tasks, pending, settled_ns)

    def latency(self, tasks: int) -> None:
        """Report how long single tasks take from before the enqueue to the handler's start."""
        for turn in range(tasks + WARM_UP):
            if turn == WARM_UP:
                drop_marks()
            before = mark_count()
            self._wait(self._peer.enqueue(time.monotonic_ns()))
            end = time.monotonic() + START_WAIT_S
            while mark_count() <= before and time.monotonic() < end:
                time.sleep(0.0005)
            # An uneven pause, so that the enqueues do not fall into step with a poll.
            time.sleep(random.uniform(0.02, 0.06))
        report(**latency_figures(tasks))

    async def _enqueue_each(self, tasks: int) -> None:
        for number in range(tasks):
            await self._peer.enqueue(number)

    def _wait(self, outcome: Any) -> Any:
        return (
            self._runner.run(outcome) if self._runner and asyncio.iscoroutine(outcome) else outcome
        )


def latency_figures(tasks: int) -> dict[str, float]:
    """Return the percentiles of start minus enqueue, from marks whose number is the enqueue."""
    late_ms = [(start_ns - enqueue_ns) / 1e6 for start_ns, enqueue_ns in marks()]
    if len(late_ms) < tasks:
        raise SystemExit(f"only {len(late_ms)} of {tasks} tasks started within {START_WAIT_S} s")
    return {
        "tasks": tasks,
        "p50_ms": percentile(late_ms, 0.5),
        "p95_ms": percentile(late_ms, 0.95),
        "p99_ms": percentile(late_ms, 0.99),
        "max_ms": max(late_ms),
    }


def _report_drain(tasks: int, pending: int, settled_ns: int) -> None:
    stamps = sorted(stamp for stamp, _ in marks())
    if len(stamps) < tasks or pending:
        raise SystemExit(f"{len(stamps)} of {tasks} tasks started, {pending} are still unsettled")
    seconds = (settled_ns - stamps[0]) / 1e9
    steady_s = (settled_ns - stamps[tasks // 10]) / 1e9
    report(
        tasks=tasks,
        started=len(stamps),
        started_twice=len(stamps) - len({number for _, number in marks()}),
        seconds=seconds,
        rate=tasks / seconds,
        rate_steady=0.9 * tasks / steady_s,
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
