"""How one task is to be enqueued, checked when it is said and not when the task is stored.

Called by `Kind.options`. The kernel checks the same bounds again for every door; what only
untyped code can get wrong is told here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tenure.kernel import validate
from tenure.kernel.errors import InvalidError
from tenure.kernel.model import Lane
from tenure.sdk.durations import Duration, duration_us, instant_us, positive_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one task is to be enqueued. What is None comes from the kind."""

    queue: str | None = None
    priority: Lane | None = None
    cost: int | None = None
    delay_us: int = 0
    run_at_us: int | None = None
    attempts: int | None = None
    timeout_us: int | None = None
    unique: str | Literal[True] | None = None
    return_existing: bool = False
    tags: tuple[str, ...] = ()
    id: str | None = None

    @property
    def shared(self) -> tuple[object, ...]:
        """What tasks must have in common to be stored by one statement."""
        return (
            self.queue,
            self.priority,
            self.cost,
            self.delay_us,
            self.run_at_us,
            self.attempts,
            self.timeout_us,
            self.return_existing,
            self.tags,
        )


NO_OPTIONS = Options()


def options(  # noqa: PLR0913 - each is one independent choice, by keyword only
    *,
    queue: str | None,
    priority: Lane | int | None,
    cost: int | None,
    delay: Duration | None,
    at: datetime | None,
    attempts: int | None,
    timeout: Duration | None,
    unique: str | Literal[True] | None,
    return_existing: bool,
    tags: Sequence[str],
    id: str | None,
) -> Options:
    """Return options as people write them, checked.

    Raises:
        InvalidError, LimitError: a value breaks its rule.
    """
    if delay is not None and at is not None:
        raise InvalidError("give either delay or at, not both", field="at")
    return Options(
        queue=None if queue is None else queue_name(queue),
        priority=None if priority is None else lane(priority),
        cost=None if cost is None else task_cost(cost),
        delay_us=0 if delay is None else _bounded(duration_us(delay, field="delay")),
        run_at_us=None if at is None else instant_us(at, field="at"),
        attempts=None if attempts is None else attempts_count(attempts),
        timeout_us=None if timeout is None else positive_us(timeout, field="timeout"),
        unique=None if unique is None else _unique(unique),
        return_existing=return_existing,
        tags=_tags(tags) if tags else (),
        id=None if id is None else _identifier(id, field="id"),
    )


def queue_name(value: str) -> str:
    """Check the name of a queue."""
    return validate.name(_text(value, field="queue"), field="queue")


def lane(value: Lane | int) -> Lane:
    """Return the lane of a priority: 0, the most urgent, to 3."""
    number = _whole(value, field="priority")
    low, high = validate.LANE_MIN, validate.LANE_MAX
    return Lane(validate.within(number, field="priority", low=low, high=high))


def task_cost(value: int) -> int:
    """Check how many slots a task takes."""
    return validate.within(_whole(value, field="cost"), field="cost", low=1, high=validate.COST_MAX)


def attempts_count(value: int) -> int:
    """Check how often a task may be tried, the first time included."""
    return validate.within(
        _whole(value, field="attempts"), field="attempts", low=1, high=validate.ATTEMPTS_MAX_MAX
    )


def _bounded(delay_us: int) -> int:
    return validate.within(delay_us, field="delay", low=0, high=validate.DELAY_MAX_US)


def _unique(value: str | Literal[True]) -> str | Literal[True]:
    if value is True:
        return True
    return _identifier(value, field="unique")


def _tags(words: Sequence[str]) -> tuple[str, ...]:
    if isinstance(words, str):
        raise InvalidError(f"tags is {words!r}; write a list: tags=[{words!r}]", field="tags")
    validate.within(len(words), field="tags", low=0, high=validate.TAGS_MAX)
    return tuple(_identifier(word, field="tags") for word in words)


def _identifier(value: str, *, field: str) -> str:
    return validate.identifier(_text(value, field=field), field=field)


def _text(value: object, *, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidError(f"{field} is {value!r}; it must be text", field=field)
    return value


def _whole(value: object, *, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidError(f"{field} is {value!r}; it must be a whole number", field=field)
    return value
