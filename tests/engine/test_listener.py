"""Notices from the store to the loops they concern."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tenure.engine.claimer import Claimer
from tenure.engine.listener import Listener
from tenure.kernel.ports import ANYTHING, CANCEL, SCHEDULES, queue_topic
from tenure.store import migrate, tasks
from tenure.store.sqlite import SqliteStore
from tests.engine.rig import Parts, Rig
from tests.engine.trial_store import TrialStore
from tests.engine.virtual import settle_down
from tests.store.builders import a_task
from tests.store.drivers import sqlite_options


def listen(rig: Rig, parts: Parts, *queues: str) -> tuple[Listener, dict[str, Claimer]]:
    claimers = {queue: parts.claimer_of(queue) for queue in queues}
    listener = Listener(
        rig.around,
        claimers=list(claimers.values()),
        renewer=parts.renewer,
        scheduler=parts.scheduler,
    )
    return listener, claimers


@pytest.mark.parametrize(
    ("topic", "woken"),
    [
        (queue_topic("mail"), ["mail"]),
        (queue_topic("unknown"), []),
        (ANYTHING, ["default", "mail"]),
        (CANCEL, []),
    ],
)
async def test_a_notice_wakes_whom_it_concerns(rig: Rig, topic: str, woken: list[str]) -> None:
    listener, claimers = listen(rig, rig.parts(), "default", "mail")

    listener.hear(topic)

    assert woken == [name for name, claimer in claimers.items() if claimer._is_woken]


@pytest.mark.parametrize(
    ("topic", "is_woken"),
    [(SCHEDULES, True), (ANYTHING, True), (CANCEL, False), ("queue:a", False)],
)
async def test_news_of_schedules_wakes_the_scheduler(
    rig: Rig,
    topic: str,
    is_woken: bool,
) -> None:
    parts = rig.parts()
    listener, _ = listen(rig, parts, "default")

    listener.hear(topic)

    assert is_woken is parts.scheduler._is_woken


async def test_a_cancel_has_the_renewer_look_if_anything_runs(rig: Rig) -> None:
    @rig.registry.task
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    parts = rig.parts()
    listener, _ = listen(rig, parts, "default")
    listener.hear(CANCEL)
    idle = parts.renewer._is_woken
    await rig.enqueue(work)
    await parts.start()

    listener.hear(CANCEL)

    assert (False, True) == (idle, parts.renewer._is_woken)


async def test_what_another_store_of_this_process_commits_is_heard_at_once(
    rig: Rig, tmp_path: Path
) -> None:
    ours, theirs = (SqliteStore(sqlite_options(tmp_path / "t.db"), rig.clock) for _ in range(2))
    await ours.run(migrate.apply(migrate.migrations("sqlite")))
    rig.store = TrialStore(ours)
    listener, claimers = listen(rig, rig.parts(), "default", "mail")
    await listener.tick()

    await theirs.run(tasks.insert(a_task(queue="mail")))
    await settle_down()

    assert claimers["mail"]._is_woken
    await ours.close()
    await theirs.close()
