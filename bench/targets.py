"""What Tenure sets out to reach, in a form that the summary can hold the figures against.

A bound is absolute, or a multiple of another system's figure in the same round. They are goals
to be beaten; one that is missed is named with its reason in the notes of a release.
"""

from __future__ import annotations

from dataclasses import dataclass

from systems import RAW, SUITES


@dataclass(frozen=True, kw_only=True)
class Target:
    """At least *bound*, or at most; with `against`, times the figure of that system."""

    suite: str
    work: str
    phase: str
    field: str = "rate"
    bound: float
    unit: str = "/s"
    at_most: bool = False
    against: str = ""


def _most(suite: str, phase: str, field: str, bound: float, unit: str, work: str) -> Target:
    return Target(
        suite=suite, phase=phase, field=field, bound=bound, unit=unit, work=work, at_most=True
    )


def _rate(suite: str, phase: str, bound: float, work: str, against: str = "") -> Target:
    return Target(suite=suite, phase=phase, bound=bound, work=work, against=against)


CLAIM_TIMES_MAX = 1.3
HERE, THERE = "start in the same process", "start from another process"

TARGETS = [
    _rate("sqlite", "drain", 20_000, "drain"),
    _rate("sqlite", "drain", 8, "drain", "Huey"),
    _rate("sqlite", "drain", 100, "drain", "DBOS"),
    _rate("sqlite", "enqueue_concurrent", 25_000, "enqueue, 100 concurrent"),
    _rate("sqlite", "enqueue_single", 5_000, "enqueue, awaiting each"),
    _rate("sqlite", "enqueue_bulk", 100_000, "enqueue in bulk"),
    _most("sqlite", "latency_local", "p50_ms", 2, "ms", f"{HERE}, p50"),
    _most("sqlite", "latency_local", "p99_ms", 10, "ms", f"{HERE}, p99"),
    _most("sqlite", "latency", "p50_ms", 10, "ms", f"{THERE}, p50"),
    _rate("postgres", "drain", 10_000, "drain"),
    _rate("postgres", "drain", 2, "drain", "PGQueuer"),
    _rate("postgres", "drain", 25, "drain", "Procrastinate"),
    _rate("postgres", "drain", 0.5, "drain", RAW),
    _rate("postgres", "enqueue_bulk", 60_000, "enqueue in bulk"),
    _rate("postgres", "enqueue_single", 0.8, "enqueue, awaiting each", RAW),
    _most("postgres", "latency", "p50_ms", 4, "ms", f"{THERE}, p50"),
    _most("postgres", "latency", "p99_ms", 20, "ms", f"{THERE}, p99"),
    *(
        target
        for suite in SUITES
        for target in (
            _most(
                suite, "claim", "times", CLAIM_TIMES_MAX, "times", "claim, of the smallest store"
            ),
            _most(suite, "million", "peak_mb", 80, "MB", "memory while draining a million"),
            _most(suite, "idle_10_queues", "worker_percent", 0.5, "%", "CPU, idle, 10 queues"),
        )
    ),
]
