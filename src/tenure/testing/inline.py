"""Handlers that are plain functions, run one at a time while everything else stands still.

In a worker they run beside one another, in threads and processes, in an order that no test can
foresee. Here each is called in one thread and waited for: it sees no event loop, as in a worker,
and no time passes for anybody meanwhile.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import Any, TypeVar

from tenure.sdk.task import Kind, Registry

T = TypeVar("T")


class Aside:
    """One thread, in which functions are called and waited for."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tenure-testing")

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Return or raise what the function does, in a copy of the caller's context."""
        call = functools.partial(copy_context().run, function, *args, **kwargs)
        values, error = self._thread.submit(_caught, call).result()
        if error is not None:
            raise error
        return values[0]

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown()


class InlineRegistry(Registry):
    """The kinds of another registry; whoever looks one up finds it made to run at once.

    It looks into the other one each time, so kinds that are registered later are found too.
    """

    def __init__(self, original: Registry, aside: Aside) -> None:
        # Not Registry's own: what it would make is looked up in the other one.
        self._original = original
        self._aside = aside
        self._made: dict[Kind[..., Any], Kind[..., Any]] = {}

    def __getattr__(self, name: str) -> Any:
        """Return what the other registry has, of all that is not said here."""
        return getattr(self._original, name)

    def __iter__(self) -> Iterator[Kind[..., Any]]:
        return iter(self._original)

    def __len__(self) -> int:
        return len(self._original)

    def find(self, name: str) -> Kind[..., Any] | None:
        """Return the kind by that name, or None."""
        kind = self._original.find(name)
        return None if kind is None else self._inline(kind)

    def get(self, name: str) -> Kind[..., Any]:
        """Return the kind by that name.

        Raises:
            UnknownKindError: there is none.
        """
        return self._inline(self._original.get(name))

    def _inline(self, kind: Kind[..., Any]) -> Kind[..., Any]:
        """Return a kind that runs at once; the same each time."""
        if kind.settings.runtime == "coroutine":
            return kind
        made = self._made.get(kind)
        if made is None:
            settings = replace(kind.settings, runtime="coroutine")
            made = self._made[kind] = Kind(kind.name, self._waited_for(kind.function), settings)
        return made

    def _waited_for(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # The signature and the annotations stay the function's own, which the codec reads.
        @functools.wraps(function)
        async def handler(*args: Any, **kwargs: Any) -> Any:
            return self._aside.call(function, *args, **kwargs)

        return handler


def _caught(call: Callable[[], T]) -> tuple[list[T], BaseException | None]:
    try:
        return [call()], None
    except BaseException as error:  # noqa: BLE001 - raised again where the call was made
        return [], error
