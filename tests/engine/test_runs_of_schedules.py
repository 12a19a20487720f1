"""What a run of a schedule hands on with `Next`: its state, when the next is, the rule after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tenure
from tenure.engine.places import Places
from tenure.engine.processes import Processes
from tenure.engine.threads import Threads
from tenure.kernel.model import Task
from tenure.kernel.schedules.model import Schedule, Template
from tenure.kernel.schedules.policies import Overlap
from tenure.kernel.states import State
from tenure.sdk.next_run import Next
from tenure.sdk.task import CallableKind, Registry
from tenure.sdk.when import When, cron, every
from tenure.service import schedules
from tenure.service.schedules import Wanted
from tests.engine import process_handlers as handlers
from tests.engine.rig import Parts, Rig
from tests.engine.test_threads import until
from tests.engine.virtual import settle_down
from tests.store.drivers import SECOND_US, START_US

START = datetime.fromtimestamp(START_US // SECOND_US, UTC)
HOURLY = every("1h")
LATER = START + timedelta(minutes=7)
RUNTIMES = ["coroutine", "thread"]


@dataclass
class Cursor:
    page: int
    seen: list[str]


def a_kind(
    registry: Registry, runtime: str, body: Callable[[], Any], **choices: Any
) -> CallableKind[..., Any, Any]:
    """Register a handler, as a coroutine or for a thread."""

    async def slow() -> Any:
        return body()

    handler: Any = slow if runtime == "coroutine" else body
    return registry.task(name="work", **choices)(handler)


async def put(rig: Rig, kind: str, when: When = HOURLY) -> None:
    template = Template(kind=kind, payload=b"{}")
    wanted = Wanted(id="s", definition=when.definition, template=template)
    await rig.ask(schedules.ensure("", wanted, rig.settings))


async def schedule(rig: Rig) -> Schedule:
    return await rig.ask(schedules.get("", "s", rig.settings))


async def perform(parts: Parts) -> Task:
    """Let the schedule's next run begin and end, whenever it is due, and return it."""
    due_us = (await schedule(parts.rig)).next_fire_at_us
    assert due_us is not None
    parts.rig.clock.pass_us(max(0, due_us - parts.rig.clock.time_us))
    await parts.elector.tick()
    await parts.scheduler.tick()
    await parts.claimer.tick()
    await settle_down()
    await until(lambda: not parts.settler.is_empty)
    await parts.write()
    return (await parts.rig.ask(schedules.runs("", "s", parts.rig.settings)))[0]


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_each_run_has_the_state_that_the_last_one_returned(real: Rig, runtime: str) -> None:
    seen: list[Any] = []

    def work() -> Any:
        seen.append(tenure.context().state)
        return Next(state={"turn": len(seen)})

    a_kind(real.registry, runtime, work)
    await put(real, "work")
    parts = real.parts()

    for _ in range(3):
        await perform(parts)

    assert [None, {"turn": 1}, {"turn": 2}] == seen


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_a_run_says_when_the_next_one_is_and_after_it_the_rule_goes_on(
    real: Rig, runtime: str
) -> None:
    results = [Next(result="first", at=LATER), "second"]
    a_kind(real.registry, runtime, lambda: results.pop(0))
    await put(real, "work")
    parts = real.parts()
    first = await perform(parts)
    between = await schedule(real)

    second = await perform(parts)

    assert (b'"first"', b'"second"') == (first.result, second.result)
    assert START_US + 7 * 60 * SECOND_US == between.steered_us == second.run_at_us
    assert START_US + 3_600 * SECOND_US == (await schedule(real)).next_fire_at_us


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_a_run_changes_the_rule_and_leaves_the_policies(real: Rig, runtime: str) -> None:
    a_kind(real.registry, runtime, lambda: Next(when=cron("*/5 * * * *")))
    await put(real, "work", every("1h", overlap="queue_one"))
    parts = real.parts()

    await perform(parts)

    changed = await schedule(real)
    assert ("cron", "*/5 * * * *") == (changed.definition.rule.value, changed.definition.text)
    assert Overlap.QUEUE_ONE is changed.definition.policies.overlap
    assert (changed.next_fire_at_us or 0) - START_US == 100 * SECOND_US


