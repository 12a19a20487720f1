"""How statements are run over half a million rows: by which index, and touching how little.

The statements that run for each task or at each tick must cost what they do in an empty store,
whatever else is in the table: tasks that are due in the future, and tasks that have ended. All
of them are explained in three stages (few rows, many, many that the planner knows of), the last
two as PostgreSQL plans them for the values given and as it plans them for any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tenure.store import migrate, statements
from tenure.store.statements import Dialect
from tests.store import test_schedule_plans as schedule_plans, volume
from tests.store.drivers import START_US, ApswSyncDriver, Driver, FakeClock, PsycopgDriver
from tests.store.plans import Finding, Mode, Plans, PostgresPlans, SqlitePlans, Values
from tests.support.postgres import Cluster

MANY = 200_000
CLAIMED = 10

# What a store holds besides, in every stage.
FEW = (volume.due(2_000), volume.running(500), volume.waiting(500))
NOW: dict[Dialect, str] = {
    "sqlite": str(START_US),
    "postgres": "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::bigint",
}

# How much more may be touched among many rows: trees of indexes are one or two pages deeper, and
# a task that changes is in four of them.
SLACK: dict[Dialect, int] = {"sqlite": 100, "postgres": 100}

# Per statement: the index that it leans on, on each database.
LEANS_ON: dict[str, str] = {
    "attempts_of_task": "attempt_pkey",
    "ask_task_to_cancel": "task_id",
    "cancel_task": "task_id",
    "cancels_asked": "task_cancel_asked",
    "claim_tasks": "task_ready",
    "claims_of_worker": "task_running",
    "expired_claims": "task_running",
    "get_task": "task_id",
    "list_tasks": "task_id",
    "live_task_with_key": "task_unique_key",
    "lock_task": "task_id",
    "next_dues": "task_ready",
    "next_queue_name": "task_ready",
    "prune_attempts": "attempt_pkey",
    "prune_tasks": "task_ended",
    "queue_use": "task_running",
    "renew_leases": "task_id",
    "report_progress": "task_id",
    "revive_task": "task_id",
    "settle_cancelled": "task_id",
    "settle_tasks": "task_id",
    "settled_attempts": "attempt_pkey",
    "wake_task": "task_id",
}
# To end what was asked to cancel, one may as well look at all that was.
ALSO = {"settle_cancelled": "task_cancel_asked"}
# Not explained: it counts up to ten thousand tasks, so to read the table may be the best.
COUNTS = {"count_queue"}
LARGE = {"task", "attempt", "task_event", "task_body"}
# These answer with what they find among the many, so the fewer they find the less they touch.
EACH_ROW_MAX = 100
FINDS_MORE = {"prune_tasks", "list_tasks"}
# Without statistics PostgreSQL takes any list for short, and sorts it.
NEEDS_STATISTICS = {"list_tasks"}

STAGES = ("many", "known")
MODES: dict[Dialect, tuple[Mode, ...]] = {
    "sqlite": ("auto",),
    "postgres": ("force_custom_plan", "force_generic_plan"),
}


@dataclass(frozen=True)
class Explained:
    """Every finding, by stage, mode and statement."""

    findings: dict[tuple[str, Mode, str], Finding] = field(default_factory=dict)
    without_index: dict[str, Finding] = field(default_factory=dict)


def values_for(ids: list[str]) -> dict[str, object]:
    """Return a value for each parameter of the statements; batches are of ten rows."""
    ample = {"lease_us": 60_000_000, "spare": 1_000, "slots": 1_000, "keep_us": 1_000_000}
    ample |= {"queue_spare": 1_000, "queue_slots": 1_000}
    texts = {
        "queue": "default",
        "queues": '["default"]',
        "worker_id": "worker-2",
        "tenant": "",
        "id": ids[0],
        "cause": "",
    }
    filters = {"state": "", "kind": "", "before_id": "\U0010ffff", "unique_key": "future-10000"}
    numbers = {"limit": CLAIMED, "limited": 0, "force": 1}
    ones = dict.fromkeys(("claim_no",), [1] * CLAIMED)
    zeros = dict.fromkeys(("outlives", "delay_us", "give_back", "crashed"), [0] * CLAIMED)
    nothing = dict.fromkeys(("waiting_for", "result", "carry", "progress"), [None] * CLAIMED)
    return ample | texts | filters | numbers | ones | zeros | nothing | {"ids": ids}


BATCHES = {
    *("prune_attempts", "renew_leases", "report_progress", "settle_cancelled"),
    *("settle_tasks", "settled_attempts"),
}


def fitted(values: Values, statement: str) -> Values:
    if statement == "prune_tasks":
        return {**values, "state": "completed"}
    if statement not in BATCHES:
        return values
    many = {"tenant": [""] * CLAIMED, "id": values["ids"]}
    return {**values, **many, "state": ["completed"] * CLAIMED, "cause": [None] * CLAIMED}


def explain_all(store: Driver, plans: Plans) -> Explained:
    explained = Explained()
    now = NOW[store.dialect]
    store.run(migrate.apply(migrate.migrations(store.dialect)))
    volume.fill(store, *FEW, now=now, first=1)
    rows = store.rows("SELECT id FROM task WHERE state = 'running' ORDER BY id LIMIT 10")
    values = values_for([row[0] for row in rows])

    def explain(stage: str) -> None:
        for mode in MODES[store.dialect]:
            for statement in LEANS_ON:
                finding = plans.explain(statement, fitted(values, statement), mode=mode)
                explained.findings[stage, mode, statement] = finding

    explain("few")
    volume.fill(store, volume.finished(MANY), volume.future(MANY), now=now, first=10_000)
    explain("many")
    plans.analyze()
    explain("known")
    for statement, index in (("claim_tasks", "task_ready"), ("cancels_asked", "task_cancel_asked")):
        explained.without_index[statement] = plans.explain(
            statement, values, before=f"DROP INDEX {index}"
        )
    return explained


@pytest.fixture(scope="module")
def explained(
    postgres_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Dialect, Explained]]:
    name = "tenure_plans"
    postgres_cluster.drop_database(name)
    postgres = PsycopgDriver(postgres_cluster.create_database(name), FakeClock())
    sqlite = ApswSyncDriver(tmp_path_factory.mktemp("plans") / "tenure.db", FakeClock())
    sqlite_plans, postgres_plans = SqlitePlans(sqlite), PostgresPlans(postgres)
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:
            meanwhile = pool.submit(explain_all, postgres, postgres_plans)
            yield {
                "sqlite": explain_all(sqlite, sqlite_plans),
                "postgres": meanwhile.result(),
            }
    finally:
        for each in (sqlite_plans, postgres_plans, sqlite, postgres):
            each.close()
        postgres_cluster.drop_database(name)


CASES = [
    pytest.param(dialect, stage, mode, id=f"{dialect}-{stage}-{mode}")
    for dialect, modes in MODES.items()
    for mode in modes
    for stage in STAGES
]


@pytest.mark.parametrize("statement", LEANS_ON)
@pytest.mark.parametrize(("dialect", "stage", "mode"), CASES)
def test_a_statement_leans_on_its_index_and_reads_no_table_whole(
    explained: dict[Dialect, Explained], dialect: Dialect, stage: str, mode: Mode, statement: str
) -> None:
    finding = explained[dialect].findings[stage, mode, statement]

    assert frozenset() == finding.scanned & LARGE
    assert finding.indexes & {LEANS_ON[statement], ALSO.get(statement)}


@pytest.mark.parametrize("statement", sorted(LEANS_ON.keys() - FINDS_MORE))
@pytest.mark.parametrize(("dialect", "stage", "mode"), CASES)
def test_a_statement_touches_no_more_among_many_tasks_than_among_few(
    explained: dict[Dialect, Explained], dialect: Dialect, stage: str, mode: Mode, statement: str
) -> None:
    few = explained[dialect].findings["few", mode, statement]
    many = explained[dialect].findings[stage, mode, statement]

    assert few.rows == many.rows
    assert many.touched <= few.touched + SLACK[dialect]


@pytest.mark.parametrize(
    ("dialect", "stage", "mode", "statement"),
    [
        (*case.values, statement)
        for case in CASES
        for statement in sorted(FINDS_MORE)
        if "known" in case.values or statement not in NEEDS_STATISTICS
    ],
)
def test_a_statement_that_finds_more_touches_little_for_each_row(
    explained: dict[Dialect, Explained], dialect: Dialect, stage: str, mode: Mode, statement: str
) -> None:
    finding = explained[dialect].findings[stage, mode, statement]

    assert finding.touched <= EACH_ROW_MAX * CLAIMED


@pytest.mark.parametrize("statement", ["claim_tasks", "cancels_asked"])
@pytest.mark.parametrize("dialect", MODES)
def test_a_missing_index_is_found_out(
    explained: dict[Dialect, Explained], dialect: Dialect, statement: str
) -> None:
    (mode, *_) = MODES[dialect]
    sound = explained[dialect].findings["known", mode, statement]

    faulty = explained[dialect].without_index[statement]

    assert LEANS_ON[statement] not in faulty.indexes
    assert faulty.touched > 2 * sound.touched


def test_the_statements_that_run_per_task_or_per_tick_are_all_explained() -> None:
    texts = statements._merged("postgres")
    of_task = {
        name
        for name, text in texts.items()
        if re.search(r"\b(FROM|UPDATE|JOIN) (task|attempt)\b", text)
    }

    assert set() == of_task - LEANS_ON.keys() - COUNTS - schedule_plans.LEANS_ON.keys()
