"""Rules for the fields of a task, shared by every door.

Types are checked by whoever decodes; here it is meaning. Every function returns the value it
was given or raises `InvalidError` (or `LimitError` where a bound was passed) naming the field.
"""

from __future__ import annotations

import functools
import re

from tenure.kernel.errors import InvalidError, LimitError
from tenure.kernel.model import Lane, NewTask
from tenure.kernel.unique import UNIQUE_KEY_CHARS_MAX

NAME_CHARS_MAX = 200
COST_MAX = 100_000
ATTEMPTS_MAX_MAX = 10_000
DELAY_MAX_US = 100 * 366 * 86_400 * 1_000_000
# The instants that both stores, JSON and Python's datetime can all hold: year 9999.
INSTANT_MAX_US = 253_402_300_799_999_999
TAGS_MAX = 50
# Found once: to look through an enumeration costs as much as the rest of the check.
LANE_MIN, LANE_MAX = min(Lane), max(Lane)

_NAME = re.compile(r"[\w.:/@+~<>-]+\Z")


def name(value: str, *, field: str) -> str:
    """Check the name of a kind or a queue: word characters and .:/@+~<>- only."""
    if _is_sound_name(value):
        return value
    if not value:
        raise InvalidError(f"{field} must not be empty", field=field)
    if len(value) > NAME_CHARS_MAX:
        raise LimitError(
            f"{field} has {len(value)} characters; at most {NAME_CHARS_MAX} are allowed",
            bound=NAME_CHARS_MAX,
        )
    raise InvalidError(
        f"{field} {value!r} may hold letters, digits and any of _ . : / @ + ~ < > - only",
        field=field,
    )


# The same few names come with every task.
@functools.lru_cache(maxsize=1_000)
def _is_sound_name(value: str) -> bool:
    return len(value) <= NAME_CHARS_MAX and _NAME.match(value) is not None


def identifier(value: str, *, field: str) -> str:
    """Check an id, a key or a tag given by a caller: short, printable, no space around it."""
    if not value or value != value.strip() or not value.isprintable():
        raise InvalidError(
            f"{field} {value!r} must be printable text with no space at either end", field=field
        )
    if len(value) > UNIQUE_KEY_CHARS_MAX:
        raise LimitError(
            f"{field} has {len(value)} characters; at most {UNIQUE_KEY_CHARS_MAX} are allowed",
            bound=UNIQUE_KEY_CHARS_MAX,
        )
    return value


def within(value: int, *, field: str, low: int, high: int) -> int:
    """Check that a number is in a closed range."""
    if not low <= value <= high:
        raise InvalidError(f"{field} is {value}; it must be from {low} to {high}", field=field)
    return value


def body(value: bytes, *, field: str, bytes_max: int) -> bytes:
    """Check that a payload or result keeps within its bound."""
    if len(value) > bytes_max:
        raise LimitError(
            f"{field} has {len(value):,} bytes; at most {bytes_max:,} are allowed: store the "
            f"large part elsewhere and pass a reference, or raise limits.{field}_bytes_max",
            bound=bytes_max,
        )
    return value


def new_task(task: NewTask, *, payload_bytes_max: int) -> NewTask:
    """Check everything about a task before it is stored."""
    name(task.kind, field="kind")
    name(task.queue, field="queue")
    identifier(task.id, field="id")
    body(task.payload, field="payload", bytes_max=payload_bytes_max)
    within(task.lane, field="priority", low=LANE_MIN, high=LANE_MAX)
    within(task.cost, field="cost", low=1, high=COST_MAX)
    within(task.attempts_max, field="attempts_max", low=1, high=ATTEMPTS_MAX_MAX)
    within(task.delay_us, field="delay", low=0, high=DELAY_MAX_US)
    if task.run_at_us is not None:
        within(task.run_at_us, field="at", low=0, high=INSTANT_MAX_US)
    if task.timeout_us is not None:
        within(task.timeout_us, field="timeout", low=1, high=DELAY_MAX_US)
    if task.unique_key is not None:
        identifier(task.unique_key, field="unique")
    within(len(task.tags), field="tags", low=0, high=TAGS_MAX)
    for tag in task.tags:
        identifier(tag, field="tags")
    return task
