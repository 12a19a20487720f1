"""The handlers of the census: measure one file, and rank what all files came to.

A worker is given this file: `tenure worker examples/code_census/census.py`.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import msgspec
from measure import Measurement, Ranking, measure, rank

import tenure

QUEUE = "census"
PAGE_ROWS = 500
STDLIB = Path(sysconfig.get_path("stdlib"))

_MEASUREMENT = msgspec.json.Decoder(Measurement)


# Parsing is pure computing: as a coroutine it would keep the worker's event loop from renewing
# leases, in a thread it leaves the loop its turns. The speed comes from several workers; a process
# of its own for every worker's handlers took as long, and pays where a handler may hang or crash.
@tenure.task(queue=QUEUE, runtime="thread")
def measure_file(file: str) -> Measurement:
    """Measure one file of the standard library."""
    return measure(STDLIB, file)


# The results of 1,800 tasks are too much for a payload, so the payload only names the census,
# and the results are read from the store, page by page. `Client()` takes the store's address
# from TENURE_URL, as the worker itself does here.
@tenure.task(queue=QUEUE)
def rank_files(census: str, files: int) -> Ranking:
    """Reduce the results of a census, of which there must be *files*, to its ranking."""
    with tenure.Client() as client:
        measurements = list(measurements_of(client, census))
    if len(measurements) != files:
        text = f"{len(measurements)} of {files} files are measured in the store of TENURE_URL"
        raise tenure.GiveUp(text)
    return rank(measurements)


def task_id(census: str, file: str) -> str:
    """Return the id under which a file is measured: enqueued twice, it is stored once."""
    return f"{census}/{file}"


def measurements_of(client: tenure.Client, census: str) -> Iterator[Measurement]:
    """Yield what the census has measured so far, newest page first."""
    before_id = ""
    while page := client.find(
        kind=measure_file.name, state=tenure.State.COMPLETED, before_id=before_id, limit=PAGE_ROWS
    ):
        for task in page:
            if task.id.startswith(task_id(census, "")):
                # A page brings all results but large ones, which are kept apart.
                yield _MEASUREMENT.decode(task.result or client.result(task.id))
        before_id = page[-1].id
