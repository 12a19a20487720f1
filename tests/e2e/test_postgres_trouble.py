"""PostgreSQL goes down, comes back and drops connections while there is much to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tenure
from tests.e2e import audit, handlers
from tests.e2e.harness import HASTE, Crew, seeded, until, until_more_ended
from tests.e2e.ledger import Ledger, Mark
from tests.support.postgres import PrivateCluster, start_cluster

pytestmark = pytest.mark.e2e

SEED = 20_260_102
TASKS = 400
LATER = 15
PATIENCE_S = 6
TERMINATE = """
    SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name = 'tenure' AND pid <> pg_backend_pid()"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[PrivateCluster]:
    """A server of our own, and one whose acknowledged commits survive it."""
    made = start_cluster(durable=True)
    yield made
    made.stop()


@pytest.fixture
def url(cluster: PrivateCluster) -> Iterator[str]:
    yield cluster.create_database("trouble")
    cluster.drop_database("trouble")


def test_everything_completes_though_the_server_goes_down(
    crew: Crew, cluster: PrivateCluster, ledger: Ledger
) -> None:
    rng = seeded(SEED)
    with tenure.Client(crew.url) as client:
        ids = [handle.id for handle in client.enqueue_many(_calls(ledger, TASKS))]
        crew.start_many(2, "--slots", "4")
        for trouble in (_terminate, _restart, _terminate, _restart):
            until_more_ended(ledger, rng.randint(10, 40), most=TASKS)
            trouble(cluster, crew.url)
            # A caller gets over it too.
            ids += [client.enqueue_many([call])[0].id for call in _calls(ledger, LATER)]
    until(lambda: not audit.unfinished(crew.url), what="the rest is done", within_s=60)

    assert audit.unproven(crew.url, ledger, ids) == []
    assert all(worker.is_alive for worker in crew.workers)


@pytest.mark.parametrize("listens", [True, False], ids=["listening", "deaf"])
def test_notices_are_heard_again_after_a_restart(
    cluster: PrivateCluster, url: str, tmp_path: Path, ledger: Ledger, listens: bool
) -> None:
    """The deaf worker is the planted fault: it looks by itself, but only twice a minute."""
    settings = {
        **HASTE,
        "TENURE_CLAIMER__POLL_S": "30",
        "TENURE_LISTENER__PROBE_S": "1",
        "TENURE_LISTENER__PATIENCE_S": "1",
        "TENURE_STORE__LISTEN": str(listens).lower(),
    }
    crew = Crew(url, tmp_path, settings)
    try:
        with tenure.Client(url) as client:
            first = client.enqueue(handlers.in_coroutine, str(ledger.path))
            crew.start()
            first.result(timeout=30)
        cluster.restart("immediate")
        with tenure.Client(url) as client:
            # What is asked for while nobody listens is found when the line stands again.
            task = client.enqueue(handlers.in_coroutine, str(ledger.path))
            if listens:
                task.result(timeout=PATIENCE_S)
                client.enqueue(handlers.in_coroutine, str(ledger.path)).result(timeout=PATIENCE_S)
            else:
                with pytest.raises(tenure.WaitTimeoutError):
                    task.result(timeout=PATIENCE_S)
    finally:
        crew.close()


def _calls(ledger: Ledger, count: int) -> list[tenure.Call[Mark]]:
    kinds = [*handlers.BY_RUNTIME.values()]
    return [kinds[number % len(kinds)].call(str(ledger.path), 40) for number in range(count)]


def _restart(cluster: PrivateCluster, _: str) -> None:
    cluster.restart("immediate")


def _terminate(_: PrivateCluster, url: str) -> None:
    assert audit.ask(url, TERMINATE)[0][0] > 0
