"""A backup that is put back: what fires again, and that the documented procedure lets nothing.

Whole workers on a file under virtual time. The procedure is the one in docs/learn/schedules.md.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

import tenure
from tenure.engine.supervisor import Supervisor
from tenure.kernel.schedules.model import fire_id
from tenure.sdk.task import Registry
from tenure.sdk.when import cron, every
from tenure.service import schedules
from tenure.service.program import run_async
from tenure.settings import Settings
from tenure.store import migrate
from tenure.store.sqlite import SqliteStore
from tests.engine.conftest import run_virtually
from tests.engine.rig import Rig
from tests.engine.trial_store import TrialStore
from tests.engine.virtual import VirtualClock
from tests.store.drivers import sqlite_options

# Longer than an instant may be late without being missed.
AWAY_S = 180
RULES = {
    "latest": every("10s"),
    "none": every("10s", missed="none"),
    "all": every("10s", missed="all", missed_max=5, overlap="queue_all"),
    "berlin": cron("*/20 * * * * *", zone="Europe/Berlin", overlap="cancel_old"),
    "delay": every("7s", drift="delay"),
}
Fires = dict[tuple[str, int], str]  # by schedule and instant, the task


class Installation:
    """A file, its clock, and workers that come and go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = VirtualClock()
        self.seen: list[Any] = []
        self.registry = Registry()
        self._declare()

    def _declare(self) -> None:
        @self.registry.task
        async def count(id: str) -> Any:
            state = tenure.context().state or 0
            self.seen.append((id, state))
            await asyncio.sleep(0.3)
            return tenure.Next(state=state + 1)

        for id, when in RULES.items():
            self.registry.schedule(id, when, count.call(id))

    def open(self) -> SqliteStore:
        return SqliteStore(sqlite_options(self.path), self.clock)

    def begin(self) -> None:
        """Make the tables."""

        async def make() -> None:
            store = self.open()
            await store.run(migrate.apply(migrate.migrations("sqlite")))
            await store.close()

        run_virtually(make(), self.clock)

    def work(self, for_s: float) -> None:
        """Let a worker work for so long."""

        async def live() -> None:
            store = self.open()
            rig = Rig(self.clock, TrialStore(store))
            rig.registry = self.registry
            supervisor = Supervisor(rig.around)
            asyncio.get_running_loop().call_later(for_s, supervisor.ask_to_stop)
            await supervisor.run()
            await store.close()

        run_virtually(live(), self.clock)

    def for_all(self, ask: Any) -> None:
        """Ask something of every schedule."""

        async def one_by_one() -> None:
            store = self.open()
            for id in RULES:
                await run_async(ask("", id, Settings()), store, self.clock)
            await store.close()

        run_virtually(one_by_one(), self.clock)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        with closing(apsw.Connection(str(self.path))) as connection:
            return connection.execute(text).fetchall()

    def fires(self) -> Fires:
        """Return every instant that fired, with its task."""
        text = "SELECT schedule_id, instant_us, task_id FROM fire WHERE verdict = 'fired'"
        return {(id, instant_us): task_id for id, instant_us, task_id in self.rows(text)}

    def back_up(self) -> None:
        """Copy the file, which nobody has open."""
        shutil.copy(self.path, self.path.with_suffix(".copy"))

    def put_back(self) -> None:
        """Put the copy in the place of the file, which nobody has open."""
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        shutil.copy(self.path.with_suffix(".copy"), self.path)


@pytest.fixture(params=range(3))
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """One whose backup was taken at some time, and which went on without it for a while."""
    rng = random.Random(request.param)
    made = Installation(tmp_path / "t.db")
    made.begin()
    made.work(rng.uniform(5, 40))
    made.back_up()
    made.work(AWAY_S + rng.uniform(0, 30))
    return made


def check_sound(installation: Installation) -> None:
    """Each instant has one task, the one and only id for it; nothing waits or runs any more."""
    fires = installation.fires()
    tasks = installation.rows("SELECT id FROM task WHERE schedule_id IS NOT NULL")
    assert {task_id for (task_id,) in tasks} == set(fires.values())
    assert fires == {(id, instant_us): fire_id("", id, instant_us) for id, instant_us in fires}
    assert [] == installation.rows("SELECT id FROM task WHERE ended_at_us IS NULL")


def test_what_fired_since_the_backup_fires_again_as_the_policy_says(
    installation: Installation,
) -> None:
    before = installation.fires()
    end_us = installation.clock.time_us

    installation.put_back()
    kept = installation.fires()
    installation.work(30)

    again = {key for key in installation.fires() if key not in kept and key[1] <= end_us}
    counts = {id: sum(key[0] == id for key in again) for id in RULES}
    # The one of "none" is that which is not late enough to be missed.
    assert (1, 1, 5, 1) == tuple(counts[id] for id in ("latest", "none", "all", "berlin"))
    lost = {key for key in before if key not in kept}
    assert len(lost) > 3 * len(again)
    check_sound(installation)


def test_with_the_documented_procedure_nothing_fires_again(installation: Installation) -> None:
    end_us = installation.clock.time_us

    installation.put_back()
    kept = installation.fires()
    installation.for_all(schedules.pause)
    installation.work(5)
    installation.for_all(schedules.resume)
    installation.work(60)

    new = {key for key in installation.fires() if key not in kept}
    assert not {key for key in new if key[1] <= end_us}
    assert all(any(key[0] == id for key in new) for id in RULES)
    check_sound(installation)


def test_state_goes_on_from_the_backup(installation: Installation) -> None:
    installation.put_back()
    text = "SELECT id, carry FROM schedule"
    carried = {id: json.loads(carry)["s"] if carry else 0 for id, carry in installation.rows(text)}
    installation.seen.clear()

    installation.work(60)

    for id, state in carried.items():
        seen = [each for schedule_id, each in installation.seen if schedule_id == id]
        assert [*range(state, state + len(seen))] == seen
        assert len(seen) > 2
