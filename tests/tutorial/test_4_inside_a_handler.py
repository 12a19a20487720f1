"""What a handler can know of its task, and say about it."""

from __future__ import annotations

import json
import threading

import tenure

seen = threading.Event()


@tenure.task
def introduce() -> dict[str, object]:
    context = tenure.context()
    return {
        "id": context.task_id,
        "kind": context.kind,
        "attempt": context.attempt,
        "of": context.attempts_max,
        "tags": context.tags,
    }


@tenure.task
def copy(rows: int) -> int:
    while not seen.wait(0.01):
        tenure.context().progress(0.5, "half of them", copied=rows // 2)
    return rows


@tenure.task(heartbeat=0.1, retry=tenure.retry(attempts=1))
async def chatty(words: int) -> int:
    for _ in range(words):
        tenure.context().heartbeat()
    return words


def test_a_handler_knows_which_task_it_is_in(client: tenure.Client) -> None:
    with tenure.Worker(client):
        handle = client.enqueue(introduce.options(tags=["demo"], attempts=2))

        assert handle.result(timeout=30) == {
            "id": handle.id,
            "kind": "introduce",
            "attempt": 1,
            "of": 2,
            "tags": ["demo"],
        }


def test_a_handler_tells_how_far_it_is(client: tenure.Client) -> None:
    with tenure.Worker(client):
        handle = client.enqueue(copy, 1000)
        while (progress := handle.task().progress) is None:
            seen.wait(0.02)
        seen.set()
        handle.result(timeout=30)

    assert json.loads(progress) == {
        "fraction": 0.5,
        "text": "half of them",
        "counters": {"copied": 500},
    }


def test_a_handler_can_be_asked_to_show_that_it_lives(client: tenure.Client) -> None:
    """With `heartbeat=` an attempt that is silent for so long is taken to be stuck."""
    with tenure.Worker(client):
        assert client.enqueue(chatty, 100).result(timeout=30) == 100
