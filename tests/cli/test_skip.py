"""`tenure schedules skip`: after a store was put back from a backup."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tenure import Client, Registry, every
from tests.cli.conftest import Run

FAR = datetime(2090, 1, 1, tzinfo=UTC)
FAR_US = round(FAR.timestamp()) * 1_000_000
DAY_US = 86_400_000_000


@pytest.fixture
def kinds() -> Registry:
    registry = Registry()

    @registry.task
    def sweep() -> None: ...

    return registry


@pytest.fixture(autouse=True)
def two(client: Client, kinds: Registry) -> None:
    """Two schedules that begin in 2090."""
    for id in ("a", "b"):
        client.schedules.create(id, every("1d", start=FAR), kinds.get("sweep").call())


def nexts(client: Client) -> list[int | None]:
    return [client.schedules.get(id).next_fire_at_us for id in ("a", "b")]


def test_all_are_let_go_up_to_a_moment(run: Run, client: Client, url: str) -> None:
    told = run("schedules", "skip", "--all", "--until", "2090-01-03T00:00", "--url", url)

    assert (0, "2 schedules had something to let go\n") == (told.exit_code, told.stdout)
    assert [FAR_US + 3 * DAY_US] * 2 == nexts(client)


def test_one_is_let_go_and_others_stay(run: Run, client: Client, url: str) -> None:
    arguments = ("schedules", "skip", "a", "--until", "2090-01-01T01:00+01:00", "--url", url)

    told = run(*arguments)
    again = run(*arguments, "--json")

    assert "1 schedule had something to let go\n" == told.stdout
    assert {"skipped": 0} == json.loads(again.stdout)
    assert [FAR_US + DAY_US, FAR_US] == nexts(client)


def test_up_to_now_nothing_of_the_future_is_let_go(run: Run, client: Client, url: str) -> None:
    told = run("schedules", "skip", "--all", "--url", url)

    assert "0 schedules had something to let go\n" == told.stdout
    assert [FAR_US] * 2 == nexts(client)


@pytest.mark.parametrize("chosen", [(), ("a", "--all")])
def test_either_some_or_all_must_be_named(run: Run, url: str, chosen: tuple[str, ...]) -> None:
    told = run("schedules", "skip", *chosen, "--url", url)

    assert 2 == told.exit_code
    assert "name schedules, or give --all" in told.stderr


def test_of_a_stranger_nothing_is_let_go(run: Run, client: Client, url: str) -> None:
    told = run("schedules", "skip", "a", "c", "--until", "2091-01-01", "--url", url)

    assert "there is no schedule 'c'" in told.stderr
    assert [FAR_US] * 2 == nexts(client)
