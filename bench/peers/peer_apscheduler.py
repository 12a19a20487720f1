"""APScheduler 3, its usual pool of ten threads. Variants: the job stores "in memory" and "SQLite".

A job fires when its function begins, in a thread of the scheduler's own process; nothing records
that it did. `misfire_grace_time` is off, or else a job more than a second late is left out.

In memory the jobs are made by the process that fires them. Into SQLite they go in one transaction
and not, as `add_job` does it, in one each.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger
from apscheduler.util import datetime_to_utc_timestamp

from adapter import DATA, VARIANT, Peer, mark
from schedule_scene import Scene, load_scene, marked_lateness

IS_IN_MEMORY = VARIANT == "in memory"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHOICES: dict[str, Any] = {
    "executor": "default",
    "misfire_grace_time": None,
    "coalesce": True,
    "max_instances": 1,
}


def noop(number: int) -> None:
    mark(number)


class Adapter(Peer):
    packages = ("apscheduler",) if IS_IN_MEMORY else ("apscheduler", "sqlalchemy")

    def worker(self) -> None:
        scheduler = _scheduler()
        if IS_IN_MEMORY:
            for number, first, trigger in _triggers(load_scene()):
                scheduler.add_job(
                    noop, trigger, (number,), id=str(number), next_run_time=first, **CHOICES
                )
        scheduler.start()

    def durability(self) -> str:
        return "none" if IS_IN_MEMORY else "SQLite defaults"

    def extras(self) -> dict[str, Callable[[int], Any]]:
        return {"make": _nothing, "begin": self.begin, "lateness": marked_lateness}

    def begin(self, _count: int) -> dict[str, Any]:
        """Put the jobs into the store, as `SQLAlchemyJobStore.add_job` would."""
        if IS_IN_MEMORY:
            return {}
        store, scheduler = _store(), _scheduler()
        store.jobs_t.create(store.engine)
        rows = [
            {
                "id": str(number),
                "next_run_time": datetime_to_utc_timestamp(first),
                "job_state": pickle.dumps(
                    _job(scheduler, number, first, trigger).__getstate__(), store.pickle_protocol
                ),
            }
            for number, first, trigger in _triggers(load_scene())
        ]
        with store.engine.begin() as connection:
            connection.execute(store.jobs_t.insert(), rows)
        return {}


def _nothing(_count: int) -> dict[str, Any]:
    return {}


def _scheduler() -> BlockingScheduler:
    store = MemoryJobStore() if IS_IN_MEMORY else _store()
    return BlockingScheduler(jobstores={"default": store}, timezone=UTC)


def _store() -> SQLAlchemyJobStore:
    return SQLAlchemyJobStore(url=f"sqlite:///{DATA / 'jobs.db'}")


def _triggers(scene: Scene) -> Iterator[tuple[int, datetime, IntervalTrigger]]:
    for number in range(scene.count):
        first = EPOCH + timedelta(microseconds=scene.instant_us(number))
        yield number, first, IntervalTrigger(seconds=scene.every_s, start_date=first, timezone=UTC)


def _job(
    scheduler: BlockingScheduler, number: int, first: datetime, trigger: IntervalTrigger
) -> Job:
    return Job(
        scheduler,
        id=str(number),
        name="noop",
        func="peer_apscheduler:noop",
        args=(number,),
        kwargs={},
        trigger=trigger,
        next_run_time=first,
        **CHOICES,
    )
