"""The `@task` decorator, kinds, and the registry that finds a handler by its name.

A kind is the stable name of a handler with everything a worker must know to run it. Names
are the bare function names unless given, so that moving a module strands no stored task;
two functions of one name are refused when the second is registered.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Generic, Literal, ParamSpec, TypeAlias, TypeVar, overload

from tenure.kernel import validate
from tenure.kernel.errors import ConfigError, UnknownKindError
from tenure.kernel.model import DEFAULT_QUEUE, Lane
from tenure.kernel.retry import RetryPolicy
from tenure.sdk.durations import Duration, positive_us
from tenure.sdk.functions import Runtime, place_of, runtime_of
from tenure.sdk.options import NO_OPTIONS, Options, lane, options, queue_name, task_cost
from tenure.sdk.payload import Codec
from tenure.sdk.recurring import Migration, States
from tenure.sdk.when import When

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
D_co = TypeVar("D_co", covariant=True)

DEFAULT_RETRY = RetryPolicy()


class Call(Generic[R_co]):
    """A handler with its arguments, ready to be stored; `enqueue_many` takes these."""

    __slots__ = ("choices", "kind", "payload")

    def __init__(self, kind: Kind[..., R_co], choices: Options, payload: bytes) -> None:
        self.kind: Kind[..., R_co] = kind
        self.choices: Options = choices
        self.payload: bytes = payload

    def __repr__(self) -> str:
        return f"<call of {self.kind.name}>"


class Enqueueable(Generic[P, R_co]):
    """A kind, alone or with options: what a client's `enqueue` takes."""

    __slots__ = ("choices", "kind")

    def __init__(self, kind: Kind[P, R_co], choices: Options) -> None:
        self.kind: Kind[P, R_co] = kind
        self.choices: Options = choices

    def __repr__(self) -> str:
        return f"<kind {self.kind.name} with options>"

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R_co]:
        """Return a call of the handler to enqueue later, checked and encoded now.

        Raises:
            InvalidError: the arguments do not fit the signature.
        """
        return Call(self.kind, self.choices, self.kind.codec.encode(args, kwargs))


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSettings:
    """What the decorator was told about a kind."""

    queue: str = DEFAULT_QUEUE
    priority: Lane = Lane.NORMAL
    cost: int = 1
    runtime: Runtime = "thread"
    retry: RetryPolicy = DEFAULT_RETRY
    timeout_us: int | None = None
    heartbeat_us: int | None = None
    state_type: Any = Any
    state_version: int = 1
    state_migrations: Mapping[int, Migration] = field(default_factory=dict)


class Kind(Generic[P, R_co]):
    """A handler with its name: what it takes, and what it comes to."""

    def __init__(self, name: str, function: Callable[..., Any], settings: KindSettings) -> None:
        self.name: str = validate.name(name, field="kind")
        self.function: Callable[..., Any] = function
        self.settings: KindSettings = settings

    def __repr__(self) -> str:
        return f"<kind {self.name}>"

    @functools.cached_property
    def codec(self) -> Codec:
        """How arguments and results are written; made at first use, when all names exist."""
        return Codec(self.function, kind=self.name)

    @functools.cached_property
    def states(self) -> States:
        """How the state that runs of a schedule hand on is written."""
        chosen = self.settings
        return States(
            self.name,
            type_=chosen.state_type,
            version=chosen.state_version,
            migrations=chosen.state_migrations,
        )

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R_co]:
        """Return a call of the handler to enqueue later, checked and encoded now.

        Raises:
            InvalidError: the arguments do not fit the signature.
        """
        return Call(self, NO_OPTIONS, self.codec.encode(args, kwargs))

    def options(  # noqa: PLR0913 - each is one independent choice, by keyword only
        self,
        *,
        queue: str | None = None,
        priority: Lane | int | None = None,
        cost: int | None = None,
        delay: Duration | None = None,
        at: datetime | None = None,
        attempts: int | None = None,
        timeout: Duration | None = None,
        unique: str | Literal[True] | None = None,
        return_existing: bool = False,
        tags: Sequence[str] = (),
        id: str | None = None,
    ) -> Enqueueable[P, R_co]:
        """Return this kind with options for the tasks that are enqueued from it.

        *delay* (seconds or a timedelta) and *at* (a datetime with a time zone) exclude one
        another. *priority* is a `Lane` or 0 to 3, 0 the most urgent. *unique* is a key that at
        most one live task may hold; True stands for the kind with these very arguments. With
        *return_existing* the task that holds the key is returned; otherwise it is an error.
        *attempts* counts the first attempt. *id* makes enqueueing the same task twice harmless.

        Raises:
            InvalidError, LimitError: a value breaks its rule.
        """
        return Enqueueable(
            self,
            options(
                queue=queue,
                priority=priority,
                cost=cost,
                delay=delay,
                at=at,
                attempts=attempts,
                timeout=timeout,
                unique=unique,
                return_existing=return_existing,
                tags=tags,
                id=id,
            ),
        )


