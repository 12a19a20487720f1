"""Letting go of what was to fire up to a moment, with both clients."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tenure import AsyncClient, Client, NotFoundError, Registry, every

registry = Registry()
FAR = datetime(2040, 1, 1, tzinfo=UTC)


@registry.task
def sweep() -> None: ...


def test_what_is_let_go_does_not_come_and_what_is_later_does(url: str) -> None:
    with Client(url) as client:
        for id in ("a", "b"):
            client.schedules.create(id, every("1d", start=FAR), sweep.call())

        one = client.schedules.skip("a", until=FAR + timedelta(days=3))
        both = client.schedules.skip(until=FAR)
        nexts = [client.schedules.get(id).next_fire_at_us or 0 for id in ("a", "b")]

    days = [(at_us - round(FAR.timestamp()) * 1_000_000) / 86_400_000_000 for at_us in nexts]
    assert (1, 1) == (one, both)
    assert [4, 1] == days


def test_without_a_moment_it_is_now(url: str) -> None:
    async def skip() -> tuple[int, int | None, int | None]:
        async with AsyncClient(url) as client:
            await client.schedules.create("now", every("365d"), sweep.call())
            first = (await client.schedules.get("now")).next_fire_at_us
            moved = await client.schedules.skip("now")
            return moved, first, (await client.schedules.get("now")).next_fire_at_us

    moved, first, then = asyncio.run(skip())

    assert first is not None
    assert (1, first + 365 * 86_400_000_000) == (moved, then)


def test_of_a_stranger_nothing_is_let_go(url: str) -> None:
    with Client(url) as client:
        client.schedules.create("a", every("1d", start=FAR), sweep.call())

        with pytest.raises(NotFoundError, match="there is no schedule 'b'"):
            client.schedules.skip("a", "b", until=FAR)

        assert 0 == client.schedules.get("a").floor_us
