"""Several worker processes under one parent.

The parent claims nothing. It starts the workers, passes signals on, starts anew whatever dies,
and ends when all have. Each worker is a `tenure worker` of its own, with its own row in the
store; it drains by itself if the parent is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from tenure.service.clockwork import SystemClock
from tenure.settings import LogSettings

WORKERS_MAX = 256
FIRST_WAIT_US = 1_000_000
LAST_WAIT_US = 30_000_000
# A worker that lived for so long is started anew without the waits of those before.
SOUND_US = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many workers, and the command line of each."""

    count: int
    log: LogSettings
    arguments: Sequence[str]


def arguments_of_one(arguments: Sequence[str]) -> list[str]:
    """Return the command line of one worker of those that this process was asked for."""
    kept, given = [], iter(arguments)
    for argument in given:
        if argument == "--workers":
            next(given, None)
        elif not argument.startswith("--workers="):
            kept.append(argument)
    return kept


def run(plan: Plan) -> None:
    """Run the workers until all have ended.

    The application and the store are tried once, in a process of its own: what is wrong with
    them is then told once and not by every worker.
    """
    command = [sys.executable, "-m", "tenure.cli", *plan.arguments]
    tried = subprocess.run(  # noqa: S603 - our own command line
        [*command, "--check"], stdout=subprocess.DEVNULL, check=False
    )
    if tried.returncode:
        click.get_current_context().exit(tried.returncode)
    asyncio.run(Fleet(plan, command).run())


class Fleet:
    """The workers, and what is known of them."""

    def __init__(self, plan: Plan, command: Sequence[str]) -> None:
        self._plan = plan
        self._command = [*command, "--watch-stdin"]
        self._clock = SystemClock()
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._stop_asked = asyncio.Event()
        self._heard = 0

    async def run(self) -> None:
        """Keep every worker until it ends by itself or is told to."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._pass_on, each)
        self._say("info", "workers starting", workers=self._plan.count)
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._plan.count + 1):
                group.create_task(self._keep(number))
        self._say("info", "all workers ended")

    async def _keep(self, number: int) -> None:
        wait_us = FIRST_WAIT_US
        while not self._stop_asked.is_set():
            started_us = self._clock.monotonic_us()
            status = await self._run_one(number)
            if status == 0 or self._stop_asked.is_set():
                return
            if self._clock.monotonic_us() - started_us >= SOUND_US:
                wait_us = FIRST_WAIT_US
            self._say(
                "error",
                "worker process died; it will be started again",
                number=number,
                status=_in_words(status),
                next_try_s=wait_us / 1_000_000,
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_us / 1_000_000):
                    await self._stop_asked.wait()
            wait_us = min(2 * wait_us, LAST_WAIT_US)

    async def _run_one(self, number: int) -> int:
        child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            # Away from the terminal's signals: Ctrl-C would come once from it and once from us.
            process_group=0,
        )
        self._children[number] = child
        if self._stop_asked.is_set():
            child.send_signal(signal.SIGTERM)
        try:
            return await child.wait()
        finally:
            del self._children[number]

    def _pass_on(self, number: int) -> None:
        self._heard += 1
        self._stop_asked.set()
        for child in list(self._children.values()):
            with contextlib.suppress(ProcessLookupError):
                if self._heard > 2:
                    child.kill()
                else:
                    child.send_signal(signal.SIGTERM)
        if self._heard > 2:
            os._exit(128 + number)

    def _say(self, level: str, text: str, **fields: object) -> None:
        """Write a line like those of the workers' log."""
        moment = datetime.fromtimestamp(self._clock.now_us() / 1_000_000, tz=UTC)
        at = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._plan.log.format == "json":
            line = json.dumps({"at": at, "level": level, "text": text, **fields})
        else:
            shown = " ".join(f"{name}={json.dumps(value)}" for name, value in fields.items())
            line = f"{at} {level.upper():<7} {text} {shown}".rstrip()
        click.echo(line, err=True)


def _in_words(status: int) -> str:
    if status >= 0:
        return f"exit code {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
