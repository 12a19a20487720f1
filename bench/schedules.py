"""Measure schedules: how late they fire, and what the next instant of a rule costs.

    python bench/schedules.py --suite sqlite,postgres --out schedules.jsonl

Lateness: 100,000 schedules with an interval of 100 s, spread evenly, so that 1,000 come due each
second, and one process that fires them. Tenure and its peers take turns. Next instants: typical
rules from 1990, asked about 2026, in one process for all libraries. The tables are printed again
with `schedule_tables.py`. Exits with 1 if anything could not be measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import meter
import schedule_tables
import summarize
import venvs
from postgres import Cluster
from programs import HERE, PhaseError, Programs, environment, figures_in
from run import Out, cluster_for, machine, names, scratch_directory, words
from schedule_scene import SECOND_US, Scene
from systems import SUITES, TENURE, System

PARTS = ("lateness", "next")
# From the last preparation to the first instant: for the worker to start and to look at all
# schedules once, and for peers that keep theirs in memory to make them.
LEAD_S = 5.0
LEAD_PER_S = 4_000
# What is due when the time is over may still come.
TAIL_S = 3.0
NEXT_WAIT_S = 1_800
QUICK = {"schedules": 12_000, "every_s": 12, "warm_s": 2.0, "seconds": 6.0, "next_s": 0.02}


def tenure_system(suite: str, *, scheduler_only: bool = False) -> System:
    return System(
        name=TENURE,
        variant=f"{suite}, scheduler only" if scheduler_only else suite,
        suite=suite,
        program="peer_tenure_schedules",
        venv="tenure",
        sizes={"share": 100},
    )


def peer(name: str, variant: str, program: str, percent: int) -> System:
    """Return a peer that is given so many in a hundred of Tenure's schedules."""
    return System(
        name=name,
        variant=variant,
        suite="peers",
        program=f"peer_{program}",
        venv=program,
        sizes={"share": percent},
    )


# Peers get as many as they can keep on time, and ten times as many if that is not all. A quick
# look is at the first row of each system and suite.
SYSTEMS = (
    tenure_system("sqlite"),
    tenure_system("sqlite", scheduler_only=True),
    tenure_system("postgres"),
    tenure_system("postgres", scheduler_only=True),
    peer("APScheduler", "in memory", "apscheduler", 100),
    peer("APScheduler", "in memory", "apscheduler", 10),
    peer("APScheduler", "SQLite", "apscheduler", 10),
    peer("APScheduler", "SQLite", "apscheduler", 1),
    peer("Celery beat", "Redis", "celery_beat", 10),
    peer("Celery beat", "Redis", "celery_beat", 1),
    peer("Celery beat", "in memory", "celery_beat", 10),
    peer("Celery beat", "in memory", "celery_beat", 1),
)


def main() -> int:
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = Out(options.out)
    systems = chosen(options) if "lateness" in options.parts else []
    suites = sorted({system.suite for system in systems})
    with scratch_directory() as scratch, cluster_for(suites, scratch) as cluster:
        out.write(kind="machine", **machine(cluster))
        if "next" in options.parts:
            measure_next(options, out)
        keeper = Keeper(scratch, cluster, options)
        try:
            systems = [system for system in systems if keeper.describe(system, out)]
            for number in range(options.reps):
                start = number % len(systems) if systems else 0
                for system in systems[start:] + systems[:start]:
                    keeper.measure(system, number, out)
        finally:
            keeper.close()
        if out.failures:
            logs = options.out.with_suffix(".logs")
            shutil.copytree(scratch / "logs", logs, dirs_exist_ok=True)
            print(f"something failed; the logs are in {logs}", file=sys.stderr)
    print()
    schedule_tables.print_tables(summarize.load(options.out))
    return 1 if out.failures else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=words, default=[*SUITES, "peers"])
    parser.add_argument("--parts", type=words, default=list(PARTS), help=",".join(PARTS))
    parser.add_argument(
        "--systems", type=words, default=[], help="parts of labels: tenure,scheduler only,celery"
    )
    parser.add_argument("--schedules", type=int, default=100_000, help="how many Tenure keeps")
    parser.add_argument("--every-s", type=int, default=100, help="their interval")
    parser.add_argument("--warm-s", type=float, default=10.0, help="before the time that counts")
    parser.add_argument("--seconds", type=float, default=60.0, help="the time that counts")
    parser.add_argument("--next-s", type=float, default=0.5, help="for each rule and library")
    parser.add_argument("--reps", type=int, default=1, help="rounds")
    parser.add_argument("--out", type=Path, default=Path("schedules.jsonl"))
    parser.add_argument("--quick", action="store_true", help="a small round, for a look")
    if "--quick" in sys.argv:
        parser.set_defaults(**QUICK)
    options = parser.parse_args()
    if options.warm_s + options.seconds + TAIL_S >= options.every_s:
        parser.error("--every-s must be longer than --warm-s, --seconds and a few seconds together")
    for given, known in ((options.suite, {*SUITES, "peers"}), (options.parts, {*PARTS})):
        if unknown := set(given) - known:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return options


