"""The real ids: version 7 of RFC 9562, in order."""

from __future__ import annotations

import threading
from uuid import RFC_4122, UUID

import pytest

from tenure.service.clockwork import SystemClock, SystemRng, Uuid7Ids


def test_ids_are_uuids_of_version_7() -> None:
    for text in [Uuid7Ids().new(), *Uuid7Ids().many(100)]:
        made = UUID(text)

        assert text == str(made)
        assert made.version == 7
        assert made.variant == RFC_4122


def test_an_id_begins_with_its_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_500_000)

    made = UUID(Uuid7Ids().new())

    assert made.int >> 80 == 1_700_000_000_123
    # Half of the millisecond was over.
    assert (made.int >> 64) & 0xFFF == 2048


def test_ids_made_in_a_row_are_in_order_though_the_clock_stands_or_steps_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter([1_700_000_000_000_000_000, 1_700_000_000_000_000_000, 1_600_000_000_000_000_000])
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    ids = Uuid7Ids()

    made = [*ids.many(10_000), *ids.many(10_000), ids.new()]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_threads_do_not_get_the_same_ids() -> None:
    ids, made = Uuid7Ids(), list[str]()
    threads = [threading.Thread(target=lambda: made.extend(ids.many(5_000))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({text[:18] for text in made}) == 40_000


def test_none_are_made_if_none_are_wanted() -> None:
    assert Uuid7Ids().many(0) == []


def test_the_clocks_agree_on_their_unit() -> None:
    clock = SystemClock()

    assert clock.now_us() > 1_700_000_000_000_000
    before = clock.monotonic_us()
    clock.block(1_000)
    assert clock.monotonic_us() - before >= 1_000


def test_chance_is_a_fraction() -> None:
    assert all(0 <= SystemRng().random() < 1 for _ in range(100))
