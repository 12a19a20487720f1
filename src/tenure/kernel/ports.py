"""What the rest of the system must be given: clocks, ids, chance, and a store.

Also the two words every store operation is made of. A *verb* is a generator that yields
named statements, is sent their rows, and returns a value; a driver runs it in a transaction
or not, sync or async, on SQLite or PostgreSQL. Verbs compose with `yield from`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")

# One row as the database driver gives it: read by position, in the order of the statement.
Row = Sequence[Any]
Rows = Sequence[Row]


@dataclass(frozen=True, slots=True)
class Statement:
    """One named SQL statement with its parameters.

    `notice` is a topic to tell sleeping workers about once the transaction is committed.
    """

    name: str
    params: Mapping[str, object]
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One named SQL statement over many rows, given as columns of equal length.

    `params` are the same for every row. The rows that come back are those of all input
    rows together, in no promised order.
    """

    name: str
    columns: Mapping[str, Sequence[object]]
    params: Mapping[str, object]
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """Statements that define tables, as a migration's file has them."""

    text: str


Step = Statement | Batch | Script
Steps = Generator[Step, Rows, T]


class Mode(Enum):
    """How a driver must run a verb."""

    READ = "read"  # reads only; may run beside a transaction
    SINGLE = "single"  # yields exactly once, and a statement is atomic by itself
    TRANSACTION = "transaction"


class Verb(Generic[T_co]):
    """One store operation, ready to be run by a driver or inside another verb.

    It may be run again, from its start, after an error: a settlement that carries a verb is
    written anew when the store was busy.
    """

    __slots__ = ("_start", "is_soft", "mode", "name")

    def __init__(
        self, start: Callable[[], Generator[Step, Rows, T_co]], *, mode: Mode, name: str
    ) -> None:
        self._start: Callable[[], Generator[Step, Rows, T_co]] = start
        self.mode: Mode = mode
        self.name: str = name
        self.is_soft: bool = False

    @property
    def steps(self) -> Generator[Step, Rows, T_co]:
        """The steps, not begun; each time new ones."""
        return self._start()

    def __iter__(self) -> Generator[Step, Rows, T_co]:
        return self._start()

    def __repr__(self) -> str:
        return f"Verb({self.name}, {self.mode.value})"


def read(function: Callable[P, Steps[T]]) -> Callable[P, Verb[T]]:
    """Mark a verb that only reads."""
    return _marked(function, Mode.READ)


def single(function: Callable[P, Steps[T]]) -> Callable[P, Verb[T]]:
    """Mark a verb that yields exactly one statement, which needs no transaction around it."""
    return _marked(function, Mode.SINGLE)


def transaction(function: Callable[P, Steps[T]]) -> Callable[P, Verb[T]]:
    """Mark a verb whose statements must all be written or none."""
    return _marked(function, Mode.TRANSACTION)


def soft(function: Callable[P, Verb[T]]) -> Callable[P, Verb[T]]:
    """Mark a verb whose writes mean nothing once every worker on this machine is gone.

    A store on this machine's own disk need not wait for the disk: a power cut that takes such
    a write takes the workers with it. Everything else that was answered survives.
    """

    @functools.wraps(function)
    def verb(*args: P.args, **kwargs: P.kwargs) -> Verb[T]:
        made = function(*args, **kwargs)
        made.is_soft = True
        return made

    return verb


def _marked(function: Callable[P, Steps[T]], mode: Mode) -> Callable[P, Verb[T]]:
    @functools.wraps(function)
    def verb(*args: P.args, **kwargs: P.kwargs) -> Verb[T]:
        start = functools.partial(function, *args, **kwargs)
        return Verb(start, mode=mode, name=function.__name__)

    return verb


class Clock(Protocol):
    """The time of this process. The store has its own, which decides between hosts."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC; may jump."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds since some start; never goes back."""
        ...

    async def sleep(self, us: int) -> None:
        """Let other coroutines run for so long."""
        ...


class Ids(Protocol):
    """New ids: unique for ever, and in order of time."""

    def new(self) -> str:
        """Return a new id."""
        ...


class Rng(Protocol):
    """Chance, for jitter."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...


# Topics of notices: a queue has work, a task was asked to cancel, a schedule or a calendar has
# changed, or something unknown happened.
ANYTHING = "*"
CANCEL = "cancel"
SCHEDULES = "schedules"


def queue_topic(queue: str) -> str:
    """Return the topic under which work for a queue is announced."""
    return f"queue:{queue}"


class AsyncStore(Protocol):
    """A store as coroutines see it."""

    async def run(self, verb: Verb[T]) -> T:
        """Run one verb, and return once what it wrote is durable.

        Raises:
            StoreBusyError: it could not be done now; nothing is written, or the answer was lost.
            StoreDownError: the store cannot be reached.
        """
        ...

    async def watch(self, tell: Callable[[str], None]) -> int:
        """Look once for notices; *tell* is called with each topic, then or later.

        Return after how many microseconds to look again.
        """
        ...

    async def close(self) -> None:
        """Write what is waiting to be written, and let go of the database."""
        ...


class SyncStore(Protocol):
    """A store as plain functions see it."""

    def run(self, verb: Verb[T]) -> T:
        """Run one verb, and return once what it wrote is durable; errors as in AsyncStore."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
