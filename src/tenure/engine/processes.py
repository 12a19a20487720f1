"""Processes for handlers that would hold up a worker, or that must be stoppable by force.

Each slot is one spawned process that runs one handler at a time and is kept for the next. A
handler that overruns its time is killed with its process, and the next one gets a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from typing import Any

import msgspec

from tenure.engine import process_child
from tenure.engine.running import Run, RunKey
from tenure.kernel.errors import TenureError
from tenure.kernel.model import ErrorReport
from tenure.kernel.outcome import Cancelled, Completed, Failed, Outcome, Snoozed, Steer
from tenure.sdk.task import Kind

# How long a fresh process may take to import the handler's module.
START_S_MAX = 60.0
# How long a process may take to end, once its pipe is closed or it was killed.
END_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class EncodedResult:
    """A result that is JSON already."""

    body: bytes


class Slot:
    """One child process, its pipe, and the threads that talk and listen to it.

    Two threads, because a pipe takes so much and no more: the event loop must not wait until a
    child that has just been spawned, or hangs, reads a large payload.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, error_bytes_max: int) -> None:
        self._loop = loop
        self._hear: Callable[[list[Any] | None], None] | None = None
        self._is_over = False
        self._words: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=process_child.main,
            args=(theirs, error_bytes_max),
            name="tenure-handler",
            daemon=True,
        )
        self._process.start()
        theirs.close()
        self._listener = threading.Thread(target=self._listen, daemon=True, name="tenure-pipe")
        self._listener.start()
        threading.Thread(target=self._talk, daemon=True, name="tenure-pipe-out").start()

    def say(self, word: list[Any]) -> None:
        """Send a word to the child; a dead one is noticed by the listener."""
        self._words.put(word)

    def listen_with(self, hear: Callable[[list[Any] | None], None] | None) -> None:
        """Have every word of the child told on the event loop; None stands for its end."""
        self._hear = hear
        if self._is_over and hear is not None:
            hear(None)

    def kill(self) -> None:
        """End the child at once."""
        self._process.kill()

    def wait(self) -> None:
        """Wait until nothing is left of a child that was killed."""
        self._listener.join(END_S_MAX)

    @property
    def is_over(self) -> bool:
        """Whether the child has ended, as far as we have heard."""
        return self._is_over

    @property
    def exit_code(self) -> int | None:
        """How the child ended, once it has; negative is a signal's number."""
        return self._process.exitcode

    def _talk(self) -> None:
        while (word := self._words.get()) is not None:
            try:
                self._pipe.send_bytes(msgspec.msgpack.encode(word))
            except OSError:
                return

    def _listen(self) -> None:
        end = _end_of(self._process)
        while (word := self._receive(end)) is not None:
            self._pass_on(word)
        connection.wait([end], END_S_MAX)
        if end != self._process.sentinel:
            os.close(end)
        self._process.kill()
        self._process.join()
        self._words.put(None)
        self._pass_on(None)

    def _receive(self, end: int) -> list[Any] | None:
        """Return the child's next word, or None once it has ended or speaks nonsense."""
        try:
            connection.wait([self._pipe, end])
            if not self._pipe.poll():
                return None
            word: list[Any] = msgspec.msgpack.decode(self._pipe.recv_bytes())
        except (EOFError, OSError, msgspec.DecodeError):
            return None
        return word

    def _pass_on(self, word: list[Any] | None) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed: the worker has gone.
            self._loop.call_soon_threadsafe(self._told, word)

    def _told(self, word: list[Any] | None) -> None:
        self._is_over = self._is_over or word is None
        if self._hear is not None:
            self._hear(word)


def _end_of(process: SpawnProcess) -> int:
    """Return a descriptor that becomes readable when a process has ended.

    What a child has started itself may hold its pipes open, that of the sentinel too.
    """
    if sys.platform == "linux" and process.pid is not None:
        with contextlib.suppress(OSError):
            return os.pidfd_open(process.pid)
    return process.sentinel