async def test_a_rule_that_would_never_fire_sets_the_schedule_aside_and_the_run_is_done(
    real: Rig,
) -> None:
    a_kind(real.registry, "coroutine", lambda: Next(when=tenure.once(START - timedelta(days=1))))
    await put(real, "work")

    run = await perform(real.parts())

    assert State.COMPLETED is run.state
    assert "faulty" == (await schedule(real)).label
    assert "it would never fire" in ((await schedule(real)).trouble or "")


async def test_what_a_run_says_of_the_next_counts_for_one_that_counts_from_ends(real: Rig) -> None:
    a_kind(real.registry, "coroutine", lambda: Next(at=LATER))
    await put(real, "work", every("1h", drift="delay"))

    await perform(real.parts())

    assert START_US + 7 * 60 * SECOND_US == (await schedule(real)).next_fire_at_us


async def test_counted_from_ends_the_next_is_so_long_after_the_end(real: Rig) -> None:
    gate = asyncio.Event()

    @real.registry.task
    async def work() -> None:
        await gate.wait()

    await put(real, "work", every("1h", drift="delay"))
    parts = real.parts()
    await parts.elector.tick()
    await parts.scheduler.tick()
    await parts.start()
    real.clock.pass_s(1_000)
    while_it_runs = await schedule(real)

    gate.set()
    await until(lambda: not parts.settler.is_empty)
    await parts.write()

    assert ("running", None) == (while_it_runs.label, while_it_runs.next_fire_at_us)
    assert START_US + (1_000 + 3_600) * SECOND_US == (await schedule(real)).next_fire_at_us


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_a_run_that_fails_leaves_the_state_as_it_was(real: Rig, runtime: str) -> None:
    seen: list[Any] = []

    def work() -> Any:
        seen.append(tenure.context().state)
        if len(seen) == 2:
            raise tenure.GiveUp("no use")
        return Next(state=len(seen))

    a_kind(real.registry, runtime, work)
    await put(real, "work")
    parts = real.parts()

    ends = [(await perform(parts)).state for _ in range(3)]

    assert [State.COMPLETED, State.FAILED, State.COMPLETED] == ends
    assert [None, 1, 1] == seen


async def test_a_run_that_says_nothing_of_the_state_leaves_it_as_it_was(real: Rig) -> None:
    seen: list[Any] = []
    results: list[Any] = [Next(state="kept"), Next(result=5), "plain", Next(state=None), None]

    def work() -> Any:
        seen.append(tenure.context().state)
        return results.pop(0)

    a_kind(real.registry, "coroutine", work)
    await put(real, "work")
    parts = real.parts()

    for _ in range(5):
        await perform(parts)

    assert [None, "kept", "kept", "kept", None] == seen


async def test_state_is_of_the_type_that_the_kind_names(real: Rig) -> None:
    seen: list[Any] = []

    def work() -> Any:
        seen.append(tenure.context().state)
        return Next(state=Cursor(page=len(seen), seen=["a"]))

    a_kind(real.registry, "coroutine", work, state=Cursor)
    await put(real, "work")
    parts = real.parts()

    for _ in range(2):
        await perform(parts)

    assert [None, Cursor(page=1, seen=["a"])] == seen


async def test_a_state_that_is_not_of_the_type_fails_the_run_for_good(real: Rig) -> None:
    a_kind(real.registry, "coroutine", lambda: Next(state={"page": "one"}), state=Cursor)
    await put(real, "work")

    run = await perform(real.parts())

    (attempt,) = await real.attempts(run.id)
    assert State.FAILED is run.state
    assert attempt.error is not None
    assert "the state of 'work' does not fit its type" in attempt.error.message
    assert (await schedule(real)).carry is None


