"""The client for plain functions, on both stores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import tenure
from tenure import (
    Client,
    ConfigError,
    DuplicateError,
    InvalidError,
    Lane,
    LimitError,
    NotFoundError,
    Registry,
    Settings,
    State,
    StoreDownError,
    TransitionError,
    WaitTimeoutError,
)
from tenure.kernel.unique import derive_unique_key

registry = Registry()


@dataclass
class Sum:
    total: int
    parts: list[int]


@registry.task
def add(*parts: int) -> Sum:
    return Sum(sum(parts), list(parts))


@registry.task(queue="mail", priority=Lane.HIGH, cost=2, timeout=9)
async def send(to: str) -> None:
    return None


@registry.task(retry=tenure.retry(1))
def divide(a: int, b: int) -> float:
    return a / b


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as opened:
        yield opened


def test_a_task_is_stored_as_its_kind_says(client: Client) -> None:
    task = client.enqueue(send, "ada").task()

    assert task.kind == "send"
    assert task.payload == b'{"to":"ada"}'
    assert task.state is State.PENDING
    assert (task.queue, task.lane, task.cost) == ("mail", Lane.HIGH, 2)
    assert (task.timeout_us, task.attempts_max) == (9_000_000, 5)
    assert task.run_at_us == task.created_at_us
    assert (task.unique_key, task.tags, task.tenant) == (None, (), "")


def test_options_come_before_what_the_kind_says(client: Client) -> None:
    chosen = send.options(
        queue="slow",
        priority=3,
        cost=1,
        delay=30,
        attempts=2,
        timeout=1,
        unique="k",
        tags=["a", "ü"],
        id="mine",
    )

    task = client.enqueue(chosen, to="ada").task()

    assert (task.id, task.queue, task.lane, task.cost) == ("mine", "slow", Lane.LOW, 1)
    assert (task.timeout_us, task.attempts_max) == (1_000_000, 2)
    assert task.run_at_us - task.created_at_us == 30_000_000
    assert (task.unique_key, task.tags) == ("k", ("a", "ü"))


def test_a_time_is_kept_to_the_microsecond(client: Client) -> None:
    at = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)

    task = client.enqueue(send.options(at=at), "ada").task()

    assert task.run_at_us == 1_893_553_445_678_901


def test_a_large_payload_comes_back_whole(client: Client) -> None:
    handle = client.enqueue(send, "x" * 100_000)

    assert handle.task().payload == b'{"to":"%s"}' % (b"x" * 100_000)


def test_a_payload_over_its_bound_is_refused_and_nothing_is_stored(client: Client) -> None:
    with pytest.raises(LimitError, match=r"raise limits\.payload_bytes_max") as refused:
        client.enqueue(send, "x" * 1_100_000)
    with pytest.raises(LimitError, match="payload has 1,100,009 bytes"):
        client.enqueue_many([send.call("a"), send.call("x" * 1_100_000)])

    assert refused.value.bound == 1024 * 1024
    assert client.find() == []


def test_arguments_that_do_not_fit_are_refused_and_nothing_is_stored(client: Client) -> None:
    wrong: Any = 5

    with pytest.raises(InvalidError, match="Expected `str`, got `int`"):
        client.enqueue(send, wrong)

    assert client.find() == []


def test_a_result_comes_as_the_annotation_says(client: Client) -> None:
    with tenure.Worker(client, registry=registry):
        handle = client.enqueue(add, 1, 2, 3)

        assert handle.result(timeout=30) == Sum(6, [1, 2, 3])
        assert handle.result(timeout=0) == Sum(6, [1, 2, 3])
        assert client.result(handle.id) == b'{"total":6,"parts":[1,2,3]}'


def test_a_task_that_failed_is_told_with_its_error(client: Client) -> None:
    with tenure.Worker(client, registry=registry):
        handle = client.enqueue(divide, 1, 0)
        with pytest.raises(tenure.TaskFailedError) as told:
            handle.result(timeout=30)

    assert "failed after 1 attempt: ZeroDivisionError: division by zero" in str(told.value)
    assert told.value.state == "failed"
    assert told.value.error_type == "ZeroDivisionError"
    assert "return a / b" in told.value.traceback


def test_waiting_stops_in_time_and_the_task_goes_on(client: Client) -> None:
    handle = client.enqueue(send, "ada")

    with pytest.raises(WaitTimeoutError, match="is still pending; it goes on"):
        handle.result(timeout=0)

    assert handle.task().state is State.PENDING


def test_a_task_can_be_cancelled_and_revived(client: Client) -> None:
    handle = client.enqueue(send, "ada")

    assert handle.cancel(reason="not wanted") is State.CANCELLED
    with pytest.raises(tenure.TaskFailedError, match="was cancelled"):
        handle.result(timeout=0)
    client.revive(handle.id)

    assert handle.task().state is State.PENDING
    with pytest.raises(TransitionError, match="only an ended task can be revived"):
        client.revive(handle.id)
    assert [entry.event for entry in client.story(handle.id).events] == ["revive", "cancel"]


def test_what_is_not_there_is_told(client: Client) -> None:
    for call in (client.get, client.result, client.cancel, client.revive, client.story):
        with pytest.raises(NotFoundError, match="there is no task 'gone'"):
            call("gone")


def test_tasks_are_found_by_what_they_are(client: Client) -> None:
    first = client.enqueue(send, "a")
    second = client.enqueue(add, 1)
    second.cancel()

    assert [task.id for task in client.find()] == [second.id, first.id]
    assert [task.id for task in client.find(limit=1)] == [second.id]
    assert [task.id for task in client.find(before_id=second.id)] == [first.id]
    assert [task.id for task in client.find(kind="send")] == [first.id]
    assert [task.id for task in client.find(queue="mail")] == [first.id]
    assert [task.id for task in client.find(state="cancelled")] == [second.id]
    with pytest.raises(InvalidError, match="there is no state 'done': use one of pending, "):
        client.find(state="done")
    with pytest.raises(InvalidError, match="limit is 0"):
        client.find(limit=0)


def test_tenants_do_not_see_one_another(url: str) -> None:
    with Client(url, tenant="one") as one, Client(url, tenant="two") as two:
        handle = one.enqueue(send.options(unique="k"), "a")
        two.enqueue(send.options(unique="k"), "b")

        assert len(one.find()) == len(two.find()) == 1
        with pytest.raises(NotFoundError):
            two.get(handle.id)


# Duplicates.


def test_a_unique_key_is_held_by_one_live_task(client: Client) -> None:
    unique = send.options(unique="welcome:ada")
    holder = client.enqueue(unique, "ada")

    with pytest.raises(DuplicateError, match="holds the unique key 'welcome:ada'") as refused:
        client.enqueue(unique, "ada")
    existing = client.enqueue(send.options(unique="welcome:ada", return_existing=True), "bob")
    holder.cancel()
    later = client.enqueue(unique, "ada")

    assert refused.value.existing_id == holder.id == existing.id
    assert later.id != holder.id


def test_unique_arguments_are_a_key_of_their_own(client: Client) -> None:
    unique = send.options(unique=True)
    holder = client.enqueue(unique, "ada")
    client.enqueue(unique, "bob")

    with pytest.raises(DuplicateError):
        client.enqueue(unique, "ada")

    assert holder.task().unique_key == derive_unique_key("send", b'{"to":"ada"}')


def test_an_id_given_twice_is_one_task(client: Client) -> None:
    first = client.enqueue(send.options(id="mine"), "ada")
    second = client.enqueue(send.options(id="mine"), "ada")
    third, fourth = client.enqueue_many([send.options(id="mine").call("bob"), send.call("eve")])

    assert first.id == second.id == third.id == "mine"
    assert {task.id for task in client.find()} == {"mine", fourth.id}
    assert first.task().payload == b'{"to":"ada"}'


# The store and the client's life.


def test_the_store_is_made_when_it_is_first_opened(sqlite_url: str) -> None:
    Client(sqlite_url).close()

    assert Path(sqlite_url.removeprefix("sqlite:///")).exists()


def test_a_client_that_was_closed_says_so(client: Client) -> None:
    handle = client.enqueue(send, "ada")
    client.close()
    client.close()

    for call in (
        handle.task,
        handle.cancel,
        handle.result,
        client.queues,
        lambda: client.enqueue(send, "b"),
        lambda: client.enqueue_many([send.call("b")]),
    ):
        with pytest.raises(StoreDownError, match="the client is closed: open another one"):
            call()


@pytest.mark.parametrize(
    "url",
    ["mysql://localhost/x", "tenure.db", "sqlite:///", "sqlite://tenure.db", "postgresql:/x", ""],
)
def test_a_url_of_no_store_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Client(url)

    assert refused.value.key == "url"


def test_a_store_that_cannot_be_reached_is_told_without_its_password() -> None:
    with pytest.raises(StoreDownError) as told:
        Client("postgresql://user:secret@127.0.0.1:1/nowhere")

    assert "127.0.0.1" in str(told.value)
    assert "secret" not in str(told.value)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreDownError, match="there is no folder"):
        Client(f"sqlite:///{tmp_path / 'no' / 'tenure.db'}")


def test_settings_given_are_used_and_the_url_beside_them_wins(url: str) -> None:
    given = replace(Settings(), limits=replace(Settings().limits, payload_bytes_max=1024))

    with Client(url, settings=given) as client, pytest.raises(LimitError):
        client.enqueue(send, "x" * 2_000)

    assert client.settings.url == url


def test_the_url_comes_from_the_environment(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENURE_URL", sqlite_url)

    with Client() as client:
        assert client.settings.url == sqlite_url


def test_threads_share_a_client(client: Client) -> None:
    stored: list[str] = []

    def enqueue() -> None:
        for n in range(20):
            handle = client.enqueue(send, str(n))
            assert handle.task().payload == b'{"to":"%d"}' % n
            stored.append(handle.id)
        stored.extend(handle.id for handle in client.enqueue_many(add.call(n) for n in range(20)))

    threads = [threading.Thread(target=enqueue) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(stored)) == 480
    assert {task.id for task in client.find(limit=1000)} == set(stored)


def in_child(call: Callable[[], object]) -> int:
    """Run something in a fork of this process; return 0 if it raised nothing."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            call()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# What Python warns of, a lock that a thread holds for ever, is what is tested here.
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@forks
def test_a_client_works_on_both_sides_of_a_fork(client: Client) -> None:
    client.enqueue(send, "before")

    def enqueue() -> None:
        for n in range(5):
            client.enqueue(send, f"child {n}")
        assert len(client.find()) >= 6

    codes = [in_child(enqueue), in_child(enqueue)]
    client.enqueue(send, "after")

    assert codes == [0, 0]
    assert len(client.find()) == 12


@forks
def test_a_child_that_closes_its_client_leaves_the_parents_open(client: Client) -> None:
    assert in_child(client.close) == 0

    client.enqueue(send, "after")
    assert len(client.find()) == 1


def test_queues_and_workers_are_listed(client: Client) -> None:
    client.enqueue(send, "ada")
    with tenure.Worker(client, registry=registry, queues=["default"]):
        (queue,) = client.queues()
        (worker,) = client.workers()

    assert (queue.queue.name, queue.due) == ("mail", 1)
    assert worker.queues == ("default",)
