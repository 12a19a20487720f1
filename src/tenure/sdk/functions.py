"""What kind of function a handler is: where it can run, and where it is defined."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

from tenure.kernel.errors import ConfigError

Runtime = Literal["coroutine", "thread", "process"]


def runtime_of(kind_name: str, function: Callable[..., Any], wanted: Runtime | None) -> Runtime:
    """Return where a function runs: as it is wanted, if it can.

    Raises:
        ConfigError: it cannot, or is no handler at all.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(
            f"kind {kind_name!r} is a generator: it yields, and a handler returns its result",
            key=kind_name,
        )
    is_coroutine = inspect.iscoroutinefunction(function)
    suited: tuple[Runtime, ...] = ("coroutine",) if is_coroutine else ("thread", "process")
    if wanted is None:
        return suited[0]
    if wanted not in suited:
        what = "a coroutine function" if is_coroutine else "a plain function"
        where = " or ".join(repr(runtime) for runtime in suited)
        raise ConfigError(
            f"kind {kind_name!r} is {what}: its runtime can be {where}, not {wanted!r}",
            key=kind_name,
        )
    return wanted


def place_of(function: Callable[..., Any]) -> str:
    """Return where a function is defined."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return f"{function.__module__}.{function.__qualname__}"
    return f"{code.co_filename}:{code.co_firstlineno}"
