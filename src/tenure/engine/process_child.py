"""The other end of a process slot: run one handler after another, as told over a pipe.

Words go both ways as MessagePack lists, the first element naming the word. The user's
arguments and results cross as the JSON they are stored as; nothing is pickled.
"""

from __future__ import annotations

import importlib
import os
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from tenure.engine.faults import report
from tenure.kernel.errors import ConfigError, InvalidError, LimitError
from tenure.kernel.model import Claim
from tenure.kernel.outcome import Cancelled, Completed, Failed, Outcome, Snoozed
from tenure.sdk.context import TaskContext, current
from tenure.sdk.next_run import Next
from tenure.sdk.recurring import completed
from tenure.sdk.retrying import GiveUp, RetryLater
from tenure.sdk.task import Kind

_CLAIM = msgspec.msgpack.Decoder(Claim)


class PipeLink:
    """The context's line to the executor, over the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self.cancel_asked = False
        self.is_lost = False
        self._pipe = pipe
        # A handler may beat in threads of its own.
        self._lock = threading.Lock()

    def say(self, word: list[Any]) -> None:
        """Send a word to the worker."""
        self.send(msgspec.msgpack.encode(word))

    def send(self, body: bytes) -> None:
        """Send an encoded word."""
        with self._lock:
            self._pipe.send_bytes(body)

    def begin(self) -> None:
        """Say that the handler is about to be called: from now on its time counts."""
        self.say(["begin"])

    def beat(self) -> None:
        """Say that the handler lives."""
        self.say(["beat"])

    def progress(self, body: bytes) -> None:
        """Pass on what the handler said of its progress."""
        self.say(["progress", body])


def main(pipe: Connection, error_bytes_max: int) -> None:
    """Serve until the pipe is closed. The parent alone decides when this process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    works: list[list[Any]] = []
    arrived = threading.Semaphore(0)
    link = PipeLink(pipe)

    def listen() -> None:
        while True:
            try:
                word: list[Any] = msgspec.msgpack.decode(pipe.recv_bytes())
            except (EOFError, OSError):
                # The worker is gone. Whatever runs here belongs to nobody any more.
                os._exit(1)
            if word[0] == "cancel":
                link.cancel_asked = True
            else:
                # Here and not when the work begins: a wish that follows at once must stand.
                link.cancel_asked = False
                works.append(word)
                arrived.release()

    threading.Thread(target=listen, daemon=True).start()
    while True:
        arrived.acquire()
        _, module, name, claim = works.pop()
        link.send(_work(module, name, _CLAIM.decode(claim), link, error_bytes_max))


def _work(module: str, name: str, claim: Claim, link: PipeLink, error_bytes_max: int) -> bytes:
    """Run a handler; return the word to answer with, encoded."""
    try:
        kind = _find(module, name)
        args, kwargs = kind.codec.decode(claim.payload)
        current.set(TaskContext(claim, link, kind.states))
        link.begin()
        value = kind.function(*args, **kwargs)
        return msgspec.msgpack.encode(_told(kind, value))
    # A handler may raise anything; the executor decides what it means.
    except BaseException as error:  # noqa: BLE001 - carried to the executor
        told = report(error, bytes_max=error_bytes_max)
        kind_found = locals().get("kind")
        retryable = not isinstance(error, GiveUp | InvalidError | LimitError | ConfigError)
        if kind_found is not None:
            retryable = retryable and kind_found.settings.retry.allows(error)
        after_us = error.after_us if isinstance(error, RetryLater) else None
        return msgspec.msgpack.encode(
            ["failed", told.type, told.message, told.traceback, retryable, after_us]
        )


def _find(module: str, name: str) -> Kind[..., Any]:
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        error.add_note(f"A fresh process imports {module!r}, where the handler is defined.")
        raise
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Kind):
        raise ConfigError(
            f"{module}.{name} is not a handler in a fresh process: define it at the top level of "
            "an importable module",
            key=name,
        )
    return found


def _told(kind: Kind[..., Any], value: object) -> list[Any]:
    if isinstance(value, Next):
        value = completed(value, kind.states, kind.codec.encode_result)
    outcome = value if isinstance(value, Outcome) else None
    match outcome:
        case None:
            return ["result", kind.codec.encode_result(value)]
        case Snoozed():
            return ["snoozed", outcome.delay_us]
        case Cancelled():
            return ["cancelled", outcome.reason]
        case Completed(also=None):
            return ["completed", outcome.result, outcome.carry, outcome.steer]
        case Failed():
            told = outcome.error
            return [
                "failed",
                told.type,
                told.message,
                told.traceback,
                outcome.retryable,
                outcome.retry_after_us,
            ]
        case _:
            what = type(outcome).__name__ + (".also" if isinstance(outcome, Completed) else "")
            raise InvalidError(f"a handler in a process cannot return {what}", field="result")
