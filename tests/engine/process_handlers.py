"""Handlers that run in processes of their own; imported there by name."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import tenure
from tenure.kernel.model import ErrorReport
from tenure.kernel.outcome import Cancelled, Completed, Failed, Released, Snoozed
from tenure.kernel.ports import Steps, transaction

registry = tenure.Registry()

ENDLESS_S = 60.0
# What an outcome of each kind looks like when it has crossed the pipe.
OUTCOMES = {
    "snoozed": Snoozed(delay_us=5_000_000),
    "cancelled": Cancelled(reason="no use"),
    "completed": Completed(result=b"[1]", carry=b"more"),
    "empty": Completed(),
    "failed": Failed(
        error=ErrorReport(type="odd", message="said so", traceback="here"),
        retryable=False,
    ),
    "released": Released(),
}


class DamagedError(Exception):
    """An error of the user's."""


@transaction
def nothing() -> Steps[None]:
    """A verb that does nothing."""
    yield from ()


@registry.task(runtime="process")
def whoami(text: str) -> dict[str, Any]:
    here = tenure.context()
    return {"text": text, "pid": os.getpid(), "task": here.task_id, "attempt": here.attempt}


@registry.task(runtime="process")
def fail(word: str) -> None:
    match word:
        case "give up":
            raise tenure.GiveUp("never")
        case "later":
            raise tenure.RetryLater("busy", after=90)
        case "exit":
            raise SystemExit(3)
        case "surrogate":
            raise DamagedError("a name: \udcff")
        case _:
            raise DamagedError(word)


@registry.task(runtime="process")
def come_to(word: str) -> Any:
    if word == "verb":
        return Completed(also=nothing())
    if word == "unwritable":
        return object()
    if word == "surrogate":
        return Cancelled(reason="a name: \udcff")
    return OUTCOMES[word]


@registry.task(runtime="process")
def say(words: list[float]) -> None:
    for word in words:
        tenure.context().progress(word)
    threads = [threading.Thread(target=beat, args=(tenure.context(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def beat(here: tenure.TaskContext) -> None:
    for _ in range(200):
        here.heartbeat()
        here.progress(1, text="x" * 400)


@registry.task(runtime="process")
def until_cancelled(begun: str) -> str:
    """Tell that it has begun, and wait until it is asked to cancel."""
    Path(begun).touch()
    pause = threading.Event()
    for _ in range(round(ENDLESS_S / 0.005)):
        if tenure.context().cancel_asked:
            return "tidied up"
        pause.wait(0.005)
    return "never asked"


@registry.task(runtime="process")
def hang(begun: str) -> None:
    Path(begun).touch()
    threading.Event().wait(ENDLESS_S)


@registry.task(runtime="process")
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@registry.task(runtime="process")
def die_and_leave_a_child() -> None:
    """Die, but for a process that holds everything open that we had."""
    if os.fork() == 0:
        threading.Event().wait(2)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


@registry.task(runtime="process")
def measure(text: str) -> int:
    return len(text)


@registry.task(runtime="process", state_version=2)
def hand_on() -> Any:
    """Say first when the next run is, and then by what rule all others are."""
    here = tenure.context()
    turn = 0 if here.state is None else here.state["turn"]
    if turn == 0:
        return tenure.Next(result=0, state={"turn": 1}, at=here.scheduled_at + timedelta(minutes=7))
    rule = tenure.cron("30 4 * * *", zone="Europe/Berlin", exclude=["holidays"])
    return tenure.Next(result=turn, state={"turn": turn + 1}, when=rule)