async def test_older_state_is_brought_up_step_by_step(real: Rig) -> None:
    seen: list[Any] = []

    def work() -> None:
        seen.append(tenure.context().state)

    a_kind(
        real.registry,
        "coroutine",
        work,
        state=Cursor,
        state_version=3,
        migrate_state={1: lambda page: {"page": page}, 2: lambda old: {**old, "seen": ["none"]}},
    )
    await put(real, "work")
    await real.ask(schedules.set_carry("", "s", b'{"v":1,"s":4}', real.settings))

    await perform(real.parts())

    assert [Cursor(page=4, seen=["none"])] == seen


async def test_state_of_a_newer_version_is_refused_and_stays_as_it_is(real: Rig) -> None:
    newer = b'{"v":3,"s":{"unknown":1}}'
    a_kind(real.registry, "coroutine", lambda: Next(state=tenure.context().state), state_version=2)
    await put(real, "work")
    await real.ask(schedules.set_carry("", "s", newer, real.settings))

    run = await perform(real.parts())

    (attempt,) = await real.attempts(run.id)
    assert State.FAILED is run.state
    assert attempt.error is not None
    assert "is of version 3, and this code knows versions up to 2" in attempt.error.message
    assert newer == (await schedule(real)).carry


async def test_a_retried_attempt_has_the_same_state_again(real: Rig) -> None:
    seen: list[Any] = []

    def work() -> Any:
        seen.append(tenure.context().state)
        if len(seen) == 2:
            raise tenure.RetryLater("busy", after=1)
        return Next(state=len(seen))

    a_kind(real.registry, "coroutine", work, retry=tenure.retry(3))
    await put(real, "work", every("1h"))
    parts = real.parts()
    await perform(parts)
    run = await perform(parts)

    assert State.FAILED is run.state
    assert [None, 1] == seen


async def test_a_task_of_no_schedule_may_return_next_too(real: Rig) -> None:
    kind = a_kind(
        real.registry,
        "coroutine",
        lambda: (tenure.context().state, Next(result=3, state=1, at=LATER))[1],
    )
    parts = real.parts()
    await real.enqueue(kind)
    await parts.start()

    await parts.write()

    task = await real.task()
    assert (State.COMPLETED, b"3") == (task.state, task.result)


async def test_a_run_knows_its_schedule_and_its_instant(real: Rig) -> None:
    seen: list[Any] = []

    def work() -> None:
        here = tenure.context()
        seen.append((here.schedule_id, here.scheduled_at))

    a_kind(real.registry, "coroutine", work)
    await put(real, "work", every("1h", start=LATER))

    await perform(real.parts())

    assert [("s", LATER)] == seen


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all tests, so that they can share a process: to start one takes long."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def processes(runner: asyncio.Runner) -> Iterator[Processes]:
    """At most one process at a time."""
    made = Processes(1, error_bytes_max=16_384)
    yield made
    made.close()


async def test_state_and_what_comes_next_cross_the_pipe(
    real: Rig, runner: asyncio.Runner, processes: Processes
) -> None:
    real.registry = handlers.registry
    parts = real.parts()
    parts.executor._places = Places(Threads(1), processes)
    await put(real, "hand_on", every("1h", overlap="queue_one"))
    first = await perform(parts)
    after_first = await schedule(real)

    second = await perform(parts)

    after = await schedule(real)
    assert (b"0", b"1") == (first.result, second.result)
    assert START_US + 7 * 60 * SECOND_US == after_first.next_fire_at_us
    assert b'{"v":2,"s":{"turn":2}}' == after.carry
    assert ("cron", "30 4 * * *") == (after.definition.rule.value, after.definition.text)
    assert Overlap.QUEUE_ONE is after.definition.policies.overlap
