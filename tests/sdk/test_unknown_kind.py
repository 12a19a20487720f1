"""A worker that claims a task of a kind it does not know puts it back, unspent."""

from __future__ import annotations

import tenure
from tenure import Client, Registry, State
from tenure.observe.events import EngineEvent, KindUnknown

registry, others = Registry(), Registry()


@registry.task
def known(n: int) -> int:
    return n


@others.task
def unknown(n: int) -> int:
    return n + 1


def test_a_task_of_an_unknown_kind_is_put_back_for_a_while(url: str) -> None:
    told: list[EngineEvent] = []
    with Client(url) as client:
        handle = client.enqueue(unknown, 1)
        worker = tenure.Worker(client, registry=registry)
        worker.bus.subscribe(told.append)
        with worker:
            # It is behind the other in the queue, so that has been claimed when this is done.
            assert client.enqueue(known, 5).result(timeout=30) == 5

        task = handle.task()

    assert [event.kind for event in told if isinstance(event, KindUnknown)] == ["unknown"]
    assert task.state is State.PENDING
    assert task.attempt == 0
    assert task.run_at_us - task.created_at_us >= 30_000_000


def test_a_worker_that_knows_the_kind_runs_it(url: str) -> None:
    with Client(url) as client:
        handle = client.enqueue(unknown, 1)
        with tenure.Worker(client, registry=others):
            assert handle.result(timeout=30) == 2
