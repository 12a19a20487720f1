"""How and when a task runs: later, sooner than others, in another queue, only once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import tenure

begun: list[str] = []


@tenure.task
async def note(text: str) -> None:
    begun.append(text)


@tenure.task(queue="letters", priority=tenure.Lane.HIGH)
async def write(to: str) -> str:
    return f"Dear {to}"


def test_a_task_can_be_delayed(client: tenure.Client) -> None:
    with tenure.Worker(client):
        later = client.enqueue(note.options(delay=3600), "in an hour")
        now = client.enqueue(note, "now")
        now.result(timeout=30)

    assert later.task().state is tenure.State.PENDING


def test_a_task_can_be_due_at_a_time(client: tenure.Client) -> None:
    """A time needs a zone: nine o'clock is not the same everywhere."""
    due = datetime(2030, 1, 31, 9, 0, tzinfo=UTC)

    handle = client.enqueue(note.options(at=due), "next decade")

    assert handle.task().run_at_us == due.timestamp() * 1_000_000
    with pytest.raises(tenure.InvalidError, match="has no time zone"):
        note.options(at=datetime(2030, 1, 31, 9, 0))  # noqa: DTZ001 - to be refused


def test_urgent_tasks_come_first(client: tenure.Client) -> None:
    begun.clear()
    handles = [
        client.enqueue(note.options(priority=tenure.Lane.LOW), "low"),
        client.enqueue(note, "normal"),
        client.enqueue(note.options(priority=tenure.Lane.URGENT), "urgent"),
    ]

    with tenure.Worker(client):
        for handle in handles:
            handle.result(timeout=30)

    assert begun == ["urgent", "normal", "low"]


def test_queues_keep_work_apart(client: tenure.Client) -> None:
    """A worker takes from the queues of the handlers it knows, or from those you name."""
    letter = client.enqueue(write, "Ada")
    other = client.enqueue(note, "not a letter")

    with tenure.Worker(client, queues=["letters"]):
        assert letter.result(timeout=30) == "Dear Ada"

    assert other.task().state is tenure.State.PENDING


def test_a_unique_key_keeps_a_task_from_being_stored_twice(client: tenure.Client) -> None:
    welcome = write.options(unique="welcome:ada")
    first = client.enqueue(welcome, "Ada")

    with pytest.raises(tenure.DuplicateError) as refused:
        client.enqueue(welcome, "Ada")

    assert refused.value.existing_id == first.id


def test_a_duplicate_can_also_be_answered_with_the_task_that_is_there(
    client: tenure.Client,
) -> None:
    """With unique=True the arguments are the key."""
    once = write.options(unique=True, return_existing=True)

    ada, bob, again = (client.enqueue(once, name) for name in ("Ada", "Bob", "Ada"))

    assert again.id == ada.id != bob.id


def test_the_key_is_free_again_when_its_task_has_ended(client: tenure.Client) -> None:
    welcome = write.options(unique="welcome:ada")

    with tenure.Worker(client):
        client.enqueue(welcome, "Ada").result(timeout=30)
        client.enqueue(welcome, "Ada").result(timeout=30)


def test_an_id_of_your_own_makes_enqueueing_repeatable(client: tenure.Client) -> None:
    """A request that is sent twice, after a lost answer say, is still one task."""
    mine = write.options(id="request-4711")

    first, second = client.enqueue(mine, "Ada"), client.enqueue(mine, "Ada")

    assert first.id == second.id == "request-4711"
    assert len(client.find()) == 1
