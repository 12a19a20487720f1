"""Celery beat. Variants: the brokers "Redis" and "in memory".

An entry fires when beat has handed its message to the broker; there is no worker. Redis is the one
at BENCH_REDIS_URL, by default the last database of one on the loopback; only the queue named
below is written there, and deleted again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from celery.signals import after_task_publish

from adapter import VARIANT, Peer, mark
from schedule_scene import Scene, load_scene, marked_lateness

REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/15")
IS_REDIS = VARIANT == "Redis"
QUEUE = "tenure-bench-beat"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

celery = Celery("bench", broker=REDIS_URL if IS_REDIS else "memory://")
celery.conf.update(task_ignore_result=True, task_default_queue=QUEUE, enable_utc=True)


@celery.task(name="noop")
def noop(number: int) -> None:
    """Never run: nobody serves the queue."""


class Adapter(Peer):
    packages = ("celery", "kombu", "redis") if IS_REDIS else ("celery", "kombu")

    def setup(self) -> None:
        _purge()

    def worker(self) -> None:
        # It logs a line for each message, which costs it a tenth of its time.
        logging.getLogger("celery").setLevel(logging.WARNING)
        after_task_publish.connect(_published)
        celery.conf.beat_schedule = _entries(load_scene())
        celery.Beat(scheduler_cls=Scheduler, loglevel="WARNING", quiet=True).run()

    def durability(self) -> str:
        return "as Redis is configured" if IS_REDIS else "none"

    def extras(self) -> dict[str, Callable[[int], Any]]:
        return {"make": _nothing, "begin": _nothing, "lateness": self.lateness}

    def lateness(self, count: int) -> dict[str, Any]:
        _purge()
        return marked_lateness(count)


def _published(body: Any, **_: object) -> None:
    (number,) = body[0]
    mark(number)


def _entries(scene: Scene) -> dict[str, dict[str, Any]]:
    """Return beat's schedule; an interval is counted from when the entry is said to have run."""
    before_us = scene.every_s * 1_000_000
    return {
        str(number): {
            "task": "noop",
            "schedule": timedelta(seconds=scene.every_s),
            "args": (number,),
            "last_run_at": EPOCH + timedelta(microseconds=scene.instant_us(number) - before_us),
        }
        for number in range(scene.count)
    }


def _nothing(_count: int) -> dict[str, Any]:
    return {}


def _purge() -> None:
    if IS_REDIS:
        with celery.connection_for_write() as connection:
            redis = connection.default_channel.client
            # The queue itself, and what says to where its messages go.
            for key in redis.keys(f"*{QUEUE}"):
                redis.delete(key)
