"""`tenure worker`: one worker in this process, or several under a parent.

Composes what `tenure.Worker` does for somebody's program, with signals instead of a `with`
block. The only place that knows uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import FrameType

import click

from tenure.cli import application, fleet
from tenure.cli.choices import choose_settings, current, setting_option
from tenure.engine.supervisor import Supervisor
from tenure.engine.surroundings import Surroundings
from tenure.kernel import validate
from tenure.kernel.errors import ConfigError
from tenure.observe.events import Bus
from tenure.observe.log import configure, log_event
from tenure.sdk.task import Registry
from tenure.service.clockwork import SystemClock, SystemRng, Uuid7Ids
from tenure.settings import Settings
from tenure.store.open import open_async

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command()
@click.argument("app")
@click.option("--queue", "-q", "queues", multiple=True, metavar="NAME",
              help="Claim from this queue only; repeat it for more.")  # fmt: skip
@setting_option("--slots", key="worker.slots", metavar="N", help="Tasks at once.")
@setting_option("--threads", key="worker.threads", metavar="N", help="Plain functions at once.")
@setting_option("--processes", key="worker.processes", metavar="N",
                help="Handlers in processes of their own at once.")  # fmt: skip
@setting_option("--lease", key="worker.lease_s", metavar="SECONDS",
                help="How long a dead worker's tasks stay with it.")  # fmt: skip
@setting_option("--grace", key="worker.grace_s", metavar="SECONDS",
                help="How long what runs may go on after the first signal.")  # fmt: skip
@setting_option("--log-level", key="log.level", metavar="LEVEL",
                help="debug, info, warning or error.")  # fmt: skip
@setting_option("--log-format", key="log.format", metavar="FORMAT", help="text or json.")
@click.option("--workers", "count", type=click.IntRange(1, fleet.WORKERS_MAX), default=1,
              metavar="N", help="So many worker processes under one parent.")  # fmt: skip
@click.option("--uvloop/--no-uvloop", "uses_uvloop", default=None,
              help="Use uvloop's event loop. [default: if it is installed]")  # fmt: skip
@click.option("--check", "only_checks", is_flag=True,
              help="Import APP, open the store, say what was found, and stop.")  # fmt: skip
@click.option("--watch-stdin", "watches_stdin", is_flag=True, hidden=True)
@choose_settings
def worker(
    app: str,
    *,
    queues: tuple[str, ...],
    count: int,
    uses_uvloop: bool | None,
    only_checks: bool,
    watches_stdin: bool,
) -> None:
    """Run the tasks of APP until told to stop.

    APP is app.py, package.module, or either with :attribute, where the attribute is a
    tenure.Registry other than the one of @tenure.task.

    SIGTERM or Ctrl-C: claim no more, and let what runs finish within the grace. A second
    signal: give back at once what runs. A third: exit on the spot.
    """
    settings = current().settings()
    names = tuple(dict.fromkeys(validate.name(name, field="queue") for name in queues))
    make_loop = loop_factory(uses_uvloop)
    if count > 1 and not only_checks:
        arguments = fleet.arguments_of_one(current().arguments)
        fleet.run(fleet.Plan(count=count, log=settings.log, arguments=arguments))
        return
    with _announced(settings.url), asyncio.Runner(loop_factory=make_loop) as runner:
        plan = Plan(
            registry=application.load(app),
            queues=names,
            settings=settings,
            watches_stdin=watches_stdin,
        )
        if only_checks:
            runner.run(check(plan))
            kinds = ", ".join(sorted(kind.name for kind in plan.registry))
            click.echo(f"{app}: {len(plan.registry)} kind(s): {kinds}")
        else:
            configure(settings.log)
            runner.run(work(plan))


URL_VARIABLE = "TENURE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one worker is to do."""

    registry: Registry
    queues: Sequence[str]
    settings: Settings
    watches_stdin: bool = False


async def check(plan: Plan) -> None:
    """Open the store, which makes its tables if it has none, and close it."""
    store = await open_async(plan.settings, SystemClock())
    await store.close()


async def work(plan: Plan) -> None:
    """Work until told to stop, then drain.

    Raises:
        StoreError: the store cannot be opened, or the worker not be registered.
    """
    bus = Bus()
    bus.subscribe(log_event)
    store = await open_async(plan.settings, SystemClock())
    try:
        around = Surroundings(
            store=store,
            registry=plan.registry,
            settings=plan.settings,
            clock=SystemClock(),
            ids=Uuid7Ids(),
            rng=SystemRng(),
            bus=bus,
        )
        supervisor = Supervisor(around, queues=plan.queues)
        with stopping_on_signals(asyncio.get_running_loop(), supervisor.ask_to_stop):
            if plan.watches_stdin:
                _stop_without_parent(asyncio.get_running_loop(), supervisor.ask_to_stop)
            await supervisor.run()
    finally:
        await store.close()


@contextlib.contextmanager
def stopping_on_signals(
    loop: asyncio.AbstractEventLoop, ask_to_stop: Callable[[], None]
) -> Iterator[None]:
    """Have the first and the second signal passed on, and end the process at the third.

    The handlers are Python's and not the loop's: they run also while a handler of the user's
    blocks the loop, which is when a third signal is needed.
    """
    heard = 0

    def hear(number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        heard += 1
        if heard > 2:
            os._exit(128 + number)
        with contextlib.suppress(RuntimeError):  # The loop is closed: we are leaving anyway.
            loop.call_soon_threadsafe(ask_to_stop)

    before = {number: signal.signal(number, hear) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _announced(url: str) -> Iterator[None]:
    """Let clients that handlers, or their modules, open be of the store of this worker."""
    environment = os.environ  # noqa: TID251 - not read here, but left for `config.load`
    before = environment.get(URL_VARIABLE)
    environment[URL_VARIABLE] = url
    try:
        yield
    finally:
        environment.pop(URL_VARIABLE)
        if before is not None:
            environment[URL_VARIABLE] = before


def _stop_without_parent(loop: asyncio.AbstractEventLoop, ask_to_stop: Callable[[], None]) -> None:
    """Drain when the other end of standard input is closed: the parent was killed."""

    def listen() -> None:
        while os.read(0, 1024):
            pass
        with contextlib.suppress(RuntimeError):  # The loop is closed: we are leaving anyway.
            loop.call_soon_threadsafe(ask_to_stop)

    threading.Thread(target=listen, name="tenure-parent", daemon=True).start()


def loop_factory(
    uses_uvloop: bool | None,  # noqa: FBT001 - None is the third choice
) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop.

    Raises:
        ConfigError: uvloop was asked for and is not installed.
    """
    is_installed = find_spec("uvloop") is not None
    if uses_uvloop and not is_installed:
        raise ConfigError(
            "uvloop is not installed: pip install 'tenure[fast]', or leave out --uvloop",
            key="uvloop",
            origin="option --uvloop",
        )
    if uses_uvloop is False or not is_installed:
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
