"""Verbs on workers, and on the leader's office."""

from __future__ import annotations

from dataclasses import replace

from tenure.store import workers
from tests.store.builders import a_worker
from tests.store.drivers import SECOND_US, START_US, Driver

LEASE_US = 15 * SECOND_US


def elect(store: Driver, worker_id: str, office: str = "reaper") -> bool:
    return store.run(workers.elect(office, worker_id, lease_us=LEASE_US))


def test_a_worker_is_listed_as_it_registered_at_the_stores_time(store: Driver) -> None:
    worker = a_worker(queues=("mail", "ü"), slots=3)

    store.run(workers.register(worker))

    expected = replace(worker, started_at_us=START_US, seen_at_us=START_US)
    assert [expected] == store.run(workers.listing())


def test_workers_are_listed_oldest_first(store: Driver) -> None:
    for id in "cab":
        store.run(workers.register(a_worker(id)))
        store.clock.pass_s(0 if id == "a" else 1)

    assert ["c", "a", "b"] == [worker.id for worker in store.run(workers.listing())]


def test_registering_again_is_a_beat(store: Driver) -> None:
    store.run(workers.register(a_worker()))
    store.clock.pass_s(1)

    store.run(workers.register(a_worker()))

    (worker,) = store.run(workers.listing())
    assert (START_US, START_US + SECOND_US) == (worker.started_at_us, worker.seen_at_us)


def test_a_beat_says_that_the_worker_lives_and_how_many_threads_are_stuck(
    store: Driver,
) -> None:
    store.run(workers.register(a_worker()))
    store.run(workers.register(a_worker("other")))
    store.clock.pass_s(1)

    is_known = store.run(workers.beat("worker-1", stuck=2))

    assert is_known
    by_id = {str(worker.id): worker for worker in store.run(workers.listing())}
    assert (START_US + SECOND_US, 2) == (by_id["worker-1"].seen_at_us, by_id["worker-1"].stuck)
    assert (START_US, 0) == (by_id["other"].seen_at_us, by_id["other"].stuck)


def test_a_forgotten_worker_hears_of_it_with_its_beat(store: Driver) -> None:
    store.run(workers.register(a_worker()))
    store.run(workers.register(a_worker("other")))

    store.run(workers.forget("worker-1"))

    assert not store.run(workers.beat("worker-1", stuck=0))
    assert ["other"] == [worker.id for worker in store.run(workers.listing())]


def test_a_stopping_worker_remembers_since_when(store: Driver) -> None:
    store.run(workers.register(a_worker()))
    store.run(workers.register(a_worker("other")))
    store.run(workers.stop("worker-1"))
    store.clock.pass_s(1)
    store.run(workers.stop("worker-1"))

    stopping = {worker.id: worker.stopping_at_us for worker in store.run(workers.listing())}

    assert {"worker-1": START_US, "other": None} == stopping


def test_workers_that_were_not_seen_for_so_long_are_forgotten(store: Driver) -> None:
    store.run(workers.register(a_worker("quiet")))
    store.run(workers.register(a_worker("alive")))
    store.clock.pass_s(59)
    store.run(workers.beat("alive", stuck=0))

    early = store.run(workers.forget_lost(forget_us=60 * SECOND_US, limit=10))
    store.clock.pass_s(1)
    forgotten = store.run(workers.forget_lost(forget_us=60 * SECOND_US, limit=10))

    assert ([], ["quiet"]) == (early, forgotten)
    assert ["alive"] == [worker.id for worker in store.run(workers.listing())]


def test_lost_workers_are_forgotten_so_many_at_once(store: Driver) -> None:
    for id in "abc":
        store.run(workers.register(a_worker(id)))

    forgotten = [store.run(workers.forget_lost(forget_us=0, limit=2)) for _ in range(3)]

    assert [2, 1, 0] == [len(each) for each in forgotten]


def test_one_worker_is_elected(store: Driver) -> None:
    assert elect(store, "a")
    assert not elect(store, "b")


def test_the_leader_keeps_its_office_by_asking_again(store: Driver) -> None:
    elect(store, "a")
    store.clock.pass_s(14)
    elect(store, "a")
    store.clock.pass_s(14)

    assert not elect(store, "b")
    assert elect(store, "a")


def test_the_office_is_free_when_its_time_is_over(store: Driver) -> None:
    elect(store, "a")
    store.clock.time_us += LEASE_US - 1
    early = elect(store, "b")
    store.clock.time_us += 1

    assert (False, True, False) == (early, elect(store, "b"), elect(store, "a"))


def test_offices_are_apart(store: Driver) -> None:
    assert elect(store, "a", "reaper")
    assert elect(store, "b", "pruner")


def test_only_the_leader_can_give_its_office_up(store: Driver) -> None:
    elect(store, "a")
    elect(store, "a", "pruner")

    store.run(workers.resign("reaper", "b"))
    held = elect(store, "b")
    store.run(workers.resign("reaper", "a"))

    assert (False, True, False) == (held, elect(store, "b"), elect(store, "b", "pruner"))


def test_the_stores_clock_is_the_one_it_was_given(store: Driver) -> None:
    assert START_US == store.run(workers.clock())
