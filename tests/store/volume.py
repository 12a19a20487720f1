"""Many rows at once, as a store has them after some weeks.

Called by test_plans.py. Rows are made by the database itself, since half a million inserts would
take a minute. Their ids are in order, as ids of ours are; their times are shuffled, so that the
indexes that lead to them are not in the order of the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.store.drivers import Driver

COLUMNS = """tenant, id, kind, queue, state, lane, cost, run_at_us, attempt, attempts_max, crashes,
    claim_no, revision, created_at_us, payload, worker_id, claimed_at_us, lease_expires_at_us,
    cancel_asked_at_us, waiting_for, ended_at_us, unique_key"""

# A number below a hundred million that looks random; the same for the same row.
SHUFFLED = "(CAST(number AS bigint) * 7654321 % 99999989)"

NUMBERS = {
    "sqlite": """WITH RECURSIVE numbers (number) AS (
        SELECT {first} UNION ALL SELECT number + 1 FROM numbers WHERE number < {last})""",
    "postgres": "WITH numbers (number) AS (SELECT generate_series({first}, {last}))",
}
NAMES = {
    "sqlite": "printf('%s-%08d', '{prefix}', number)",
    "postgres": "'{prefix}-' || lpad(number::text, 8, '0')",
}
BYTES = {"sqlite": "CAST('{}' AS BLOB)", "postgres": "CAST('{}' AS bytea)"}


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """So many tasks that stand alike; texts are SQL, over `number` and the time `{now}`."""

    name: str
    count: int
    state: str = "pending"
    run_at_us: str = "{now} - 1000 - {shuffled}"
    lane: str = "2"
    attempt: str = "0"
    worker_id: str = "NULL"
    lease_expires_at_us: str = "NULL"
    cancel_asked_at_us: str = "NULL"
    waiting_for: str = "NULL"
    ended_at_us: str = "NULL"
    unique_key: str = "NULL"


def future(count: int) -> Crowd:
    """Tasks of all lanes that are not due for an hour."""
    return Crowd(
        name="future",
        count=count,
        run_at_us="{now} + 3600000000 + {shuffled}",
        lane="number % 4",
        unique_key="CASE WHEN number % 10 = 0 THEN 'future-' || number END",
    )


def finished(count: int) -> Crowd:
    """Tasks that completed within the last two minutes or so."""
    return Crowd(
        name="finished",
        count=count,
        state="completed",
        attempt="1",
        worker_id="'worker-' || (number % 50)",
        ended_at_us="{now} - {shuffled}",
        unique_key="CASE WHEN number % 10 = 0 THEN 'finished-' || number END",
    )


def due(count: int) -> Crowd:
    """Tasks of the normal lane that have been due for a while."""
    return Crowd(name="due", count=count)


def running(count: int) -> Crowd:
    """Tasks that fifty workers run: one in fifty is past its lease, one was asked to cancel."""
    return Crowd(
        name="running",
        count=count,
        state="running",
        attempt="1",
        worker_id="'worker-' || (number % 50)",
        lease_expires_at_us="{now} + CASE WHEN number % 50 = 1 THEN -1000 ELSE 60000000 END",
        cancel_asked_at_us="CASE WHEN number % 50 = 2 THEN 1 END",
    )


def waiting(count: int) -> Crowd:
    """Tasks that wait for a signal."""
    return Crowd(name="waiting", count=count, state="waiting", waiting_for="'signal'")


def fill(store: Driver, *crowds: Crowd, now: str, first: int) -> None:
    """Insert tasks, one in ten of those that completed with its attempt.

    *now* is SQL for the time; rows are numbered from *first*, and no number may come twice.
    """
    dialect = store.dialect
    place = {"now": now, "shuffled": SHUFFLED}
    for crowd in crowds:
        numbers = NUMBERS[dialect].format(first=first, last=first + crowd.count - 1)
        first += crowd.count
        name = NAMES[dialect].format(prefix=crowd.name)
        claim_no = crowd.attempt
        values = f"""'', {name}, 'kind-' || (number % 20), 'default', '{crowd.state}',
            {crowd.lane}, 1, {crowd.run_at_us}, {crowd.attempt}, 5, 0, {claim_no}, 0, {now},
            {BYTES[dialect]}, {crowd.worker_id}, {now}, {crowd.lease_expires_at_us},
            {crowd.cancel_asked_at_us}, {crowd.waiting_for}, {crowd.ended_at_us},
            {crowd.unique_key}"""
        for word, text in place.items():
            values = values.replace("{" + word + "}", text)
        store.rows(f"{numbers} INSERT INTO task ({COLUMNS}) SELECT {values} FROM numbers")
    store.rows(
        """INSERT INTO attempt SELECT tenant, id, claim_no, attempt, worker_id, run_at_us,
        ended_at_us, 'complete', NULL FROM task WHERE state = 'completed' AND id LIKE '%7'"""
    )


def fill_schedules(store: Driver, *, now: str, first: int, count: int, next_us: str) -> None:
    """Insert schedules of which one in four takes turns; *next_us* is SQL over `number`."""
    dialect = store.dialect
    numbers = NUMBERS[dialect].format(first=first, last=first + count - 1)
    name = NAMES[dialect].format(prefix="schedule")
    store.rows(
        f"""{numbers} INSERT INTO schedule (tenant, id, rule, text, zone, policies, kind, payload,
        queue, lane, cost, attempts_max, origin, cursor_us, next_fire_at_us, floor_us, fired,
        turns, revision, created_at_us, updated_at_us)
        SELECT '', {name}, 'interval', '1m', 'UTC', '{{}}', 'mail', {BYTES[dialect]}, 'default',
        2, 1, 1, 'app', {now} - 1, {next_us.replace("{shuffled}", SHUFFLED)}, 0, 0,
        CASE WHEN number % 4 = 0 THEN 1 ELSE 0 END, 1, {now}, {now} FROM numbers"""
    )


def fill_runs(store: Driver, *, now: str, first: int, count: int, schedules: int) -> None:
    """Insert completed runs of the first so many schedules, with their entries in the ledger."""
    dialect = store.dialect
    crowd = Crowd(
        name="run",
        count=count,
        state="completed",
        attempt="1",
        worker_id="'worker-1'",
        ended_at_us="{now} - {shuffled}",
    )
    fill(store, crowd, now=now, first=first)
    schedule = NAMES[dialect].format(prefix="schedule").replace("number", "place")
    place = f"CAST(substr(id, 5) AS bigint) % {schedules} + 1"
    source = f"(SELECT id, run_at_us, {place} AS place FROM task WHERE id LIKE 'run-%')"
    store.rows(
        f"UPDATE task SET schedule_id = named.schedule FROM (SELECT id, {schedule} AS schedule "
        f"FROM {source} AS placed) AS named WHERE task.id = named.id"
    )
    store.rows(
        f"INSERT INTO fire SELECT '', {schedule}, run_at_us, 'fired', id, run_at_us, '' "
        f"FROM {source} AS placed"
    )
