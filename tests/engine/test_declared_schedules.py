"""Schedules that code declares, as a worker stores them when it starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tenure.kernel.errors import StoreBusyError
from tenure.kernel.schedules.model import Schedule
from tenure.observe.events import SchedulesReconciled, WorkerStarted
from tenure.sdk.task import CallableKind, Registry
from tenure.sdk.when import When, every, once
from tenure.service import schedules
from tests.engine.rig import Rig
from tests.engine.test_supervisor import working

FAR = datetime(2040, 1, 1, tzinfo=UTC)
YEARLY = every("365d", start=FAR)
HERE = "code:tests.engine.test_declared_schedules"


def a_kind(registry: Registry, name: str = "work") -> CallableKind[..., None, None]:
    def handler(size: int = 1) -> None: ...

    return registry.task(name=name)(handler)


async def start(rig: Rig, declare: Callable[[Registry], None]) -> list[SchedulesReconciled]:
    """Start and stop a worker whose code declares what *declare* says; return what it told."""
    rig.registry = Registry()
    rig.__dict__.pop("around", None)
    rig.events.clear()
    declare(rig.registry)
    async with working(rig):
        pass
    return rig.told(SchedulesReconciled)


def declaring(**rules: When) -> Callable[[Registry], None]:
    """Return what declares schedules of one handler."""

    def declare(registry: Registry) -> None:
        kind = a_kind(registry)
        for id, when in rules.items():
            registry.schedule(id, when, kind.call())

    return declare


async def stored(rig: Rig) -> dict[str, Schedule]:
    found = await rig.ask(schedules.find("", rig.settings))
    return {schedule.id: schedule for schedule in found}


async def test_what_is_declared_is_stored_before_the_worker_begins(rig: Rig) -> None:
    told = await start(rig, declaring(a=YEARLY, b=YEARLY))

    found = await stored(rig)
    assert [SchedulesReconciled(created=2, updated=0, unchanged=0, removed=0, refused=())] == told
    assert rig.events.index(told[0]) < rig.events.index(rig.told(WorkerStarted)[0])
    assert {"a": HERE, "b": HERE} == {id: each.origin for id, each in found.items()}
    assert {"work"} == {each.template.kind for each in found.values()}


async def test_what_is_unchanged_is_left_alone_and_not_told_of(rig: Rig) -> None:
    await start(rig, declaring(a=YEARLY))
    before = await stored(rig)

    told = await start(rig, declaring(a=YEARLY))

    assert [] == told
    assert before == await stored(rig)


async def test_what_has_changed_is_updated_and_what_is_gone_is_removed(rig: Rig) -> None:
    await start(rig, declaring(a=YEARLY, b=YEARLY, c=YEARLY))

    told = await start(rig, declaring(a=every("30d", start=FAR), b=YEARLY, d=YEARLY))

    assert [SchedulesReconciled(created=1, updated=1, unchanged=1, removed=1, refused=())] == told
    found = await stored(rig)
    assert ["a", "b", "d"] == sorted(found)
    assert "30d" == found["a"].definition.text


async def test_an_edit_of_the_code_keeps_state_and_pause(rig: Rig) -> None:
    await start(rig, declaring(a=YEARLY))
    await rig.ask(schedules.set_carry("", "a", b'{"v":1,"s":5}', rig.settings))
    await rig.ask(schedules.pause("", "a", rig.settings))

    await start(rig, declaring(a=every("30d", start=FAR)))

    found = (await stored(rig))["a"]
    assert ("30d", b'{"v":1,"s":5}', "paused") == (found.definition.text, found.carry, found.label)


async def test_one_that_cannot_be_is_told_of_and_the_others_are_stored(rig: Rig) -> None:
    past = once(datetime(2020, 1, 1, tzinfo=UTC))

    (told,) = await start(rig, declaring(a=past, b=YEARLY, c=every("1h", exclude=["none"])))

    assert ["b"] == list(await stored(rig))
    assert 1 == told.created
    refused = dict(each.split(": ", 1) for each in told.refused)
    assert ["a", "c"] == list(refused)
    assert "it would never fire" in refused["a"]
    assert "there is no calendar 'none'" in refused["c"]


async def test_schedules_of_clients_and_of_other_modules_are_left_alone(rig: Rig) -> None:
    await start(rig, declaring(a=YEARLY, b=YEARLY))
    rig.store.inner._session.connection.execute(
        "UPDATE schedule SET origin = CASE id WHEN 'a' THEN '' ELSE 'code:elsewhere' END"
    )

    told = await start(rig, declaring())

    assert [] == told
    assert ["a", "b"] == list(await stored(rig))


async def test_a_worker_without_handlers_of_a_module_removes_nothing_of_it(rig: Rig) -> None:
    await start(rig, declaring(a=YEARLY))

    told = await start(rig, lambda registry: None)

    assert [] == told
    assert ["a"] == list(await stored(rig))


async def test_one_that_is_declared_paused_is_so_at_first_only(rig: Rig) -> None:
    def declare(registry: Registry) -> None:
        registry.schedule("a", YEARLY, a_kind(registry).call(), paused=True)

    await start(rig, declare)
    at_first = (await stored(rig))["a"].label
    await rig.ask(schedules.resume("", "a", rig.settings))

    await start(rig, declare)

    assert ("paused", "active") == (at_first, (await stored(rig))["a"].label)


async def test_a_busy_store_is_asked_again(rig: Rig) -> None:
    rig.store.refuse("put", StoreBusyError("locked"), times=3)

    (told,) = await start(rig, declaring(a=YEARLY))

    assert (1, 4) == (told.created, rig.store.asked["put"])


async def test_a_declared_schedule_fires_in_a_worker(rig: Rig) -> None:
    ran: list[str] = []

    @rig.registry.task(schedule=every("1m"))
    async def work() -> None:
        ran.append("once")

    async with working(rig):
        await rig.clock.sleep(90_000_000)

    assert ["once", "once"] == ran
