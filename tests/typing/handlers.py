"""Handlers as people write them: with and without options, plain and coroutine functions."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

import tenure
from tenure import Lane, Registry


@dataclass
class Report:
    """What a handler returns."""

    rows: int
    title: str | None = None


@tenure.task
def count(path: str, *, limit: int = 10) -> Report:
    """A plain function."""
    return Report(rows=min(len(path), limit))


@tenure.task
async def fetch(url: str, retries: int = 3) -> bytes:
    """A coroutine function."""
    return url.encode() * retries


@tenure.task(
    name="mail.send",
    queue="mail",
    priority=Lane.HIGH,
    retry=tenure.retry(3, wait=[1, timedelta(seconds=5)], never=ValueError),
    timeout=30,
)
async def send(to: str, /, *lines: str, **headers: int) -> None:
    """A coroutine function with options, and parameters of every kind."""


@tenure.task(runtime="process")
def crunch(numbers: list[float]) -> float:
    """A plain function with options."""
    tenure.context().progress(0.5, "halfway", rows=len(numbers))
    return sum(numbers)


registry = Registry()


@registry.task
def mine(n: int) -> int:
    """One of a registry of its own."""
    return n


@registry.task()
def yours(n: int) -> int:
    """With options, of which there are none."""
    return n


# A direct call is what it always was.
assert_type(count("a"), Report)
assert_type(mine(1), int)
assert_type(yours(1), int)


async def use() -> None:
    """And so is a coroutine."""
    fetching: Coroutine[Any, Any, bytes] = fetch("a")
    assert_type(await fetching, bytes)
    assert_type(await send("a", "b", size=1), None)
