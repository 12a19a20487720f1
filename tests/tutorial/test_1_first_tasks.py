"""Start here: a function becomes a task, a worker runs it, and its result comes back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date

import pytest

import tenure


@tenure.task
def hello(name: str) -> str:
    return f"Hello, {name}!"


@tenure.task
async def hello_loudly(name: str) -> str:
    shouted = await asyncio.to_thread(str.upper, name)
    return f"Hello, {shouted}!"


@dataclass
class Invoice:
    number: int
    due: date
    lines: list[str]


@tenure.task
def postpone(invoice: Invoice, *, to: date) -> Invoice:
    return Invoice(invoice.number, to, invoice.lines)


def test_hello_world(sqlite_url: str) -> None:
    """A client stores tasks, a worker runs them; here both live in this process."""
    with tenure.Client(sqlite_url) as client, tenure.Worker(client):
        handle = client.enqueue(hello, "world")

        assert handle.result(timeout=30) == "Hello, world!"


def test_a_coroutine_is_a_task_just_the_same(client: tenure.Client) -> None:
    with tenure.Worker(client):
        handle = client.enqueue(hello_loudly, "world")

        assert handle.result(timeout=30) == "Hello, WORLD!"


def test_a_task_waits_until_there_is_a_worker(client: tenure.Client) -> None:
    """What was enqueued is on disk: this process could end here, and another one go on."""
    handle = client.enqueue(hello, "world")

    assert handle.task().state is tenure.State.PENDING
    with tenure.Worker(client):
        assert handle.result(timeout=30) == "Hello, world!"
    assert handle.task().state is tenure.State.COMPLETED


def test_arguments_and_results_are_what_the_annotations_say(client: tenure.Client) -> None:
    """They travel as JSON, and come back as dataclasses, dates and whatever else you named."""
    invoice = Invoice(number=7, due=date(2026, 1, 31), lines=["tea", "milk"])

    with tenure.Worker(client):
        handle = client.enqueue(postpone, invoice, to=date(2026, 2, 28))

        assert handle.result(timeout=30) == Invoice(7, date(2026, 2, 28), ["tea", "milk"])


def test_arguments_that_do_not_fit_are_refused_before_anything_is_stored(
    client: tenure.Client,
) -> None:
    """Your type checker says so too, so here it has to be told to look away."""
    with pytest.raises(tenure.InvalidError, match="Expected `str`, got `int`"):
        client.enqueue(hello, 5)  # type: ignore[arg-type]  # what this test is about

    assert client.find() == []


def test_a_handler_is_still_a_function() -> None:
    """Called directly it runs here and now, without Tenure; good for tests of your own."""
    assert hello("you") == "Hello, you!"


def test_a_task_can_be_found_again_by_its_id(client: tenure.Client) -> None:
    task_id = client.enqueue(hello, "world").id

    with tenure.Worker(client):
        assert client.result(task_id, timeout=30) == b'"Hello, world!"'
    assert [task.id for task in client.find(kind="hello", state="completed")] == [task_id]


def test_waiting_for_a_result_has_an_end_if_you_name_one(client: tenure.Client) -> None:
    handle = client.enqueue(hello, "nobody is working")

    with pytest.raises(tenure.WaitTimeoutError):
        handle.result(timeout=0.01)
