"""Threads for handlers that are plain functions.

Not `ThreadPoolExecutor`: its threads are joined when the process ends, so that one stuck
handler would keep a worker from ever stopping.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Work:
    """One call in a thread, and where its result goes."""

    call: Callable[[], Any]
    context: Context
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    when_ended: Callable[[], None]


class Threads:
    """Daemon threads, made when needed and then kept, at most so many.

    Whoever submits a call holds a permit of `free`, and gives it back when the call has ended. So
    none waits where it cannot be taken back.
    """

    def __init__(self, threads_max: int) -> None:
        self.free: asyncio.Semaphore = asyncio.Semaphore(threads_max)
        self._threads_max = threads_max
        self._works: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._idle = 0  # threads that wait, but for those that a work already waits for
        self._made = 0
        self._lock = threading.Lock()

    def submit(
        self, call: Callable[[], Any], context: Context, when_ended: Callable[[], None]
    ) -> asyncio.Future[Any]:
        """Run *call* in a thread; the future may be given up, the call goes on all the same.

        *when_ended* is called on the event loop once the thread is free again.

        Raises:
            RuntimeError: the system gives us no further thread; nothing will be called.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._lock:
            is_one_idle = self._idle > 0
            self._idle -= is_one_idle
        if not is_one_idle:
            self._make()
        self._works.put(Work(call, context, loop, future, when_ended))
        return future

    def close(self) -> None:
        """Let idle threads end. Those that are stuck end with the process."""
        for _ in range(self._made):
            self._works.put(None)

    def _make(self) -> None:
        assert self._made < self._threads_max, "whoever submits holds a permit"
        name = f"tenure-handler-{self._made + 1}"
        threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._made += 1

    def _serve(self) -> None:
        while True:
            work = self._works.get()
            if work is None:
                return
            self._carry_out(work)
            del work  # It holds the arguments of a handler that has ended.

    def _carry_out(self, work: Work) -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = work.context.run(work.call)
        except BaseException as raised:  # noqa: BLE001 - carried to the executor
            error = raised
        # Before the permit is given back, or the next call would find no thread for it.
        with self._lock:
            self._idle += 1
        _send(work, value, error)


def _send(work: Work, value: object, error: BaseException | None) -> None:
    try:
        work.loop.call_soon_threadsafe(_deliver, work, value, error)
    except RuntimeError:
        return  # The loop is closed: the worker has gone without us.


def _deliver(work: Work, value: object, error: BaseException | None) -> None:
    if not work.future.done():
        if error is None:
            work.future.set_result(value)
        elif isinstance(error, StopIteration):
            # A future refuses to carry it.
            work.future.set_exception(RuntimeError(f"the handler raised {error!r}"))
        else:
            work.future.set_exception(error)
    work.when_ended()
