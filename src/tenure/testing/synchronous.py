"""The platform under test, for tests that are plain functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, Unpack

from tenure.kernel.errors import ConfigError
from tenure.sdk.client import AsyncClient, Client
from tenure.sdk.durations import Duration
from tenure.sdk.handle import Handle
from tenure.sdk.task import Enqueueable, Kind, Registry, registry as default_registry
from tenure.settings import Settings
from tenure.testing.clock import as_datetime
from tenure.testing.failures import Failure, failures_of
from tenure.testing.spans import Units, destination_us, moment_us
from tenure.testing.stage import DEFAULT_SETTINGS, Plan, Stage

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

START = "2026-01-01T00:00Z"


def platform(
    *,
    registry: Registry = default_registry,
    now: datetime | str = START,
    settings: Settings | None = None,
    queues: Sequence[str] = (),
) -> Platform:
    """Return a platform to be used in a `with` block; *now* is the time at which it begins.

    *queues* are those of the registry's kinds unless named. *settings* are taken as they are but
    for the place of the store, its durability, and what only real time needs. Without them ended
    tasks are kept, and leases last for a day.

    Raises:
        InvalidError: *now* has no time zone, is no datetime, or is before 1970.
    """
    return Platform(plan(registry=registry, now=now, settings=settings, queues=queues))


def plan(
    *,
    registry: Registry,
    now: datetime | str,
    settings: Settings | None,
    queues: Sequence[str],
) -> Plan:
    """Return what a platform is opened with, checked."""
    return Plan(
        registry=registry,
        now_us=moment_us(now, field="now"),
        settings=DEFAULT_SETTINGS if settings is None else settings,
        queues=tuple(queues),
    )


class Platform:
    """A store, a worker and clients on a clock that stands still. Made by `platform`."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._opened: Stage | None = None

    def __enter__(self) -> Self:
        """Open it.

        Raises:
            ConfigError: it is open already, an event loop is running, or a kind is wrong.
        """
        if self._opened is not None:
            raise ConfigError("the platform is open already: one 'with' is enough")
        self._opened = Stage(self._plan, hop=_refuse_to_hop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cut short what still runs, and remove the store."""
        stage, self._opened = self._stage, None
        stage.close()

    @property
    def now(self) -> datetime:
        """The virtual time, in UTC."""
        return as_datetime(self._stage.clock.now_us())

    @property
    def client(self) -> Client:
        """The client. When it waits for a result, virtual time passes until there is one."""
        return self._stage.client

    @property
    def async_client(self) -> AsyncClient:
        """The same for handlers that are coroutines; it works in handlers only."""
        return self._stage.async_client

    def enqueue(
        self, kind: Kind[P, R] | Enqueueable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]:
        """Store a task; see `Client.enqueue`. It begins when the test lets it."""
        return self.client.enqueue(kind, *args, **kwargs)

    def travel(
        self,
        span: Duration | str | None = None,
        /,
        *,
        until: datetime | str | None = None,
        **units: Unpack[Units],
    ) -> None:
        """Let time pass. Whatever comes due on the way runs, in order, each at its own moment.

        Say how far in one way: a *span* in seconds, as a timedelta, or as a text such as '1h30m'
        or '30d'; units such as ``days=400``; or *until*, a datetime.

        Raises:
            InvalidError: it is not said in one way, or leads back.
            LimitError: there is no end to what is due at a moment.
            ConfigError: a handler calls it.
        """
        stage = self._stage
        stage.travel(destination_us(stage.clock, span, until, units))

    def run_until_idle(self) -> None:
        """Run all that is due now and whatever comes of it. No time passes.

        Raises:
            LimitError: there is no end to it.
            ConfigError: a handler calls it.
        """
        self._stage.run_due()

    def failures(self) -> list[Failure]:
        """Return the tasks that failed for good, oldest first."""
        return failures_of(self.client)

    @property
    def _stage(self) -> Stage:
        if self._opened is None:
            raise ConfigError("the platform is not open: use it inside of 'with'")
        return self._opened


def _refuse_to_hop(_: Callable[[], T]) -> Awaitable[T]:
    raise ConfigError(
        "the async client of this platform works in its handlers only: use "
        "'async with tenure.testing.async_platform()' in tests that are coroutines"
    )
