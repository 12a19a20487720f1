"""Handlers in threads: real ones, held and let go by events."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from tenure.engine.running import Run, Stop
from tenure.engine.threads import Threads
from tenure.kernel.states import State
from tenure.observe.events import HandlerStuck
from tenure.sdk.context import context
from tests.engine.rig import Parts, Rig
from tests.engine.virtual import settle_down

PATIENCE_S = 10.0


class Gate:
    """Where a handler tells that it has begun and waits to be let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def pass_through(self) -> None:
        self.begun.set()
        assert self.open.wait(PATIENCE_S), "the test never opened the gate"


async def until(condition: Callable[[], Any]) -> None:
    """Let the event loop run until something is so."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + PATIENCE_S
    while not condition():
        assert loop.time() < give_up_at, "it never came to be"
        pause = loop.create_future()
        loop.call_later(0.001, pause.set_result, None)
        await pause


async def call(threads: Threads, function: Callable[[], Any]) -> asyncio.Future[Any]:
    """Submit a call as the engine does."""
    await threads.free.acquire()
    return threads.submit(function, contextvars.copy_context(), threads.free.release)


async def begin(real: Rig, gate: Gate, **options: Any) -> tuple[Parts, Run]:
    """Start a handler that waits at a gate in a thread."""

    def work() -> str:
        gate.pass_through()
        return context().task_id

    kind = real.registry.task(name="work", **options)(work)
    await real.enqueue(kind)
    parts = real.parts()
    await parts.claimer.tick()
    await until(gate.begun.is_set)
    (run,) = parts.runs
    return parts, run


async def test_a_value_and_an_error_come_back_from_a_thread(real: Rig) -> None:
    threads = Threads(2)

    good = await call(threads, lambda: threading.current_thread().name)
    bad = await call(threads, functools.partial(int, "x"))

    assert (await good).startswith("tenure-handler-")
    with pytest.raises(ValueError, match="invalid literal"):
        await bad
    threads.close()


async def test_stop_iteration_comes_back_as_an_error_that_a_future_can_carry(real: Rig) -> None:
    threads = Threads(1)

    with pytest.raises(RuntimeError, match="the handler raised StopIteration"):
        await (await call(threads, functools.partial(next, iter(()))))
    threads.close()


async def test_a_thread_is_kept_for_the_next_call(real: Rig) -> None:
    threads = Threads(5)

    names = {await (await call(threads, threading.get_ident)) for _ in range(20)}

    assert 1 == len(names)
    threads.close()


async def test_calls_made_at_once_each_have_a_thread(real: Rig) -> None:
    """A thread that was about to take the first call was counted as free for the second too."""
    threads = Threads(8)
    await (await call(threads, threading.get_ident))
    gates = [Gate() for _ in range(8)]

    futures = [await call(threads, gate.pass_through) for gate in gates]
    await until(lambda: all(gate.begun.is_set() for gate in gates))
    for gate in gates:
        gate.open.set()
    await asyncio.gather(*futures)

    assert 8 == threads._made
    threads.close()


async def test_never_more_threads_than_allowed(real: Rig) -> None:
    threads = Threads(2)

    for _ in range(50):
        futures = [await call(threads, threading.get_ident) for _ in range(2)]
        await asyncio.gather(*futures)

    assert threads._made <= 2
    threads.close()


async def test_threads_do_not_keep_a_process_from_ending(real: Rig) -> None:
    threads = Threads(1)

    is_daemon = await (await call(threads, lambda: threading.current_thread().daemon))

    assert is_daemon
    threads.close()


async def test_idle_threads_end_when_they_are_closed(real: Rig) -> None:
    threads = Threads(3)
    thread = await (await call(threads, threading.current_thread))

    threads.close()
    thread.join(PATIENCE_S)

    assert not thread.is_alive()


async def test_an_idle_thread_holds_on_to_nothing(real: Rig) -> None:
    class Large:
        """An argument."""

        def use(self) -> None:
            """Be used."""

    threads = Threads(1)
    large = Large()
    seen = weakref.ref(large)
    await (await call(threads, large.use))

    del large
    await until(lambda: seen() is None)

    threads.close()


async def test_a_handler_in_a_thread_has_its_context_and_its_result(real: Rig) -> None:
    gate = Gate()
    parts, _ = await begin(real, gate)

    gate.open.set()
    await until(lambda: not parts.settler.is_empty)
    await parts.write()

    task = await real.task()
    assert (State.COMPLETED, b'"task-1"') == (task.state, task.result)
    parts.places.close()


async def test_what_a_handler_sets_in_its_context_is_gone_in_the_next(real: Rig) -> None:
    mark: contextvars.ContextVar[int] = contextvars.ContextVar("mark", default=0)
    seen: list[int] = []

    def work() -> None:
        seen.append(mark.get())
        mark.set(1)

    real.set(worker={"threads": 1})
    await real.enqueue_many(real.registry.task(work), 3)
    parts = real.parts()
    await parts.claimer.tick()
    await until(lambda: len(seen) == 3)

    assert [0, 0, 0] == seen
    parts.places.close()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_whatever_a_handler_raises_in_a_thread_fails_its_attempt(
    real: Rig, error: BaseException
) -> None:
    def work() -> None:
        raise error

    await real.enqueue(real.registry.task(work))
    parts = real.parts()
    await parts.claimer.tick()
    await until(lambda: not parts.settler.is_empty)
    await parts.write()

    (attempt,) = await real.attempts()
    assert attempt.error is not None
    assert type(error).__name__ == attempt.error.type.rpartition(".")[2]
    parts.places.close()


async def test_a_thread_that_ignores_its_timeout_is_stuck_and_holds_its_slot(real: Rig) -> None:
    gate = Gate()
    real.set(worker={"slots": 1})
    parts, run = await begin(real, gate)

    parts.executor.stop(run, Stop.TIMEOUT)
    await parts.write()

    assert [HandlerStuck(task_id="task-1", kind="work", stuck=1)] == real.told(HandlerStuck)
    assert (1, False) == (parts.executor.stuck, parts.executor.slots.has_room(1))
    assert (State.PENDING, 0) == ((await real.task()).state, len(parts.running))
    gate.open.set()
    parts.places.close()


async def test_a_stuck_thread_that_ends_after_all_frees_its_slot(real: Rig) -> None:
    gate = Gate()
    real.set(worker={"slots": 1})
    parts, run = await begin(real, gate)
    parts.executor.stop(run, Stop.TIMEOUT)
    await parts.write()
    told: list[int] = []
    parts.executor.when_free = lambda: told.append(parts.executor.stuck)

    gate.open.set()
    await until(lambda: told)

    assert ([0], True) == (told, parts.executor.slots.has_room(1))
    assert State.PENDING is (await real.task()).state
    parts.places.close()


async def test_a_thread_is_told_that_its_lease_is_lost(real: Rig) -> None:
    gate, told = Gate(), threading.Event()

    def work() -> None:
        here = context()
        gate.pass_through()
        try:
            here.heartbeat()
        finally:
            told.set()

    await real.enqueue(real.registry.task(work))
    parts = real.parts()
    await parts.claimer.tick()
    await until(gate.begun.is_set)
    (run,) = parts.runs

    parts.executor.stop(run, Stop.LOST)
    await settle_down()
    gate.open.set()
    await until(lambda: parts.executor.stuck == 0 and told.is_set())

    assert ([], 0) == (await real.attempts(), len(parts.running))
    parts.places.close()


async def test_who_waits_for_a_thread_has_not_begun_and_is_released(real: Rig) -> None:
    gate = Gate()
    real.set(worker={"threads": 1})
    parts, _ = await begin(real, gate)
    await real.enqueue(real.registry.get("work"), id="second")
    await parts.claimer.tick()
    await settle_down()

    released = parts.executor.release_waiting()
    await parts.write()

    second = await real.task("second")
    assert (1, State.PENDING, 0) == (released, second.state, second.attempt)
    gate.open.set()
    parts.places.close()


async def test_the_time_of_a_handler_counts_from_when_it_has_a_thread(real: Rig) -> None:
    gate = Gate()
    real.set(worker={"threads": 1})
    parts, _ = await begin(real, gate)
    await real.enqueue(real.registry.get("work"), id="second", timeout_us=1)
    await parts.claimer.tick()
    await settle_down()
    second = next(run for run in parts.running if run.claim.id == "second")

    before = second.has_begun, second.timers
    gate.open.set()
    await until(lambda: second.has_begun)

    assert (False, []) == before
    parts.places.close()


async def test_a_system_without_threads_to_give_fails_the_attempt_and_keeps_its_slot_free(
    real: Rig,
) -> None:
    def work() -> None:
        """Never called."""

    await real.enqueue(real.registry.task(work))
    parts = real.parts()
    with patch.object(
        threading.Thread, "start", side_effect=RuntimeError("can't start new thread")
    ):
        await parts.claimer.tick()
        await until(lambda: not parts.settler.is_empty)
    await parts.write()

    (attempt,) = await real.attempts()
    assert attempt.error is not None
    assert ("RuntimeError", 0) == (attempt.error.type, parts.executor.stuck)
    assert real.settings.worker.threads == parts.places._threads.free._value


async def test_who_waits_for_a_thread_is_given_back_once_all_are_stuck(real: Rig) -> None:
    """It would have waited here, with its lease renewed, for as long as the worker lived."""
    gate = Gate()
    real.set(worker={"threads": 1})
    parts, run = await begin(real, gate)
    await real.enqueue(real.registry.get("work"), id="second")
    await parts.claimer.tick()
    await settle_down()

    parts.executor.stop(run, Stop.TIMEOUT)
    await parts.write()

    second = await real.task("second")
    assert (State.PENDING, 0, 0) == (second.state, second.attempt, len(parts.running))
    gate.open.set()
    parts.places.close()
