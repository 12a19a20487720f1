"""Many tasks at once: batches, mixed kinds and options, duplicates, errors in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tenure import Call, Client, DuplicateError, InvalidError, Lane, Registry, Settings, Task
from tenure.sdk.requests import batches
from tenure.service.clockwork import Uuid7Ids

registry = Registry()


@registry.task
def double(n: int) -> int:
    return 2 * n


@registry.task(queue="mail", priority=Lane.LOW)
async def send(to: str) -> None:
    return None


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as opened:
        yield opened


@pytest.fixture
def by_tens(url: str) -> Iterator[Client]:
    """A client that stores ten tasks at a time."""
    small = replace(Settings(), limits=replace(Settings().limits, enqueue_batch=10))
    with Client(url, settings=small) as opened:
        yield opened


def everything(client: Client) -> list[Task]:
    """Return all tasks, in the order they were made."""
    found: list[Task] = []
    page = client.find(limit=1000)
    while page:
        found.extend(page)
        page = client.find(limit=1000, before_id=page[-1].id)
    return found[::-1]


def test_a_generator_is_stored_in_order(client: Client) -> None:
    handles = client.enqueue_many(double.call(n) for n in range(10_000))

    stored = everything(client)
    assert [handle.id for handle in handles] == [task.id for task in stored]
    assert [task.payload for task in stored] == [b'{"n":%d}' % n for n in range(10_000)]


def test_nothing_is_stored_of_nothing(client: Client) -> None:
    assert client.enqueue_many([]) == []


def test_a_generator_is_read_one_batch_at_a_time(by_tens: Client) -> None:
    stored_when_read: list[int] = []

    def calls() -> Iterator[Call[int]]:
        for n in range(35):
            if n % 10 == 0:
                stored_when_read.append(len(by_tens.find()))
            yield double.call(n)

    by_tens.enqueue_many(calls())

    assert stored_when_read == [0, 10, 20, 30]
    assert len(by_tens.find()) == 35


def test_kinds_and_options_may_be_mixed(client: Client) -> None:
    later = send.options(delay=60, tags=["slow"])

    handles = client.enqueue_many(
        [
            double.call(1),
            send.call("a"),
            double.options(priority=0).call(2),
            later.call("b"),
            double.call(3),
            later.call("c"),
            double.options(priority=0).call(4),
        ]
    )

    tasks = [handle.task() for handle in handles]
    assert [(task.kind, task.payload, task.lane, task.queue, task.tags) for task in tasks] == [
        ("double", b'{"n":1}', 2, "default", ()),
        ("send", b'{"to":"a"}', 3, "mail", ()),
        ("double", b'{"n":2}', 0, "default", ()),
        ("send", b'{"to":"b"}', 3, "mail", ("slow",)),
        ("double", b'{"n":3}', 2, "default", ()),
        ("send", b'{"to":"c"}', 3, "mail", ("slow",)),
        ("double", b'{"n":4}', 0, "default", ()),
    ]
    assert [task.run_at_us - task.created_at_us for task in tasks[3:5]] == [60_000_000, 0]
    assert sorted(handle.id for handle in handles) == [handle.id for handle in handles]


def test_large_and_small_payloads_may_be_mixed(client: Client) -> None:
    texts = ["a", "b" * 50_000, "c", "d" * 4_087, "e" * 4_088, ""]

    handles = client.enqueue_many(send.call(text) for text in texts)

    assert [handle.task().payload for handle in handles] == [
        b'{"to":"%s"}' % text.encode() for text in texts
    ]


def test_unique_keys_are_looked_at_one_by_one(client: Client) -> None:
    unique = [double.options(unique=f"key-{n}").call(n) for n in range(5)]
    holder = client.enqueue(double.options(unique="key-2"), 99)

    handles = client.enqueue_many(
        double.options(unique=f"key-{n}", return_existing=True).call(n) for n in range(4)
    )

    assert handles[2].id == holder.id
    assert len({handle.id for handle in handles}) == 4
    assert [task.unique_key for task in everything(client)] == ["key-2", "key-0", "key-1", "key-3"]
    with pytest.raises(DuplicateError):
        client.enqueue_many(unique)


def test_a_batch_with_a_duplicate_is_stored_not_at_all(by_tens: Client) -> None:
    holder = by_tens.enqueue(double.options(unique="taken"), 0)
    calls = [double.call(n) for n in range(1, 30)]
    calls[14] = double.options(unique="taken").call(15)

    with pytest.raises(DuplicateError, match="holds the unique key 'taken'") as refused:
        by_tens.enqueue_many(calls)

    assert refused.value.existing_id == holder.id
    # The batch before it stays.
    assert [task.payload for task in everything(by_tens)] == [b'{"n":%d}' % n for n in range(11)]


def test_a_key_given_twice_at_once_is_told(client: Client) -> None:
    unique = double.options(unique="same")

    with pytest.raises(DuplicateError, match="two of the tasks have the unique key 'same'"):
        client.enqueue_many([unique.call(1), double.call(2), unique.call(3)])

    assert client.find() == []


def test_a_key_given_twice_at_once_can_be_one_task(client: Client) -> None:
    unique = double.options(unique=True, return_existing=True)

    first, other, second = client.enqueue_many([unique.call(1), unique.call(2), unique.call(1)])

    assert first.id == second.id != other.id
    assert len(client.find()) == 2


def test_ids_given_are_kept_and_harmless_twice(client: Client) -> None:
    calls = [double.options(id=f"id-{n}").call(n) for n in (1, 2, 1)]

    handles = client.enqueue_many([*calls, double.call(3)])
    again = client.enqueue_many(calls)

    assert [handle.id for handle in handles[:3]] == ["id-1", "id-2", "id-1"]
    assert [handle.id for handle in again] == ["id-1", "id-2", "id-1"]
    assert len(client.find()) == 3


def test_what_was_stored_before_an_error_of_the_generator_stays(by_tens: Client) -> None:
    def calls() -> Iterator[Call[int]]:
        for n in range(25):
            yield double.call(n)
        raise OSError("the file ended")

    with pytest.raises(OSError, match="the file ended"):
        by_tens.enqueue_many(calls())

    assert [task.payload for task in everything(by_tens)] == [b'{"n":%d}' % n for n in range(20)]


def test_arguments_that_do_not_fit_end_the_generator(by_tens: Client) -> None:
    values: list[object] = [*range(13), "x", 14]

    with pytest.raises(InvalidError, match="Expected `int`, got `str`"):
        by_tens.enqueue_many(double.call(n) for n in values)  # type: ignore[arg-type]  # so it is

    assert len(by_tens.find()) == 10


# How calls are put together.


def test_calls_alike_share_a_statement() -> None:
    calls: list[Call[object]] = [
        *(double.call(n) for n in range(4)),
        send.call("a"),
        *(double.options(tags=["t"]).call(n) for n in range(3)),
        double.call(4),
        *(double.options(unique=f"k{n}").call(n) for n in range(2)),
    ]

    (batch,) = batches(calls, tenant="", ids=Uuid7Ids(), batch_max=100)

    assert [list(positions) for positions in batch.positions] == [
        [0, 1, 2, 3, 8, 9, 10],
        [4],
        [5, 6, 7],
    ]
    assert [group.unique_keys for group in batch.groups] == [
        [None, None, None, None, None, "k0", "k1"],
        None,
        None,
    ]
    assert [group.is_fresh for group in batch.groups] == [True, True, True]


def test_no_batch_is_larger_than_its_bound() -> None:
    cut = batches((double.call(n) for n in range(25)), tenant="", ids=Uuid7Ids(), batch_max=10)

    assert [len(batch.calls) for batch in cut] == [10, 10, 5]
