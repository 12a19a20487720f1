"""Where handlers run: on the event loop, in a thread, or in a process of their own.

What can be stopped differs, and is said in the docs in one table: a coroutine is cancelled,
a process killed; a thread can only be told, and holds its slot until it ends by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, assert_never

from tenure.engine.processes import EncodedResult, Processes
from tenure.engine.running import Run, RunKey
from tenure.engine.threads import Threads
from tenure.sdk.task import Kind

__all__ = ["EncodedResult", "Places"]


class Places:
    """The three places of one worker."""

    def __init__(self, threads: Threads, processes: Processes) -> None:
        self._threads = threads
        self._processes = processes
        # Runs whose thread has not ended, and what to call when it does.
        self._in_threads: dict[RunKey, Callable[[], None] | None] = {}

    async def run(self, kind: Kind[..., Any], run: Run) -> Any:
        """Run the handler where its kind says; return or raise what it does.

        Raises:
            InvalidError: the payload does not fit the handler's signature.
        """
        match kind.settings.runtime:
            case "coroutine":
                args, kwargs = kind.codec.decode(run.claim.payload)
                run.begin()
                return await kind.function(*args, **kwargs)
            case "thread":
                args, kwargs = kind.codec.decode(run.claim.payload)
                return await self._run_in_thread(
                    functools.partial(kind.function, *args, **kwargs), run
                )
            case "process":
                return await self._processes.run(kind, run)
            case _:
                assert_never(kind.settings.runtime)

    def holds(self, run: Run) -> bool:
        """Return whether a thread still works on the run."""
        return run.key in self._in_threads

    def when_free(self, run: Run, call: Callable[[], None]) -> None:
        """Call back when the run's thread has ended."""
        assert run.key in self._in_threads
        self._in_threads[run.key] = call

    def ask_to_cancel(self, run: Run) -> None:
        """Pass on to a process that its task was asked to cancel; others see it on the run."""
        self._processes.ask_to_cancel(run)

    def close(self) -> None:
        """Let threads and processes end."""
        self._threads.close()
        self._processes.close()

    async def _run_in_thread(self, call: Callable[[], Any], run: Run) -> Any:
        await self._threads.free.acquire()

        def ended() -> None:
            self._threads.free.release()
            when_free = self._in_threads.pop(run.key, None)
            if when_free is not None:
                when_free()

        self._in_threads[run.key] = None
        run.begin()
        try:
            future = self._threads.submit(call, copy_context(), ended)
        except RuntimeError:
            ended()
            raise
        return await future
