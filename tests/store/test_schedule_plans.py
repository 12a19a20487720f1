"""How the statements about schedules are run beside many schedules, runs and entries of the ledger.

As test_plans.py does for tasks: few rows, many, and many that the planner knows of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tenure.store import migrate, statements
from tenure.store.statements import Dialect
from tests.store import volume
from tests.store.drivers import ApswSyncDriver, Driver, FakeClock, PsycopgDriver
from tests.store.plans import Finding, Mode, Plans, PostgresPlans, SqlitePlans, Values
from tests.support.postgres import Cluster

SCHEDULES, RUNS, CLAIMED = 20_000, 60_000, 10
FEW_SCHEDULES, LIVE = 400, 100
# A tree that is a page deeper; on SQLite, a subquery that is joined the other way about.
SLACK: dict[Dialect, int] = {"sqlite": 200, "postgres": 100}
EACH_ROW_MAX = 100

NOW: dict[Dialect, str] = {
    "sqlite": "1700000000000000",
    "postgres": "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::bigint",
}
LEANS_ON: dict[str, str] = {
    "advance_schedules": "schedule_id",
    "delete_schedule": "schedule_id",
    "due_schedules": "schedule_due",
    "fires_of_schedule": "fire_pkey",
    "get_schedule": "schedule_id",
    "hand_carry": "task_live_run",
    "insert_schedule": "fire_pkey",
    "list_schedules": "schedule_id",
    "live_runs": "task_live_run",
    "lock_schedule": "schedule_id",
    "lock_schedules_of_runs": "schedule_id",
    "next_schedule_due": "schedule_due",
    "pause_schedule": "schedule_id",
    "prune_fires": "fire_instant",
    "raise_floors": "schedule_id",
    "release_schedules": "schedule_id",
    "replan_schedules": "schedule_id",
    "resume_schedule": "schedule_id",
    "runs_of_schedule": "task_of_schedule",
    "set_schedule_carry": "schedule_id",
    "steer_schedule": "schedule_id",
    "store_carries": "schedule_id",
    "stuck_holds": "schedule_held",
    "stuck_turns": "task_live_run",
    "update_schedule": "schedule_id",
    "waiting_turns": "task_live_run",
    "wake_turns": "task_live_run",
    "walk_schedules": "schedule_id",
}
# To release what a run holds, one may as well look at what is held by it.
ALSO = {"release_schedules": "schedule_held"}
BATCHES = {
    *("advance_schedules", "live_runs", "lock_schedules_of_runs", "raise_floors"),
    *("release_schedules", "replan_schedules", "store_carries", "waiting_turns"),
}
# These answer with what they find among the many, so the fewer they find the less they touch.
FINDS_MORE = {"list_schedules", "walk_schedules", "runs_of_schedule", "fires_of_schedule"}
LARGE = {"task", "schedule", "fire"}
STAGES = ("many", "known")
MODES: dict[Dialect, tuple[Mode, ...]] = {
    "sqlite": ("auto",),
    "postgres": ("force_custom_plan", "force_generic_plan"),
}
CASES = [
    pytest.param(dialect, stage, mode, id=f"{dialect}-{stage}-{mode}")
    for dialect, modes in MODES.items()
    for mode in modes
    for stage in STAGES
]

Findings = dict[tuple[str, Mode, str], Finding]


def schedule_name(number: int) -> str:
    return f"schedule-{number:08d}"


def values_for(statement: str) -> Values:
    """Return a value for each parameter of the statement; batches are of ten schedules."""
    first = schedule_name(4)
    texts = dict.fromkeys(("tenant", "origin", "after_id", "kind", "cause"), "")
    texts |= {"id": first, "rule": "interval", "text": "1m", "zone": "UTC", "policies": "{}"}
    texts |= {"queue": "default", "before_id": "\U0010ffff"}
    numbers = dict.fromkeys(("lane", "cost", "attempts_max", "revision", "turns", "paused"), 1)
    numbers |= {"limit": CLAIMED, "keep_us": 3600 * 1_000_000, "before_us": 2**62}
    nothing = dict.fromkeys(
        """timeout_us tags trouble steered_us held_by gap_us start_us end_us carry cursor_us
        next_fire_at_us task_id""".split()
    )
    values: dict[str, object] = {**nothing, **texts, **numbers, "payload": b"", "cursor_us": 1}
    if statement == "insert_schedule":
        values["id"] = "new"
    if statement == "steer_schedule":
        values["steered_us"] = 1
    if statement in BATCHES:
        ids = [schedule_name(number) for number in range(4, 4 + CLAIMED)]
        many = dict.fromkeys(("cursor_us", "floor_us", "fired", "revision"), [1] * CLAIMED)
        empty = ("next_fire_at_us", "was_next_us", "held_by", "trouble", "carry", "task_id")
        return {
            **values,
            **many,
            **dict.fromkeys(empty, [None] * CLAIMED),
            "tenant": [""] * CLAIMED,
            "id": ids,
        }
    return values


def fill_few(store: Driver) -> None:
    """Some schedules, ten of them due, with as many runs under way, waiting and held for."""
    now = NOW[store.dialect]
    later = f"{now} + 3600000000 + {{shuffled}}"
    due = f"CASE WHEN number <= 10 THEN {now} - number ELSE {later} END"
    volume.fill_schedules(store, now=now, first=1, count=FEW_SCHEDULES, next_us=due)
    crowd = volume.Crowd(name="live", count=LIVE, state="waiting", waiting_for="'turn'")
    volume.fill(store, crowd, now=now, first=1)
    name = volume.NAMES[store.dialect].format(prefix="schedule")
    name = name.replace("number", "(CAST(substr(id, 6) AS bigint) % 50 + 1)")
    store.rows(f"UPDATE task SET schedule_id = {name} WHERE id LIKE 'live-%'")
    store.rows(
        "UPDATE schedule SET next_fire_at_us = NULL, held_by = 'gone' WHERE id LIKE '%00390'"
    )
    # Ten entries that are old enough to be pruned.
    store.rows(
        f"""INSERT INTO fire SELECT '', id, {now} - 7200000000, 'missed', NULL, 1, ''
        FROM schedule WHERE id LIKE '%0000001_'"""
    )


def explain_all(store: Driver, plans: Plans) -> Findings:
    findings: Findings = {}
    now = NOW[store.dialect]
    store.run(migrate.apply(migrate.migrations(store.dialect)))
    fill_few(store)

    def explain(stage: str) -> None:
        for mode in MODES[store.dialect]:
            for statement in LEANS_ON:
                finding = plans.explain(statement, values_for(statement), mode=mode)
                findings[stage, mode, statement] = finding

    explain("few")
    later = f"{now} + 3600000000 + {{shuffled}}"
    volume.fill_schedules(store, now=now, first=1_001, count=SCHEDULES, next_us=later)
    volume.fill_runs(store, now=now, first=10_001, count=RUNS, schedules=SCHEDULES)
    explain("many")
    plans.analyze()
    explain("known")
    return findings


@pytest.fixture(scope="module")
def explained(
    postgres_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Dialect, Findings]]:
    name = "tenure_schedule_plans"
    postgres_cluster.drop_database(name)
    postgres = PsycopgDriver(postgres_cluster.create_database(name), FakeClock())
    sqlite = ApswSyncDriver(tmp_path_factory.mktemp("plans") / "tenure.db", FakeClock())
    sqlite_plans, postgres_plans = SqlitePlans(sqlite), PostgresPlans(postgres)
    try:
        yield {
            "sqlite": explain_all(sqlite, sqlite_plans),
            "postgres": explain_all(postgres, postgres_plans),
        }
    finally:
        for each in (sqlite_plans, postgres_plans, sqlite, postgres):
            each.close()
        postgres_cluster.drop_database(name)


@pytest.mark.parametrize("statement", LEANS_ON)
@pytest.mark.parametrize(("dialect", "stage", "mode"), CASES)
def test_a_statement_leans_on_its_index_and_reads_no_table_whole(
    explained: dict[Dialect, Findings], dialect: Dialect, stage: str, mode: Mode, statement: str
) -> None:
    finding = explained[dialect][stage, mode, statement]

    assert frozenset() == finding.scanned & LARGE
    assert finding.indexes & {LEANS_ON[statement], ALSO.get(statement)}


@pytest.mark.parametrize("statement", sorted(LEANS_ON.keys() - FINDS_MORE))
@pytest.mark.parametrize(("dialect", "stage", "mode"), CASES)
def test_a_statement_touches_no_more_among_many_than_among_few(
    explained: dict[Dialect, Findings], dialect: Dialect, stage: str, mode: Mode, statement: str
) -> None:
    few = explained[dialect]["few", mode, statement]
    many = explained[dialect][stage, mode, statement]

    assert few.rows == many.rows
    assert many.touched <= few.touched + SLACK[dialect]


@pytest.mark.parametrize("statement", sorted(FINDS_MORE))
@pytest.mark.parametrize(("dialect", "stage", "mode"), CASES)
def test_a_statement_that_finds_more_touches_little_for_each_row(
    explained: dict[Dialect, Findings], dialect: Dialect, stage: str, mode: Mode, statement: str
) -> None:
    finding = explained[dialect][stage, mode, statement]

    assert finding.touched <= EACH_ROW_MAX * CLAIMED


@pytest.mark.parametrize("dialect", MODES)
def test_the_statements_about_schedules_are_all_explained(dialect: Dialect) -> None:
    about = re.compile(r"\b(FROM|UPDATE|JOIN) (schedule|fire)\b")
    named = {name for name, text in statements._merged(dialect).items() if about.search(text)}

    assert set() == named - LEANS_ON.keys()
