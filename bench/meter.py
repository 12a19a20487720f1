"""Read what the machine was doing: CPU and memory of process trees, load of others, two probes.

Used by the runner, the adapters and the raw limits, each in its own environment, so it needs
nothing but the standard library and Linux's /proc.

The machine is rarely ours alone. Every figure therefore carries `foreign`, the share of all
cores that processes outside the benchmark used while it was taken.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
FSYNC_PROBES = 30


def process_table() -> dict[int, tuple[int, int]]:
    """Return parent and CPU ticks (its own and those of its reaped children) by process id."""
    table = {}
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            text = (place / "stat").read_text()
        except OSError:
            continue
        fields = text[text.rindex(")") + 2 :].split()
        table[int(place.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    return table


def tree(roots: list[int], table: dict[int, tuple[int, int]] | None = None) -> set[int]:
    """Return the ids of *roots* that are alive and of everything below them."""
    table = table or process_table()
    found = {root for root in roots if root in table}
    grew = True
    while grew:
        below = {pid for pid, (parent, _) in table.items() if parent in found} - found
        found |= below
        grew = bool(below)
    return found


def cpu_s(roots: list[int]) -> float:
    """Return the CPU seconds that the trees under *roots* have used so far."""
    table = process_table()
    return sum(table[pid][1] for pid in tree(roots, table)) / TICKS_PER_S


def memory_mb(roots: list[int], field: str) -> float:
    """Return the sum of a memory *field* of /proc/PID/status (VmRSS, VmHWM) over the trees."""
    total_kb = 0
    for pid in tree(roots):
        try:
            lines = Path("/proc", str(pid), "status").read_text().splitlines()
        except OSError:
            continue
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith(field + ":"))
    return total_kb / 1024


def busy_s() -> float:
    """Return the CPU seconds that the whole machine has spent working since it started."""
    first = Path("/proc/stat").read_text().splitlines()[0]
    ticks = list(map(int, first.split()[1:9]))
    idle, waiting_for_disk = ticks[3], ticks[4]
    return (sum(ticks) - idle - waiting_for_disk) / TICKS_PER_S


class Window:
    """Measure a stretch of time: seconds, CPU of the client and of the server, load of others.

    *clients* are the roots whose CPU counts as the client's; *server* is the database server
    or None. Everything below the runner (`BENCH_RUNNER_PID`) counts as ours.
    """

    def __init__(self, clients: list[int], server: int | None) -> None:
        self._clients = clients
        self._server = [server] if server else []
        self._ours = [int(os.environ.get("BENCH_RUNNER_PID", os.getpid())), *self._server]
        self.seconds = self.client_cpu_s = self.foreign = 0.0
        self.server_cpu_s: float | None = None

    def __enter__(self) -> Self:
        self._start = self._read()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end = self._read()
        spent = [after - before for before, after in zip(self._start, end, strict=True)]
        self.seconds, self.client_cpu_s, server_cpu_s, ours_s, machine_s = spent
        self.server_cpu_s = server_cpu_s if self._server else None
        capacity_s = (os.cpu_count() or 1) * self.seconds
        self.foreign = round(max(0.0, machine_s - ours_s) / capacity_s, 2)

    def _read(self) -> tuple[float, ...]:
        client = own_cpu_s() if self._clients == [os.getpid()] else cpu_s(self._clients)
        return (time.perf_counter(), client, cpu_s(self._server), cpu_s(self._ours), busy_s())

    def per_thousand(self, tasks: int) -> dict[str, float | None]:
        """Return the CPU seconds per 1,000 tasks, and the load of others, as fields of a record."""
        server = self.server_cpu_s
        return {
            "client_cpu_s_per_1k": self.client_cpu_s * 1000 / tasks,
            "server_cpu_s_per_1k": None if server is None else server * 1000 / tasks,
            "foreign": self.foreign,
        }


def own_cpu_s() -> float:
    """Return the CPU seconds of this very process, finer than /proc has them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def wait_until_quiet(*, share_max: float, wait_max_s: float) -> None:
    """Return when others use less than *share_max* of the machine, at the latest after a while."""
    end = time.monotonic() + wait_max_s
    cores = os.cpu_count() or 1
    while time.monotonic() < end:
        before, started = busy_s(), time.monotonic()
        time.sleep(0.5)
        if (busy_s() - before) / (cores * (time.monotonic() - started)) < share_max:
            return


def probe(directory: Path) -> dict[str, float]:
    """Time a fixed Python loop and a durable write, so that slow moments can be recognised."""
    started = time.perf_counter()
    total = 0
    for number in range(300_000):
        total += number
    loop_ms = (time.perf_counter() - started) * 1e3
    with tempfile.TemporaryFile(dir=directory) as file:
        times_us = sorted(_fsync_us(file.fileno()) for _ in range(FSYNC_PROBES))
    return {
        "probe_loop_ms": round(loop_ms, 1),
        "probe_fsync_us": round(times_us[len(times_us) // 2]),
        "load_1m": os.getloadavg()[0],
    }


def _fsync_us(descriptor: int) -> float:
    started = time.perf_counter()
    os.write(descriptor, b"x" * 4096)
    os.fsync(descriptor)
    return (time.perf_counter() - started) * 1e6
