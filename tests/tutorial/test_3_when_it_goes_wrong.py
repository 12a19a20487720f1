"""Errors, retries, timeouts, cancelling, and bringing a task back."""

from __future__ import annotations

import asyncio
import threading

import pytest

import tenure

tries: list[int] = []
begun = threading.Event()


@tenure.task(retry=tenure.retry(attempts=3, wait=0))
def flaky(failures: int) -> str:
    attempt = tenure.context().attempt
    tries.append(attempt)
    if attempt <= failures:
        raise ConnectionError("the line is dead")
    return f"worked the {attempt}. time"


@tenure.task(retry=tenure.retry(wait=[0, 60, 3600], never=ValueError))
async def strict(text: str) -> int:
    return int(text)


@tenure.task
async def hopeless() -> None:
    raise tenure.GiveUp("there is no such customer")


@tenure.task(retry=tenure.retry(attempts=2))
async def polite() -> str:
    if not tenure.context().is_last_attempt:
        raise tenure.RetryLater("the server said: 503, Retry-After: 0", after=0)
    return "served"


@tenure.task(timeout=0.05, retry=tenure.retry(attempts=1))
async def endless() -> None:
    await asyncio.Event().wait()


@tenure.task
def careful() -> str:
    begun.set()
    while not tenure.context().cancel_asked:
        threading.Event().wait(0.01)
    return "tidied up"


@pytest.fixture(autouse=True)
def _afresh() -> None:
    tries.clear()
    begun.clear()


def test_an_attempt_that_fails_is_made_again(client: tenure.Client) -> None:
    with tenure.Worker(client):
        handle = client.enqueue(flaky, failures=2)

        assert handle.result(timeout=30) == "worked the 3. time"
    assert tries == [1, 2, 3]


def test_after_its_last_attempt_a_task_has_failed(client: tenure.Client) -> None:
    with tenure.Worker(client):
        handle = client.enqueue(flaky, failures=99)

        with pytest.raises(tenure.TaskFailedError, match="ConnectionError: the line is dead"):
            handle.result(timeout=30)
    assert handle.task().state is tenure.State.FAILED


def test_every_attempt_is_kept_with_its_error(client: tenure.Client) -> None:
    with tenure.Worker(client):
        handle = client.enqueue(flaky, failures=1)
        handle.result(timeout=30)

    second, first = client.story(handle.id).attempts
    assert second.error is None
    assert first.error is not None
    assert first.error.type == "ConnectionError"
    assert "the line is dead" in first.error.traceback


def test_some_errors_are_not_worth_another_attempt(client: tenure.Client) -> None:
    """The kind says which; or the handler, by raising GiveUp."""
    with tenure.Worker(client):
        wrong = client.enqueue(strict, "many")
        unknown = client.enqueue(hopeless)
        for handle in (wrong, unknown):
            with pytest.raises(tenure.TaskFailedError, match="after 1 attempt"):
                handle.result(timeout=30)


def test_a_handler_can_say_when_to_try_again(client: tenure.Client) -> None:
    with tenure.Worker(client):
        assert client.enqueue(polite).result(timeout=30) == "served"


def test_an_attempt_that_takes_too_long_is_ended(client: tenure.Client) -> None:
    with tenure.Worker(client):
        handle = client.enqueue(endless)

        with pytest.raises(tenure.TaskFailedError, match="timeout"):
            handle.result(timeout=30)


def test_a_task_that_has_not_begun_can_be_cancelled(client: tenure.Client) -> None:
    handle = client.enqueue(hopeless)

    assert handle.cancel(reason="nobody needs it") is tenure.State.CANCELLED
    with pytest.raises(tenure.TaskFailedError, match="was cancelled"):
        handle.result()


def test_a_task_that_runs_is_asked_to_stop(client: tenure.Client) -> None:
    """A handler that looks can end tidily; one that does not is cut short after a while."""
    with tenure.Worker(client):
        handle = client.enqueue(careful)
        begun.wait(30)

        assert handle.cancel() is tenure.State.RUNNING
        assert handle.result(timeout=30) == "tidied up"


def test_a_task_that_has_ended_can_be_revived(client: tenure.Client) -> None:
    """For when the cause has been mended: it gets one more attempt."""
    handle = client.enqueue(flaky, failures=3)
    with tenure.Worker(client):
        with pytest.raises(tenure.TaskFailedError):
            handle.result(timeout=30)

        client.revive(handle.id)

        assert handle.result(timeout=30) == "worked the 4. time"
