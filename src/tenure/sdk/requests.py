"""From calls of handlers to requests for the service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, ParamSpec, TypeVar

from tenure.kernel.model import NewTask, TaskId
from tenure.kernel.unique import derive_unique_key
from tenure.sdk.options import NO_OPTIONS, Options
from tenure.sdk.task import Call, Enqueueable, Kind
from tenure.service.clockwork import Uuid7Ids
from tenure.store.bulk import TaskGroup

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBatch(Generic[R_co]):
    """Calls to be stored in one transaction, in groups that share a statement.

    `positions` says, group by group, which calls are in it.
    """

    calls: Sequence[Call[R_co]]
    groups: Sequence[TaskGroup]
    positions: Sequence[Sequence[int]]

    def in_order(self, stored: Sequence[Sequence[TaskId]]) -> Iterator[tuple[Call[R_co], TaskId]]:
        """Return each call, in the order of the calls, with the id that it was stored under."""
        if len(stored) == 1:
            return zip(self.calls, stored[0], strict=True)
        placed: dict[int, TaskId] = {}
        for positions, ids in zip(self.positions, stored, strict=True):
            placed.update(zip(positions, ids, strict=True))
        return ((call, placed[position]) for position, call in enumerate(self.calls))


def as_call(
    kind: Kind[P, R] | Enqueueable[P, R], args: tuple[object, ...], kwargs: dict[str, object]
) -> Call[R]:
    """Return the call of a handler, with its options if it has some."""
    if isinstance(kind, Kind):
        return Call(kind, NO_OPTIONS, kind.codec.encode(args, kwargs))
    return Call(kind.kind, kind.choices, kind.kind.codec.encode(args, kwargs))


def new_task(call: Call[object], *, tenant: str, ids: Uuid7Ids) -> NewTask:
    """Return the task that a call asks for."""
    return _task(call, id=call.choices.id or ids.new(), tenant=tenant, unique_key=_unique_key(call))


def batches(
    calls: Iterable[Call[R]], *, tenant: str, ids: Uuid7Ids, batch_max: int
) -> Iterator[CallBatch[R]]:
    """Cut a stream of calls into batches.

    A generator is read only so far as the next batch needs, so that its length has no bound.
    """
    stream = iter(calls)
    while gathered := list(islice(stream, batch_max)):
        yield _batch(gathered, tenant=tenant, ids=ids)


def _batch(calls: Sequence[Call[R]], *, tenant: str, ids: Uuid7Ids) -> CallBatch[R]:
    fresh = ids.many(len(calls))
    positions = _grouped(calls)
    groups = [_group(calls, where, fresh, tenant=tenant) for where in positions]
    return CallBatch(calls=calls, groups=groups, positions=positions)


def _grouped(calls: Sequence[Call[object]]) -> list[list[int]]:
    """Return the positions of those calls that differ in their arguments only."""
    alike: dict[tuple[object, ...], list[int]] = {}
    kind: Kind[..., object] | None = None
    choices: Options | None = None
    positions: list[int] = []
    for position, call in enumerate(calls):
        # As a rule a call is like the one before it, which is seen without a look-up.
        if call.choices is not choices or call.kind is not kind:
            kind, choices = call.kind, call.choices
            positions = alike.setdefault((kind, choices.shared), [])
        positions.append(position)
    return list(alike.values())


def _group(
    calls: Sequence[Call[object]], positions: Sequence[int], fresh: Sequence[str], *, tenant: str
) -> TaskGroup:
    if len(positions) == len(calls):
        chosen, made = calls, fresh
    else:
        chosen = [calls[position] for position in positions]
        made = [fresh[position] for position in positions]
    given = [call.choices.id for call in chosen]
    has_given = any(given)
    has_keys = any(call.choices.unique for call in chosen)
    if has_given:
        made = [mine or new for mine, new in zip(given, made, strict=True)]
    return TaskGroup(
        like=_task(chosen[0], id=made[0], tenant=tenant, unique_key=None),
        ids=[TaskId(id) for id in made],
        payloads=[call.payload for call in chosen],
        unique_keys=[_unique_key(call) for call in chosen] if has_keys else None,
        is_fresh=not has_given,
        return_existing=chosen[0].choices.return_existing,
    )


def _unique_key(call: Call[object]) -> str | None:
    unique = call.choices.unique
    return derive_unique_key(call.kind.name, call.payload) if unique is True else unique


def _task(call: Call[object], *, id: str, tenant: str, unique_key: str | None) -> NewTask:
    kind, choices = call.kind, call.choices
    settings = kind.settings
    return NewTask(
        id=TaskId(id),
        kind=kind.name,
        payload=call.payload,
        tenant=tenant,
        queue=choices.queue or settings.queue,
        lane=settings.priority if choices.priority is None else choices.priority,
        cost=choices.cost or settings.cost,
        delay_us=choices.delay_us,
        run_at_us=choices.run_at_us,
        attempts_max=choices.attempts or settings.retry.attempts_max,
        timeout_us=choices.timeout_us or settings.timeout_us,
        unique_key=unique_key,
        tags=choices.tags,
    )