def chosen(options: argparse.Namespace) -> list[System]:
    """Return the systems of the chosen suites whose label holds one of the chosen words."""
    systems = [system for system in SYSTEMS if system.suite in options.suite]
    if options.systems:
        return [
            system
            for system in systems
            if any(word in system.label.lower() for word in options.systems)
        ]
    if options.quick:
        first = {(system.name, system.suite): system for system in reversed(systems)}
        return [system for system in systems if system in first.values()]
    return systems


class Keeper:
    """Has one system after the other keep its schedules."""

    def __init__(self, scratch: Path, cluster: Cluster | None, options: argparse.Namespace) -> None:
        self._programs = Programs(scratch, cluster)
        self._cluster = cluster
        self._options = options
        self._described: dict[str, bool] = {}

    def describe(self, system: System, out: Out) -> bool:
        """Write down the versions of a system; return whether it can be measured."""
        if system.label not in self._described:
            self._described[system.label] = self._describe(system, out)
        return self._described[system.label]

    def measure(self, system: System, number: int, out: Out) -> None:
        """Measure a system from an empty store on, and write its figures down."""
        count = self._options.schedules * system.sizes["share"] // 100
        scene = Scene(count=count, every_s=self._options.every_s)
        probes = meter.probe(self._programs.scratch)
        try:
            figures = self._keep(system, scene)
        except (PhaseError, RuntimeError, OSError) as error:
            out.write(
                kind="failure", **names(system), phase="lateness", round=number, error=str(error)
            )
            return
        out.write(
            kind="lateness",
            **names(system),
            round=number,
            schedules=count,
            per_second=scene.per_second,
            **figures,
            **probes,
        )

    def close(self) -> None:
        """Drop the marks, which lie outside of the scratch directory."""
        self._programs.marks.unlink(missing_ok=True)

    def _describe(self, system: System, out: Out) -> bool:
        try:
            self._programs.renew(system)
            described = self._programs.call(system, "describe")
        except (PhaseError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            out.write(kind="failure", **names(system), phase="describe", error=str(error))
            return False
        out.write(kind="system", **names(system), **described)
        return True

    def _keep(self, system: System, scene: Scene) -> dict[str, Any]:
        programs = self._programs
        programs.renew(system)
        programs.call(system, "setup")
        scene.save(programs.scratch / "data")
        figures = programs.call(system, "extra", "make", scene.count)
        scene = self._starting(scene)
        scene.save(programs.scratch / "data")
        figures |= programs.call(system, "extra", "begin", scene.count)
        if system.suite == "postgres" and self._cluster:
            self._cluster.tidy_up()
        if time.time_ns() // 1000 > scene.begin_us - SECOND_US:
            raise PhaseError("it took too long to get the schedules ready; take fewer")
        with programs.worker(system) as worker:
            _sleep_until(scene.from_us, worker)
            with meter.Window([worker.pid], programs.server(system)) as window:
                _sleep_until(scene.until_us, worker)
            memory_mb = meter.memory_mb([worker.pid], "VmHWM")
            _sleep_until(scene.until_us + int(TAIL_S * SECOND_US), worker)
        server = window.server_cpu_s
        return {
            **figures,
            **programs.call(system, "extra", "lateness", scene.count),
            "worker_percent": 100 * window.client_cpu_s / window.seconds,
            "server_percent": None if server is None else 100 * server / window.seconds,
            "peak_mb": memory_mb,
            "foreign": window.foreign,
        }

    def _starting(self, scene: Scene) -> Scene:
        """Return the scene with times: it begins soon."""
        lead_s = LEAD_S + scene.count / LEAD_PER_S
        begin_us = time.time_ns() // 1000 + int(lead_s * SECOND_US)
        from_us = begin_us + int(self._options.warm_s * SECOND_US)
        until_us = from_us + int(self._options.seconds * SECOND_US)
        return replace(scene, begin_us=begin_us, from_us=from_us, until_us=until_us)


def _sleep_until(at_us: int, worker: subprocess.Popen[str]) -> None:
    while (left_us := at_us - time.time_ns() // 1000) > 0:
        if worker.poll() is not None:
            raise PhaseError("the worker ended before its time")
        time.sleep(min(0.2, left_us / SECOND_US))


def measure_next(options: argparse.Namespace, out: Out) -> None:
    """Time the next instants of rules, all libraries in one process."""
    python = venvs.environment("next_fire") / "bin" / "python"
    own = environment("next_fire")
    with meter.Window([os.getpid()], None) as window:
        answer = subprocess.run(
            [python, HERE / "schedule_next.py", str(options.next_s)],
            check=False,
            env=own | {"PYTHONPATH": f"{HERE.parent / 'src'}:{own['PYTHONPATH']}"},
            stdout=subprocess.PIPE,
            text=True,
            timeout=NEXT_WAIT_S,
        )
    figures = figures_in(answer.stdout)
    if answer.returncode or figures is None:
        sentence = "it ended early; the reason is above"
        out.write(
            kind="failure", suite="kernel", system="rules", variant="", phase="next", error=sentence
        )
        return
    packages = figures["packages"]
    out.write(
        kind="system", suite="kernel", system="rules", variant="", packages=packages, durability=""
    )
    for case in figures["cases"]:
        out.write(kind="next", foreign=window.foreign, **case)


if __name__ == "__main__":
    sys.exit(main())
