"""Start the loops of one worker, keep them, and stop them in the right order.

Start order is the list in `_loops`, read from the top; claimers stop first, so that nothing
new comes while what runs is brought to an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Sequence

from tenure.engine.claimer import Claimer
from tenure.engine.elector import Elector
from tenure.engine.executor import Executor
from tenure.engine.listener import Listener
from tenure.engine.lookout import Lookout
from tenure.engine.loop import Loop
from tenure.engine.places import Places
from tenure.engine.processes import Processes
from tenure.engine.pruner import Pruner
from tenure.engine.reaper import Reaper
from tenure.engine.renewer import Renewer
from tenure.engine.running import Running, Stop
from tenure.engine.scheduler import Scheduler
from tenure.engine.settler import Settler
from tenure.engine.surroundings import Surroundings
from tenure.engine.threads import Threads
from tenure.kernel.errors import StoreError
from tenure.kernel.model import DEFAULT_QUEUE, NO_TENANT, Worker, WorkerId
from tenure.kernel.ports import Verb
from tenure.observe.events import (
    SchedulesReconciled,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)
from tenure.sdk.task import Registry
from tenure.sdk.wanted import declared_wanted, origin_of
from tenure.service.program import run_async
from tenure.service.schedules import Wanted, reconcile
from tenure.setting_forms import mask_url
from tenure.settings import Settings
from tenure.store import workers

LOOK_US = 10_000
# After the grace, and for the last writes: how long a worker tries before it just goes.
FAREWELL_US = 5_000_000
# For writing what was taken away from handlers that do not let themselves be stopped.
LAST_WORD_US = 1_000_000


class Supervisor:
    """One worker, from its registration to its farewell."""

    def __init__(self, around: Surroundings, *, queues: Sequence[str] = ()) -> None:
        """Put a worker together. Without *queues* it serves those of the registry's kinds."""
        settings = around.settings
        self.running: Running = Running()
        self._around = around
        self._stop_asked = asyncio.Event()
        self._is_hurried = False
        names = tuple(queues) or queues_of(around.registry)
        self.worker: Worker = _describe(around.ids.new(), names, settings)
        self._places = Places(
            Threads(settings.worker.threads),
            Processes(settings.worker.processes, error_bytes_max=settings.limits.error_bytes_max),
        )
        running, worker_id = self.running, self.worker.id
        self.settler: Settler = Settler(around, running=running, worker_id=worker_id)
        self.executor: Executor = Executor(
            around, running=running, settler=self.settler, places=self._places
        )
        self.renewer: Renewer = Renewer(
            around, executor=self.executor, running=running, worker=self.worker
        )
        self.claimers: list[Claimer] = [
            Claimer(queue, around, executor=self.executor, running=running, worker_id=worker_id)
            for queue in names
        ]
        self.elector: Elector = Elector(around, worker_id=worker_id)
        self.scheduler: Scheduler = Scheduler(around, elector=self.elector)
        self._loops: list[Loop] = [
            Listener(
                around, claimers=self.claimers, renewer=self.renewer, scheduler=self.scheduler
            ),
            self.settler,
            self.renewer,
            *self.claimers,
            Lookout(around, claimers=self.claimers),
            self.elector,
            self.scheduler,
            Reaper(around, elector=self.elector),
            Pruner(around, elector=self.elector),
        ]
        self.elector.when_won = self.scheduler.wake
        self.executor.when_free = self._wake_hungry
        self.settler.when_written = self._wake_hungry
        self.settler.when_back = self._expect_back

    def ask_to_stop(self) -> None:
        """Stop claiming and drain; asked a second time, do not wait for what runs."""
        if self._stop_asked.is_set():
            self._is_hurried = True
        self._stop_asked.set()

    async def run(self, *, when_started: asyncio.Event | None = None) -> None:
        """Work until asked to stop, then drain.

        Raises:
            StoreError: the worker could not be registered.
        """
        await self._around.store.run(workers.register(self.worker))
        await self._reconcile()
        loop = asyncio.get_running_loop()
        tasks = {each: loop.create_task(each.run(), name=each.name) for each in self._loops}
        self._around.emit(
            WorkerStarted(
                worker_id=self.worker.id,
                url=mask_url(self._around.settings.url),
                queues=self.worker.queues,
                kinds=len(self._around.registry),
                slots=self.worker.slots,
            )
        )
        if when_started is not None:
            when_started.set()
        try:
            await self._stop_asked.wait()
            await self._drain(tasks)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            await self.executor.close()
            self._places.close()

    async def _reconcile(self) -> None:
        """Store the schedules that the code declares, module by module."""
        around = self._around
        wanted: dict[str, list[Wanted]] = {origin_of(kind.function): [] for kind in around.registry}
        for declared in around.registry.declared.values():
            each = declared_wanted(declared)
            wanted[each.origin].append(each)
        for origin, declarations in wanted.items():
            program = reconcile(NO_TENANT, origin, declarations, around.settings)
            done = await run_async(program, around.store, around.clock)
            if done.created or done.updated or done.removed or done.refused:
                around.emit(
                    SchedulesReconciled(
                        created=len(done.created),
                        updated=len(done.updated),
                        unchanged=len(done.unchanged),
                        removed=len(done.removed),
                        refused=tuple(f"{id}: {why}" for id, why in done.refused),
                    )
                )

    async def _drain(self, tasks: dict[Loop, asyncio.Task[None]]) -> None:
        grace_us = self._around.settings.worker.grace_us
        self._around.emit(
            WorkerStopping(worker_id=self.worker.id, running=len(self.running), grace_us=grace_us)
        )
        await self._stop_claiming([tasks[claimer] for claimer in self.claimers])
        released = self.executor.release_waiting()
        async with _briefly():
            for claimer in self.claimers:
                await claimer.close()
            await self._try(workers.stop(self.worker.id))
        await self._until_idle(grace_us, may_be_hurried=True)
        left = [run for run in self.running if not run.is_settling and run.stop is None]
        for run in left:
            self.executor.stop(run, Stop.DRAIN)
        await self._until_idle(FAREWELL_US, may_be_hurried=False)
        for run in self.running:
            self.executor.take_away(run)
        await self._until_idle(LAST_WORD_US, may_be_hurried=False)
        self.elector.stop()
        async with _briefly():
            # It must not take the office anew after it has resigned.
            await asyncio.wait([tasks[self.elector]])
            with contextlib.suppress(StoreError):  # The office falls free by itself.
                await self.elector.resign()
            await self._try(workers.forget(self.worker.id))
        kept = sum(run.stop is Stop.DRAIN for run in self.running)
        self._around.emit(
            WorkerStopped(worker_id=self.worker.id, released=released + len(left) - kept)
        )

    async def _stop_claiming(self, tasks: list[asyncio.Task[None]]) -> None:
        """Let claims under way come to their end; cut short those that the store keeps waiting."""
        for claimer in self.claimers:
            claimer.stop()
        async with _briefly():
            await asyncio.wait(tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_idle(self, patience_us: int, *, may_be_hurried: bool) -> None:
        """Wait until no run is left unwritten, or patience is over."""
        began_us = self._around.clock.monotonic_us()
        while len(self.running):
            if may_be_hurried and self._is_hurried:
                return
            if self._around.clock.monotonic_us() - began_us >= patience_us:
                return
            await self._around.clock.sleep(LOOK_US)

    async def _try(self, verb: Verb[None]) -> None:
        try:
            await self._around.store.run(verb)
        except StoreError:
            return  # A worker that cannot say goodbye is forgotten in time.

    def _expect_back(self, queue: str, delay_us: int) -> None:
        """Claim a task that was put back as soon as it is due, if that is soon."""
        if delay_us <= self._around.settings.claimer.poll_us:
            for claimer in self.claimers:
                if claimer.queue == queue:
                    claimer.wake_in(delay_us)

    def _wake_hungry(self) -> None:
        for claimer in self.claimers:
            if claimer.is_hungry:
                claimer.is_hungry = False
                claimer.wake()


@contextlib.asynccontextmanager
async def _briefly() -> AsyncIterator[None]:
    """Give up after a while, without an error: who cannot say goodbye is forgotten in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FAREWELL_US / 1_000_000):
            yield


def queues_of(registry: Registry) -> tuple[str, ...]:
    """Return the queues that the kinds of a registry go to by default."""
    return tuple(sorted({kind.settings.queue for kind in registry} | {DEFAULT_QUEUE}))


def _version() -> str:
    # Imported here, since it costs as much as the rest of a small program's start.
    from importlib import metadata

    return metadata.version("tenure")


def _describe(worker_id: str, queues: tuple[str, ...], settings: Settings) -> Worker:
    return Worker(
        id=WorkerId(worker_id),
        host=socket.gethostname(),
        pid=os.getpid(),
        version=_version(),
        queues=queues,
        slots=settings.worker.slots,
        started_at_us=0,
        seen_at_us=0,
        stopping_at_us=None,
        stuck=0,
    )
