"""Measure Tenure, its peers and the databases' own limits, all on this machine in one go.

    python bench/run.py --suite sqlite,postgres --reps 3 --out results.jsonl

Systems take turns: every round goes through the phases, and in each phase through all systems,
so that a slow minute of the machine hits all of them and ratios can be taken within a round.
Each figure is appended to the file at once. Standard library only; each peer has its own
environment. Exits with 1 if anything could not be measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import summarize
from phases import Bench
from postgres import Cluster
from programs import PhaseError
from systems import ONCE, PHASES, SUITES, SYSTEMS, System

SIZE_MIN = 5
# Below these, percentiles and ticks of CPU say nothing.
SIZES_MIN = {"latency": 30, "latency_local": 30, "idle": 5, "idle_10_queues": 5}
QUICK = {"scale": 0.1, "reps": 1, "quiet_s": 0.0}


def main() -> int:
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = Out(options.out)
    with scratch_directory() as scratch, cluster_for(options.suite, scratch) as cluster:
        out.write(kind="machine", **machine(cluster))
        bench = Bench(scratch, cluster, quiet_wait_s=options.quiet_s)
        try:
            systems = describe_all(bench, chosen(options), out)
            for number in range(options.reps):
                measure_round(bench, systems, options, number, out)
        finally:
            bench.close()
        if out.failures:
            logs = options.out.with_suffix(".logs")
            shutil.copytree(scratch / "logs", logs, dirs_exist_ok=True)
            print(f"something failed; the logs are in {logs}", file=sys.stderr)
    print()
    summarize.print_tables(summarize.load(options.out))
    return 1 if out.failures else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=words, default=list(SUITES), help="sqlite,postgres")
    parser.add_argument("--reps", type=int, default=3, help="rounds")
    parser.add_argument("--out", type=Path, default=Path("results.jsonl"))
    parser.add_argument(
        "--systems", type=words, default=[], help="parts of labels: tenure,huey,raw"
    )
    parser.add_argument("--phases", type=words, default=[], help=",".join(PHASES))
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all sizes")
    parser.add_argument("--quiet-s", type=float, default=2, help="longest wait for a quiet machine")
    parser.add_argument("--quick", action="store_true", help="one small round, for a look")
    if "--quick" in sys.argv:
        parser.set_defaults(**QUICK)
    options = parser.parse_args()
    # A small drain says nothing about the memory that a million takes.
    small = {"million"} if options.scale < 1 else set()
    options.phases = options.phases or [phase for phase in PHASES if phase not in small]
    for given, known in ((options.suite, SUITES), (options.phases, PHASES)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return options


def words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",") if word.strip()]


class Out:
    """The file of results: one JSON object per line, written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._call = time.strftime("%Y%m%dT%H%M%S")
        self.failures = 0

    def write(self, *, kind: str, **fields: Any) -> None:
        self.failures += kind == "failure"
        record = {"kind": kind, "call": self._call, "at": round(time.time()), **fields}
        short = {name: tidy(value) for name, value in record.items()}
        with self._path.open("a") as file:
            file.write(json.dumps(short) + "\n")
        if kind != "machine":
            print(json.dumps({name: short[name] for name in list(short)[3:]}), flush=True)


def tidy(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def chosen(options: argparse.Namespace) -> list[System]:
    """Return the systems of the chosen suites whose label holds one of the chosen words."""
    return [
        system
        for system in SYSTEMS
        if system.suite in options.suite
        and (not options.systems or any(word in system.label.lower() for word in options.systems))
    ]


def describe_all(bench: Bench, systems: list[System], out: Out) -> list[System]:
    """Write down the versions of each system; return those that can be measured."""
    usable = []
    for system in systems:
        try:
            described = bench.describe(system)
        except (PhaseError, RuntimeError, OSError) as error:
            out.write(kind="failure", **names(system), phase="describe", error=str(error))
            continue
        usable.append(system)
        described["durability"] = described.get("durability") or raw_durability(system)
        out.write(kind="system", **names(system), **described)
    return usable


def raw_durability(system: System) -> str:
    if system.suite == "postgres":
        return "PostgreSQL defaults"
    return f"WAL, synchronous {system.case.split('/')[0]}"


def measure_round(
    bench: Bench, systems: list[System], options: argparse.Namespace, number: int, out: Out
) -> None:
    """Go through phases and systems once. Each round begins with another system."""
    start = number % len(systems) if systems else 0
    for phase in options.phases:
        if phase in ONCE and number > 0:
            continue
        for system in systems[start:] + systems[:start]:
            if size := system.sizes.get(phase):
                scaled = scaled_size(phase, size, options.scale)
                measure_one(bench, system, phase, scaled, number, out)


def scaled_size(phase: str, size: int, scale: float) -> int:
    """Return so many tasks, or seconds: whole batches of 1,000, so that raw cases come out even."""
    scaled = max(SIZES_MIN.get(phase, SIZE_MIN), int(size * scale))
    return scaled // 1000 * 1000 if scaled >= 1000 else scaled


def measure_one(bench: Bench, system: System, phase: str, size: int, number: int, out: Out) -> None:
    probes = bench.probe()
    try:
        records = bench.measure(system, phase, size)
    except (PhaseError, RuntimeError, OSError) as error:
        out.write(kind="failure", **names(system), phase=phase, round=number, error=str(error))
        return
    for record in records:
        out.write(
            kind="figure",
            **names(system),
            round=number,
            durable=system.is_durable,
            **record,
            **probes,
        )


def names(system: System) -> dict[str, str]:
    return {"suite": system.suite, "system": system.name, "variant": system.variant}


def machine(cluster: Cluster | None) -> dict[str, Any]:
    """Return what the figures depend on: processor, memory, kernel, database settings."""
    models = [line for line in read_lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((line for line in read_lines("/proc/meminfo") if "MemTotal" in line), "")
    return {
        "cpu": models[0].split(":", 1)[1].strip() if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory.split()[1]) / 2**20) if memory else None,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgres": cluster.settings() if cluster else None,
    }


def read_lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """Make a directory for data and logs; it must be on a real disk, or fsync costs nothing."""
    place = Path(tempfile.mkdtemp(prefix="tenure-bench-", dir=os.environ.get("BENCH_SCRATCH")))
    try:
        # The server may have to run as another user, who must be able to get to its directory.
        place.chmod(0o755)
        (place / "logs").mkdir()
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def cluster_for(suites: list[str], scratch: Path) -> Iterator[Cluster | None]:
    if "postgres" not in suites:
        yield None
        return
    cluster = Cluster(scratch / "postgres")
    try:
        cluster.open()
        yield cluster
    finally:
        cluster.close()


if __name__ == "__main__":
    sys.exit(main())