class Processes:
    """The process slots of one worker, spawned when needed."""

    def __init__(self, processes_max: int, *, error_bytes_max: int) -> None:
        self._free = asyncio.Semaphore(processes_max or os.cpu_count() or 1)
        self._slots: list[Slot] = []
        self._idle: list[Slot] = []
        self._busy: dict[RunKey, Slot] = {}
        self._error_bytes_max = error_bytes_max

    async def run(self, kind: Kind[..., Any], run: Run) -> Any:
        """Run the handler in a child. Cancelling this kills the child.

        Raises:
            ChildDiedError: the child ended before the handler did.
        """
        async with self._free:
            slot = self._take()
            self._busy[run.key] = slot
            is_sound = False
            try:
                value = await self._converse(slot, kind, run)
                is_sound = True
            finally:
                slot.listen_with(None)
                del self._busy[run.key]
                if is_sound:
                    self._idle.append(slot)
                else:
                    slot.kill()
            return value

    def ask_to_cancel(self, run: Run) -> None:
        """Tell the child, if the run is in one."""
        slot = self._busy.get(run.key)
        if slot is not None:
            slot.say(["cancel"])

    def close(self) -> None:
        """End all children."""
        for slot in self._slots:
            slot.kill()
        for slot in self._slots:
            slot.wait()
        self._idle.clear()
        self._slots.clear()

    def _take(self) -> Slot:
        """Return an idle slot whose child still lives, or a new one."""
        while self._idle:
            slot = self._idle.pop()
            if not slot.is_over:
                return slot
        slot = Slot(asyncio.get_running_loop(), self._error_bytes_max)
        self._slots = [each for each in self._slots if not each.is_over]
        self._slots.append(slot)
        return slot

    async def _converse(self, slot: Slot, kind: Kind[..., Any], run: Run) -> Any:
        answered: asyncio.Future[list[Any] | None] = asyncio.get_running_loop().create_future()

        # A module that hangs while it is imported is no handler yet, so no timeout would end it.
        impatience = asyncio.get_running_loop().call_later(START_S_MAX, slot.kill)

        def hear(word: list[Any] | None) -> None:
            match word:
                case ["begin"]:
                    impatience.cancel()
                    run.begin()
                case ["beat"]:
                    run.beat()
                case ["progress", body]:
                    run.progress(body)
                case _ if not answered.done():
                    answered.set_result(word)

        slot.listen_with(hear)
        function = kind.function
        claim = msgspec.msgpack.encode(run.claim)
        slot.say(["work", function.__module__, function.__qualname__, claim])
        try:
            answer = await answered
        finally:
            impatience.cancel()
        if answer is None:
            raise ChildDiedError(_obituary(slot.exit_code, has_begun=run.has_begun))
        return _value(answer)


class ChildDiedError(TenureError):
    """The process that ran a handler ended before the handler did."""

    code = "process_died"


def _obituary(exit_code: int | None, *, has_begun: bool) -> str:
    text = f"the process of the handler ended with {exit_code}"
    if has_begun:
        return text
    return (
        f"{text} before the handler began; a program that starts a worker must do so under "
        "'if __name__ == \"__main__\"', because a fresh process imports it again"
    )


def _value(answer: list[Any]) -> EncodedResult | Outcome:
    match answer:
        case ["result", body]:
            return EncodedResult(body)
        case ["completed", result, carry, steer]:
            return Completed(
                result=result, carry=carry, steer=steer and msgspec.convert(steer, Steer)
            )
        case ["snoozed", delay_us]:
            return Snoozed(delay_us=delay_us)
        case ["cancelled", reason]:
            return Cancelled(reason=reason)
        case ["failed", type_, text, traceback, retryable, after_us]:
            return Failed(
                error=ErrorReport(type=type_, message=text, traceback=traceback),
                retryable=retryable,
                retry_after_us=after_us,
            )
        case _:
            raise ChildDiedError(f"the process of the handler said {answer[0]!r}")
