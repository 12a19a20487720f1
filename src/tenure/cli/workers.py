"""`tenure workers`: who claims, and who has not been heard of."""

from __future__ import annotations

import click

from tenure.cli import shapes, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.reach import reach
from tenure.cli.show import Column
from tenure.kernel.model import Worker
from tenure.service import workers as service
from tenure.settings import Settings


@click.command()
@json_output
@choose_settings
def workers() -> None:
    """List the workers, oldest first."""
    settings = current().settings()
    with reach(settings) as store:
        found = store.run(service.listing())
        now_us = store.run(service.clock())
    statuses = [status_of(worker, settings, now_us) for worker in found]
    if current().is_json:
        pairs = zip(found, statuses, strict=True)
        show.as_json({"workers": [shapes.worker_shape(*pair) for pair in pairs]})
        return
    if not found:
        show.note("no workers: start one with 'tenure worker app.py'")
        return
    show.table(
        _COLUMNS,
        [_row(*pair, now_us) for pair in zip(found, statuses, strict=True)],
    )


def status_of(worker: Worker, settings: Settings, now_us: int) -> str:
    """Return one word for how a worker is."""
    # It beats when it renews its leases. One that let a whole lease pass has lost them too.
    if now_us - worker.seen_at_us > settings.worker.lease_us:
        return "silent"
    if worker.stopping_at_us is not None:
        return "stopping"
    return "stuck" if worker.stuck else "alive"


_COLUMNS = (
    Column("ID", is_whole=True),
    Column("STATUS", is_whole=True),
    Column("PROCESS"),
    Column("QUEUES"),
    Column("SLOTS", is_whole=True),
    Column("UP", is_whole=True),
    Column("SEEN"),
)


def _row(worker: Worker, status: str, now_us: int) -> list[str]:
    return [
        worker.id,
        status,
        f"{worker.host}:{worker.pid}",
        ",".join(worker.queues),
        str(worker.slots),
        show.span(max(0, now_us - worker.started_at_us)),
        show.relative(worker.seen_at_us, now_us),
    ]
