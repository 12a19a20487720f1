"""From rules and calls, as people write them, to the schedules that a client asks for."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tenure.kernel.errors import InvalidError
from tenure.kernel.schedules.model import Template
from tenure.sdk.durations import instant_us
from tenure.sdk.task import Call, Declared
from tenure.sdk.when import When
from tenure.service.program import Program
from tenure.service.schedules import Wanted
from tenure.settings import Settings

T = TypeVar("T")


class Owner(Protocol):
    """The client whose schedules these are."""

    settings: Settings
    tenant: str

    def run(self, program: Program[T]) -> T:
        """Run a program on the client's store."""
        ...


class AsyncOwner(Protocol):
    """The client whose schedules these are, for coroutines."""

    settings: Settings
    tenant: str

    def run(self, program: Program[T]) -> Awaitable[T]:
        """Run a program on the client's store."""
        ...


def wanted(
    id: str, when: When, call: Call[Any], *, origin: str = "", paused: bool = False
) -> Wanted:
    """Return the schedule that makes a call at times.

    Raises:
        InvalidError: the call has options that only a single task can have.
    """
    return Wanted(
        id=id, definition=when.definition, template=_template(call), origin=origin, paused=paused
    )


def declared_wanted(declared: Declared) -> Wanted:
    """Return a schedule as code declares it; it belongs to the module of its handler."""
    return wanted(
        declared.id,
        declared.when,
        declared.call,
        origin=origin_of(declared.call.kind.function),
        paused=declared.paused,
    )


def origin_of(function: Any) -> str:
    """Return the origin of the schedules that a handler's module declares."""
    module: str = function.__module__
    if module == "__main__":
        # The same file is another module when it is imported, by `tenure worker` for one.
        module = Path(function.__code__.co_filename).stem
    return f"code:{module}"


def period(after: datetime, until: datetime) -> tuple[int, int]:
    """Return a period as instants.

    Raises:
        InvalidError: it ends before it begins, or a time has no zone.
    """
    after_us, until_us = instant_us(after, field="after"), instant_us(until, field="until")
    if until_us < after_us:
        raise InvalidError("until is before after", field="until")
    return after_us, until_us


def _template(call: Call[Any]) -> Template:
    kind, choices = call.kind, call.choices
    chosen = kind.settings
    single = {
        "delay": choices.delay_us, "at": choices.run_at_us, "unique": choices.unique,
        "id": choices.id, "return_existing": choices.return_existing,
    }  # fmt: skip
    wrong = [name for name, value in single.items() if value]
    if wrong:
        raise InvalidError(
            f"the option {wrong[0]!r} is for a single task, and a schedule makes many: leave it "
            "out",
            field=wrong[0],
        )
    return Template(
        kind=kind.name,
        payload=call.payload,
        queue=choices.queue or chosen.queue,
        lane=chosen.priority if choices.priority is None else choices.priority,
        cost=choices.cost or chosen.cost,
        attempts_max=choices.attempts or chosen.retry.attempts_max,
        timeout_us=choices.timeout_us or chosen.timeout_us,
        tags=choices.tags,
    )
