"""A worker inside of somebody's program: real stores, threads and time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest

from tenure import AsyncClient, Client, Registry, Settings, Worker
from tenure.engine.supervisor import Supervisor
from tenure.kernel.errors import ConfigError, StoreDownError
from tenure.kernel.states import State
from tenure.observe.events import WorkerStarted, WorkerStopped
from tenure.settings import WorkerSettings
from tests.engine.test_threads import Gate, until

PATIENCE_S = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(url=f"sqlite:///{tmp_path / 'tenure.db'}", worker=WorkerSettings(grace_us=0))


@pytest.fixture
def registry() -> Registry:
    """One handler of each kind."""
    made = Registry()

    @made.task
    async def add(a: int, b: int) -> int:
        return a + b

    @made.task
    def double(a: int) -> int:
        return 2 * a

    return made


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """See that threads and open files are those of before."""
    me = psutil.Process()
    threads, files = set(threading.enumerate()), me.num_fds()
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), thread.name
    assert files == me.num_fds()


def started_and_stopped(worker: Worker) -> list[str]:
    told: list[str] = []
    worker.bus.subscribe(
        lambda event: (
            told.append(type(event).__name__)
            if isinstance(event, WorkerStarted | WorkerStopped)
            else None
        )
    )
    return told


@pytest.mark.usefixtures("nothing_left")
def test_with_runs_tasks_in_a_thread_and_leaves_nothing_behind(
    settings: Settings, registry: Registry
) -> None:
    with Client(settings=settings) as client:
        worker = Worker(client, registry=registry)
        told = started_and_stopped(worker)

        with worker:
            results = [
                client.enqueue(registry.get("add"), 1, 2).result(timeout=PATIENCE_S),
                client.enqueue(registry.get("double"), 4).result(timeout=PATIENCE_S),
            ]
        listed = client.workers()

    assert ([3, 8], []) == (results, listed)
    assert ["WorkerStarted", "WorkerStopped"] == told


@pytest.mark.usefixtures("nothing_left")
def test_async_with_runs_tasks_on_the_clients_store(settings: Settings, registry: Registry) -> None:
    async def work() -> list[int]:
        async with AsyncClient(settings=settings) as client, Worker(client, registry=registry):
            first = await client.enqueue(registry.get("add"), 1, 2)
            second = await client.enqueue(registry.get("double"), 4)
            return [await each.result(timeout=PATIENCE_S) for each in (first, second)]

    assert [3, 8] == asyncio.run(work())


@pytest.mark.usefixtures("nothing_left")
def test_async_with_opens_and_closes_a_store_of_its_own(
    settings: Settings, registry: Registry
) -> None:
    async def work() -> None:
        async with Worker(settings=settings, registry=registry):
            pass
        assert 1 == len(asyncio.all_tasks())

    asyncio.run(work())


def test_a_client_for_coroutines_needs_async_with(settings: Settings, registry: Registry) -> None:
    worker = Worker(AsyncClient(settings=settings), registry=registry)

    with pytest.raises(ConfigError, match="needs 'async with'"):
        worker.__enter__()


def unopenable(tmp_path: Path) -> Settings:
    return Settings(url=f"sqlite:///{tmp_path / 'nowhere' / 'tenure.db'}")


@pytest.mark.usefixtures("nothing_left")
def test_a_store_that_cannot_be_opened_is_told_where_the_worker_is_started(
    tmp_path: Path, registry: Registry
) -> None:
    worker = Worker(settings=unopenable(tmp_path), registry=registry)

    with pytest.raises(StoreDownError, match="there is no folder"):
        worker.__enter__()
    with pytest.raises(StoreDownError, match="there is no folder"):
        asyncio.run(worker.__aenter__())


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_that_cannot_be_registered_is_told_and_closes_its_store(
    settings: Settings, registry: Registry
) -> None:
    async def refuse(self: Supervisor, **_: object) -> None:
        raise StoreDownError("read-only")

    worker = Worker(settings=settings, registry=registry)
    with patch.object(Supervisor, "run", refuse):
        with pytest.raises(StoreDownError, match="read-only"):
            worker.__enter__()
        with pytest.raises(StoreDownError, match="read-only"):
            asyncio.run(worker.__aenter__())


@pytest.mark.usefixtures("nothing_left")
def test_a_start_that_is_cancelled_leaves_nothing_behind(
    settings: Settings, registry: Registry
) -> None:
    """The worker went on by itself, on a store that nobody closed."""

    async def hang(self: Supervisor, **_: object) -> None:
        await asyncio.get_running_loop().create_future()

    async def enter() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await Worker(settings=settings, registry=registry).__aenter__()
        assert 1 == len(asyncio.all_tasks())

    with patch.object(Supervisor, "run", hang):
        asyncio.run(enter())


def test_a_bad_annotation_is_told_before_any_work(settings: Settings) -> None:
    registry = Registry()

    @registry.task
    def odd(a: "Nowhere") -> None:  # type: ignore[name-defined] # noqa: F821, UP037 - the point
        """Never runs."""

    with pytest.raises(ConfigError, match="names something that is not there"):
        Worker(settings=settings, registry=registry)


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_can_be_used_again_and_not_twice_at_once(
    settings: Settings, registry: Registry
) -> None:
    """The second time it returned before it had started."""
    with Client(settings=settings) as client:
        worker = Worker(client, registry=registry)
        for number in range(2):
            with worker:
                with pytest.raises(ConfigError, match="works already"):
                    worker.__enter__()
                handle = client.enqueue(registry.get("add"), number, 1)
                assert number + 1 == handle.result(timeout=PATIENCE_S)


@pytest.mark.usefixtures("nothing_left")
def test_what_runs_when_the_block_ends_is_given_back(settings: Settings) -> None:
    registry, begun = Registry(), threading.Event()

    @registry.task
    async def work() -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    with Client(settings=settings) as client:
        with Worker(client, registry=registry):
            handle = client.enqueue(work)
            assert begun.wait(PATIENCE_S)
        task = client.get(handle.id)

    assert (State.PENDING, 0) == (task.state, task.attempt)


@pytest.mark.usefixtures("nothing_left")
def test_an_error_in_the_block_comes_out_of_it_after_the_drain(
    settings: Settings, registry: Registry
) -> None:
    with Client(settings=settings) as client:
        with pytest.raises(ZeroDivisionError), Worker(client, registry=registry):
            raise ZeroDivisionError
        listed = client.workers()

    assert [] == listed


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_that_broke_while_it_worked_says_so_at_the_end(
    settings: Settings, registry: Registry
) -> None:
    """The end of the block spoke of a closed event loop, or of nothing."""
    worker = Worker(settings=settings, registry=registry)

    async def break_down(self: Supervisor, tasks: object) -> None:
        raise OSError("broken")

    with patch.object(Supervisor, "_drain", break_down):
        worker.__enter__()
        with pytest.raises(OSError, match="broken"):
            worker.__exit__(None, None, None)


def test_closing_does_not_wait_for_a_thread_that_is_stuck(settings: Settings) -> None:
    registry, gate = Registry(), Gate()

    @registry.task
    def work() -> None:
        gate.pass_through()

    with Client(settings=settings) as client:
        with Worker(client, registry=registry):
            handle = client.enqueue(work)
            assert gate.begun.wait(PATIENCE_S)
        task = client.get(handle.id)

    assert (State.PENDING, False) == (task.state, gate.open.is_set())
    gate.open.set()


def test_a_process_ends_though_a_thread_of_its_worker_is_stuck(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import threading
            import tenure
            from tenure.settings import Settings, WorkerSettings

            begun = threading.Event()

            @tenure.task
            def stuck() -> None:
                begun.set()
                threading.Event().wait()

            settings = Settings(url="sqlite:///tenure.db", worker=WorkerSettings(grace_us=0))
            with tenure.Client(settings=settings) as client, tenure.Worker(client):
                client.enqueue(stuck)
                begun.wait()
            print("closed")
            """
        )
    )

    ended = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
    )

    assert (0, "closed\n") == (ended.returncode, ended.stdout), ended.stderr


@pytest.mark.usefixtures("nothing_left")
def test_two_workers_share_one_file(settings: Settings) -> None:
    registry, names = Registry(), set[str]()

    @registry.task
    def where() -> str:
        return threading.current_thread().name

    with Client(settings=settings) as client, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(Worker(client, registry=registry))
        handles = client.enqueue_many(where.call() for _ in range(50))
        names |= {handle.result(timeout=PATIENCE_S) for handle in handles}
        listed = client.workers()

    assert ({os.getpid()}, 2) == ({worker.pid for worker in listed}, len(listed))
    assert names


async def test_tasks_of_the_loop_that_hosts_a_worker_are_not_its_business(
    settings: Settings, registry: Registry, real: object
) -> None:
    loop = asyncio.get_running_loop()
    other = loop.create_task(until(lambda: False))

    async with Worker(settings=settings, registry=registry):
        pass

    assert not other.done()
    other.cancel()