class CallableKind(Kind[P, R_co], Generic[P, R_co, D_co]):
    """A kind as the decorator leaves it in the place of the function.

    Calling it runs the function here and now, without Tenure; `D_co` is what that gives: the
    result, or a coroutine that comes to it.
    """

    def __init__(self, name: str, function: Callable[..., Any], settings: KindSettings) -> None:
        super().__init__(name, function, settings)
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> D_co:
        """Run the function here and now, without Tenure."""
        direct: D_co = self.function(*args, **kwargs)
        return direct


# One class with a parameter for what a direct call gives, and not two: to the type checkers the
# first overload of `task` is then a special case of the second and not its contradiction.
SyncKind: TypeAlias = CallableKind[P, R, R]
AsyncKind: TypeAlias = CallableKind[P, R, Coroutine[Any, Any, R]]


class Decorator:
    """What `@task(...)` with options returns."""

    def __init__(
        self,
        registry: Registry,
        *,
        name: str | None,
        runtime: Runtime | None,
        settings: KindSettings,
        when: When | None = None,
    ) -> None:
        self._registry = registry
        self._when = when
        self._name = name
        self._runtime: Runtime | None = runtime
        self._settings = settings

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncKind[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncKind[P, R]: ...

    def __call__(self, function: Callable[..., Any], /) -> CallableKind[..., Any, Any]:
        """Register the function as a handler."""
        kind = self._registry.add(
            function, name=self._name, runtime=self._runtime, settings=self._settings
        )
        if self._when is not None:
            self._registry.schedule(kind.name, self._when, kind.call())
        return kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A schedule as code declares it."""

    id: str
    when: When
    call: Call[Any]
    paused: bool = False

    @property
    def says(self) -> tuple[object, ...]:
        """What two declarations under one id must have in common."""
        kind = self.call.kind
        return (self.when, kind.name, place_of(kind.function), self.call.payload)


class Registry:
    """The kinds that a worker knows, by name."""

    def __init__(self) -> None:
        self._kinds: dict[str, CallableKind[..., Any, Any]] = {}
        self.declared: dict[str, Declared] = {}

    def __iter__(self) -> Iterator[Kind[..., Any]]:
        return iter(self._kinds.values())

    def __len__(self) -> int:
        return len(self._kinds)

    def find(self, name: str) -> Kind[..., Any] | None:
        """Return the kind by that name, or None."""
        return self._kinds.get(name)

    def get(self, name: str) -> Kind[..., Any]:
        """Return the kind by that name.

        Raises:
            UnknownKindError: there is none.
        """
        kind = self._kinds.get(name)
        if kind is None:
            known = ", ".join(sorted(self._kinds)) or "none"
            raise UnknownKindError(f"no handler is registered for kind {name!r}; known: {known}")
        return kind

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncKind[P, R]: ...

    @overload
    def task(self, function: Callable[P, R], /) -> SyncKind[P, R]: ...

    @overload
    def task(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        queue: str = DEFAULT_QUEUE,
        priority: Lane | int = Lane.NORMAL,
        cost: int = 1,
        runtime: Runtime | None = None,
        retry: RetryPolicy = DEFAULT_RETRY,
        timeout: Duration | None = None,
        heartbeat: Duration | None = None,
        schedule: When | None = None,
        state: Any = Any,
        state_version: int = 1,
        migrate_state: Mapping[int, Migration] | None = None,
    ) -> Decorator: ...

    def task(  # noqa: PLR0913 - each is one independent choice, by keyword only
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        queue: str = DEFAULT_QUEUE,
        priority: Lane | int = Lane.NORMAL,
        cost: int = 1,
        runtime: Runtime | None = None,
        retry: RetryPolicy = DEFAULT_RETRY,
        timeout: Duration | None = None,
        heartbeat: Duration | None = None,
        schedule: When | None = None,
        state: Any = Any,
        state_version: int = 1,
        migrate_state: Mapping[int, Migration] | None = None,
    ) -> CallableKind[..., Any, Any] | Decorator:
        """Make a function a handler.

        *name* is the kind, by default the function's name. A coroutine function runs on the
        worker's event loop; a plain one in a thread, or in a process of its own with
        ``runtime="process"``. *timeout* bounds one attempt: a coroutine is cancelled, a process
        killed; a thread cannot be stopped, so it is told, given up and counted as stuck.
        With *heartbeat* an attempt that says nothing for so long is treated the same.

        *schedule* declares a schedule under the kind's name, which calls it without arguments;
        `schedule` does so under other names. *state* is the type of what runs of a schedule hand
        on with `Next`, *state_version* the number of its present form, and *migrate_state* maps
        each older number to a function that brings a state of it to the next.

        Raises:
            ConfigError: the name is taken, the runtime does not suit the function, or a migration
                leads from no older version.
            InvalidError, LimitError: a value breaks its rule.
        """
        if function is not None:
            return self.add(function, name=None, runtime=None, settings=KindSettings())
        settings = KindSettings(
            queue=queue_name(queue),
            priority=lane(priority),
            cost=task_cost(cost),
            retry=retry,
            timeout_us=None if timeout is None else positive_us(timeout, field="timeout"),
            heartbeat_us=None if heartbeat is None else positive_us(heartbeat, field="heartbeat"),
            state_type=state,
            state_version=state_version,
            state_migrations=dict(migrate_state or {}),
        )
        return Decorator(self, name=name, runtime=runtime, settings=settings, when=schedule)

    def schedule(self, id: str, when: When, call: Call[Any], *, paused: bool = False) -> None:
        """Declare a schedule: a worker that starts stores it, changes it, or removes it.

        It belongs to the module of its handler. What a module declared before and does no more is
        removed when a worker starts that knows handlers of this module.

        Raises:
            ConfigError: another schedule is declared under the id.
            InvalidError: the id breaks its rule.
        """
        validate.identifier(id, field="id")
        known = self.declared.get(id)
        # The same again is a module that is merely loaded a second time.
        if known is not None and known.says != Declared(id=id, when=when, call=call).says:
            raise ConfigError(f"schedule {id!r} is declared twice; give one another id", key=id)
        self.declared[id] = Declared(id=id, when=when, call=call, paused=paused)

    def add(
        self,
        function: Callable[..., Any],
        *,
        name: str | None,
        runtime: Runtime | None,
        settings: KindSettings,
    ) -> CallableKind[..., Any, Any]:
        """Register a function; `task` is the way to call this."""
        if isinstance(function, Kind):
            function = function.function
        if isinstance(function, type) or not hasattr(function, "__name__"):
            raise ConfigError(f"{function!r} is not a function; a handler is one, made with 'def'")
        kind_name = function.__name__ if name is None else name
        settings = replace(settings, runtime=runtime_of(kind_name, function, runtime))
        known = self._kinds.get(kind_name)
        # The same place again is a module that is merely loaded a second time.
        if known is not None and place_of(known.function) != place_of(function):
            raise ConfigError(
                f"kind {kind_name!r} is registered twice: in {place_of(known.function)} and in "
                f"{place_of(function)}; give one of them another name: @task(name=...)",
                key=kind_name,
            )
        kind = self._kinds[kind_name] = CallableKind(kind_name, function, settings)
        return kind


# The registry of `tenure.task`, for applications that need no other.
registry: Registry = Registry()
task: Final = registry.task
schedule: Final = registry.schedule
