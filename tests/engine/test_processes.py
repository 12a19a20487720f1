"""Handlers in real processes: what crosses the pipe, and what kills them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tenure.engine.places import Places
from tenure.engine.processes import Processes
from tenure.engine.running import Run, Stop
from tenure.engine.threads import Threads
from tenure.kernel.errors import InvalidError
from tenure.kernel.model import Attempt, Task
from tenure.kernel.states import State
from tenure.sdk.task import Kind, Registry
from tests.engine import process_handlers as handlers
from tests.engine.rig import Parts, Rig
from tests.engine.test_threads import until
from tests.engine.virtual import settle_down
from tests.store.drivers import SECOND_US


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


@pytest.fixture
def parts(real: Rig, processes: Processes) -> Parts:
    """A worker that knows the handlers."""
    real.registry = handlers.registry
    made = real.parts()
    made.processes = processes
    made.executor._places = made.places = Places(Threads(1), processes)
    return made


async def start(parts: Parts, kind: Kind[..., Any], *args: Any, **fields: Any) -> Run:
    """Start a handler in a process."""
    await parts.rig.enqueue(kind, *args, **fields)
    await parts.claimer.tick()
    return next(run for run in parts.running if not run.is_settling)


async def under_way(parts: Parts, begun: Path) -> None:
    """Wait until the handler runs in the child and the worker has heard of it."""
    await until(lambda: begun.exists() and all(run.has_begun for run in parts.runs))


async def finish(parts: Parts, id: str = "task-1") -> Task:
    """Wait for its end."""
    await until(lambda: not parts.settler.is_empty)
    await parts.write()
    return await parts.rig.task(id)


async def perform(parts: Parts, kind: Kind[..., Any], *args: Any, **fields: Any) -> Task:
    await start(parts, kind, *args, **fields)
    return await finish(parts, fields.get("id", "task-1"))


async def only_attempt(parts: Parts) -> Attempt:
    (attempt,) = await parts.rig.attempts()
    assert attempt.error is not None
    return attempt


def child_of(parts: Parts) -> psutil.Process:
    """Return the one process that lives."""
    (slot,) = (slot for slot in parts.processes._slots if not slot.is_over)
    assert slot._process.pid is not None
    return psutil.Process(slot._process.pid)


async def test_results_come_back_and_the_process_serves_the_next(parts: Parts) -> None:
    first = await perform(parts, handlers.whoami, "a", id="first")
    second = await perform(parts, handlers.whoami, "b", id="second")

    told = [handlers.whoami.codec.decode_result(task.result or b"") for task in (first, second)]
    pids = {answer.pop("pid") for answer in told}
    assert {"text": "a", "task": "first", "attempt": 1} == told[0]
    assert {"text": "b", "task": "second", "attempt": 1} == told[1]
    assert (1, False) == (len(pids), os.getpid() in pids)


async def test_an_error_comes_with_the_traceback_of_the_child(parts: Parts) -> None:
    task = await perform(parts, handlers.fail, "broken")

    error = (await only_attempt(parts)).error
    assert error is not None
    assert State.PENDING is task.state
    assert ("tests.engine.process_handlers.DamagedError", "broken") == (error.type, error.message)
    assert "raise DamagedError(word)" in error.traceback


async def test_what_a_handler_raises_means_what_it_means_elsewhere(parts: Parts) -> None:
    states = {
        word: await perform(parts, handlers.fail, word, id=word)
        for word in ("give up", "later", "exit", "surrogate")
    }

    assert State.FAILED is states["give up"].state
    assert parts.rig.clock.now_us() + 90 * SECOND_US == states["later"].run_at_us
    assert (State.PENDING, State.PENDING) == (states["exit"].state, states["surrogate"].state)
    errors = {word: (await parts.rig.attempts(word))[0].error for word in states}
    assert "SystemExit" == getattr(errors["exit"], "type", "")
    assert "a name: \\udcff" == getattr(errors["surrogate"], "message", "")
    assert child_of(parts).is_running()


async def test_outcomes_cross_the_pipe(parts: Parts) -> None:
    tasks = {
        word: await perform(parts, handlers.come_to, word, id=word)
        for word in (*handlers.OUTCOMES, "verb", "unwritable", "surrogate")
    }

    states = {word: task.state for word, task in tasks.items()}
    assert {
        "snoozed": State.PENDING,
        "cancelled": State.CANCELLED,
        "completed": State.COMPLETED,
        "empty": State.COMPLETED,
        "failed": State.FAILED,
        "released": State.FAILED,
        "verb": State.FAILED,
        "unwritable": State.FAILED,
        "surrogate": State.PENDING,
    } == states
    assert (b"[1]", b"more") == (tasks["completed"].result, tasks["completed"].carry)
    assert (None, "odd") == (tasks["empty"].result, tasks["failed"].cause)
    assert f"{InvalidError.__module__}.InvalidError" == tasks["verb"].cause


async def test_progress_and_signs_of_life_come_over_the_pipe_whole(parts: Parts) -> None:
    """Words of several threads of a handler were mixed up in the pipe."""
    run = await start(parts, handlers.say, [0.25, 0.5])
    beats_us = run.beat_us

    task = await finish(parts)

    assert State.COMPLETED is task.state
    assert task.progress is not None
    assert task.progress.startswith(b'{"fraction":1,"text":"xxx')
    assert run.beat_us > beats_us


async def test_a_wish_to_cancel_is_seen_in_the_child(parts: Parts, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    run = await start(parts, handlers.until_cancelled, str(begun))
    await under_way(parts, begun)

    parts.executor.ask_to_cancel(run)

    assert b'"tidied up"' == (await finish(parts)).result


async def test_a_wish_does_not_outlive_its_attempt(parts: Parts, tmp_path: Path) -> None:
    run = await start(parts, handlers.until_cancelled, str(tmp_path / "first"), id="first")
    await under_way(parts, tmp_path / "first")
    parts.executor.ask_to_cancel(run)
    await finish(parts, "first")

    await start(parts, handlers.until_cancelled, str(tmp_path / "second"), id="second")
    await under_way(parts, tmp_path / "second")
    went_on = parts.settler.is_empty
    (second,) = parts.runs
    parts.executor.ask_to_cancel(second)
    await finish(parts, "second")

    assert went_on


async def test_a_handler_that_overruns_is_killed_and_the_next_has_a_new_process(
    parts: Parts, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    await start(parts, handlers.hang, str(begun), timeout_us=50_000)
    await under_way(parts, begun)
    child = child_of(parts)

    task = await finish(parts)
    following = await perform(parts, handlers.whoami, "b", id="following")

    error = (await only_attempt(parts)).error
    assert error is not None
    assert (State.PENDING, "timeout", 0) == (task.state, error.type, parts.executor.stuck)
    assert State.COMPLETED is following.state
    await until(lambda: not child.is_running())


async def test_a_lost_lease_kills_the_child(parts: Parts, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    run = await start(parts, handlers.hang, str(begun))
    await under_way(parts, begun)
    child = child_of(parts)

    parts.executor.stop(run, Stop.LOST)

    await until(lambda: not child.is_running())
    assert 0 == len(parts.running)


async def test_a_child_that_is_killed_from_outside_is_a_failed_attempt(
    parts: Parts, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    await start(parts, handlers.hang, str(begun))
    await under_way(parts, begun)

    child_of(parts).send_signal(signal.SIGKILL)
    task = await finish(parts)

    error = (await only_attempt(parts)).error
    assert error is not None
    assert (State.PENDING, "tenure.engine.processes.ChildDiedError") == (task.state, error.type)
    assert "the process of the handler ended with -9" == error.message


async def test_a_child_whose_own_child_lives_on_is_missed_all_the_same(parts: Parts) -> None:
    """What it had started held the pipe open, so that its end was never heard."""
    task = await perform(parts, handlers.die_and_leave_a_child)

    assert State.PENDING is task.state


async def test_a_child_that_died_while_idle_is_replaced(parts: Parts) -> None:
    await perform(parts, handlers.whoami, "a", id="first")
    child_of(parts).kill()
    await until(lambda: all(slot.is_over for slot in parts.processes._slots))

    task = await perform(parts, handlers.whoami, "b", id="second")

    assert State.COMPLETED is task.state


async def test_a_handler_that_a_fresh_process_does_not_find_fails_for_good(parts: Parts) -> None:
    local = Registry()

    @local.task(runtime="process")
    def hidden() -> None:
        """Defined where nobody can import it."""

    handlers.registry._kinds["hidden"] = hidden
    try:
        task = await perform(parts, hidden)
    finally:
        del handlers.registry._kinds["hidden"]

    error = (await only_attempt(parts)).error
    assert error is not None
    assert State.FAILED is task.state
    assert "define it at the top level of an importable module" in error.message


async def test_a_payload_larger_than_a_pipe_takes_does_not_hold_up_the_loop(parts: Parts) -> None:
    """The loop stood still until a process that was being started read its payload."""
    body = handlers.measure.codec.encode(("x" * 2_000_000,), {})
    await perform(parts, handlers.whoami, "", id="first")
    child = child_of(parts)
    child.suspend()

    await parts.rig.enqueue(handlers.measure, "", payload=body)
    await parts.claimer.tick()
    await settle_down()
    child.resume()

    assert b"2000000" == (await finish(parts)).result


async def test_after_closing_nothing_is_left(real: Rig) -> None:
    real.registry = handlers.registry
    real.set(worker={"processes": 1})
    parts = real.parts()
    await perform(parts, handlers.whoami, "a")
    child = child_of(parts)
    names = [thread.name for thread in threading.enumerate()]

    parts.places.close()

    assert not child.is_running()
    left = names.count("tenure-pipe") - 1
    await until(
        lambda: left == [thread.name for thread in threading.enumerate()].count("tenure-pipe")
    )
