"""The plan: which systems are measured, in which suite, in which phases and how large.

Read by the runner. To add a peer: one adapter in `peers/`, one line in `venvs.py`, one here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TENURE = "Tenure"
RAW = "raw limit"

# Phase by phase, all systems of a suite in turn. "drain" also fills, and so measures the bulk.
PHASES = (
    "enqueue_single",
    "enqueue_sync",
    "enqueue_concurrent",
    "enqueue_bulk",
    "drain",
    "latency",
    "latency_local",
    "idle",
    "idle_10_queues",
    "million",
)
# Too long for every round, or hardly different from one to the next; measured in the first.
ONCE = ("idle", "idle_10_queues", "million")
SUITES = ("sqlite", "postgres")


@dataclass(frozen=True, kw_only=True)
class System:
    """One row of the tables. `sizes` holds tasks per phase; for idle phases, seconds."""

    name: str
    variant: str = ""
    suite: str
    program: str
    venv: str
    sizes: dict[str, int]
    concurrency: int = 0
    case: str = ""
    is_durable: bool = True
    notes: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        return f"{self.name} {self.variant}".strip()


def peer(
    name: str, suite: str, adapter: str, sizes: dict[str, int], *, variant: str = "", **more: int
) -> System:
    """Return a system with an adapter, whose environment has the adapter's name."""
    program = f"peer_{adapter}"
    return System(
        name=name, suite=suite, program=program, venv=adapter, sizes=sizes, variant=variant, **more
    )


def raw(suite: str, phase: str, variant: str, case: str, tasks: int) -> System:
    """Return one case of what the database itself can do."""
    return System(
        name=RAW,
        variant=variant,
        suite=suite,
        program=f"raw_{suite}",
        venv="limits",
        sizes={phase: tasks},
        case=case,
        is_durable=not case.startswith("NORMAL"),
    )


TENURE_SQLITE = {
    "enqueue_single": 10_000,
    "enqueue_sync": 5_000,
    "enqueue_concurrent": 50_000,
    "drain": 50_000,
    "latency": 200,
    "latency_local": 200,
    "idle": 15,
    "idle_10_queues": 15,
    "million": 1_000_000,
}
TENURE_POSTGRES = TENURE_SQLITE | {
    "enqueue_single": 3_000,
    "enqueue_sync": 2_000,
    "enqueue_concurrent": 20_000,
    "drain": 30_000,
}
SLOW = {"latency": 60, "idle": 10}

SYSTEMS = (
    peer(TENURE, "sqlite", "tenure", TENURE_SQLITE, variant="sqlite"),
    peer("Huey", "sqlite", "huey", {"drain": 3_000} | SLOW, variant="fsync"),
    peer("Huey", "sqlite", "huey", {"drain": 3_000} | SLOW),
    peer("DBOS", "sqlite", "dbos", {"enqueue_single": 300, "drain": 500} | SLOW, variant="sqlite"),
    raw("sqlite", "enqueue_single", "FULL, insert", "FULL/insert/1", 5_000),
    raw("sqlite", "enqueue_single", "NORMAL, insert", "NORMAL/insert/1", 10_000),
    raw("sqlite", "enqueue_bulk", "FULL, 1000 rows", "FULL/insert/1000", 100_000),
    raw("sqlite", "enqueue_bulk", "NORMAL, 1000 rows", "NORMAL/insert/1000", 100_000),
    raw("sqlite", "enqueue_bulk", "FULL, 1000 rows as JSON", "FULL/json/1000", 100_000),
    raw("sqlite", "drain", "FULL, batch 100", "FULL/claim/100", 50_000),
    raw("sqlite", "drain", "FULL, batch 1000", "FULL/claim/1000", 50_000),
    raw("sqlite", "drain", "NORMAL, batch 100", "NORMAL/claim/100", 50_000),
    raw("sqlite", "drain", "NORMAL, batch 1000", "NORMAL/claim/1000", 50_000),
    peer(TENURE, "postgres", "tenure", TENURE_POSTGRES, variant="postgres"),
    peer(
        "PGQueuer",
        "postgres",
        "pgqueuer",
        {"enqueue_single": 2_000, "drain": 10_000} | SLOW,
        variant="batch 100",
        concurrency=100,
    ),
    peer(
        "Procrastinate",
        "postgres",
        "procrastinate",
        {"enqueue_single": 1_000, "drain": 1_500} | SLOW,
        variant="concurrency 50",
        concurrency=50,
    ),
    peer("DBOS", "postgres", "dbos", {"enqueue_single": 300, "drain": 800} | SLOW),
    raw("postgres", "enqueue_single", "insert", "insert/1/1", 3_000),
    raw("postgres", "enqueue_bulk", "COPY, 1000 rows", "copy/1000/1", 100_000),
    raw("postgres", "enqueue_bulk", "unnest, 1000 rows", "unnest/1000/1", 50_000),
    raw("postgres", "drain", "batch 100, 1 connection", "claim/100/1", 30_000),
    raw("postgres", "drain", "batch 100, 4 connections", "claim/100/4", 30_000),
    raw("postgres", "drain", "batch 500, 1 connection", "claim/500/1", 30_000),
    raw("postgres", "drain", "batch 500, 4 connections", "claim/500/4", 30_000),
)
