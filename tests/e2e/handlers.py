"""What the workers of these tests run: `tenure worker tests/e2e/handlers.py:app`.

Each handler notes in the ledger that it begins and ends. With a *gate* an attempt waits for the
file of its own number, `gate.1` for the first, so that a test decides when which attempt ends.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import tenure
from tests.e2e.ledger import Ledger, Mark

app = tenure.Registry()

LOOK_S = 0.005
GATE_S_MAX = 60.0
# A crash spends an attempt, and these tests make many.
PATIENT = tenure.retry(attempts=1_000, wait=0)


@app.task(retry=PATIENT)
async def in_coroutine(ledger: str, work_ms: int = 0, gate: str = "") -> Mark:
    """Work on the event loop."""
    context = tenure.context()
    with Ledger(Path(ledger)).entry(context) as mark:
        give_up_at = time.monotonic() + GATE_S_MAX
        # Another process opens the gate, so there is no event to wait for.
        while _is_shut(gate, context) and time.monotonic() < give_up_at:  # noqa: ASYNC110 - as said
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(work_ms / 1_000)
    return mark


@app.task(retry=PATIENT)
def in_thread(ledger: str, work_ms: int = 0, gate: str = "") -> Mark:
    """Do the same in a thread."""
    return _work(ledger, work_ms, gate)


@app.task(retry=PATIENT, runtime="process")
def in_process(ledger: str, work_ms: int = 0, gate: str = "") -> Mark:
    """Do the same in a process."""
    return _work(ledger, work_ms, gate)


@app.task(retry=tenure.retry(attempts=1), timeout=0.3)
def stubborn_thread(ledger: str, gate: str) -> Mark:
    """Wait for the gate, whatever the time."""
    return _work(ledger, 0, gate)


@app.task(retry=tenure.retry(attempts=1), timeout=0.3, runtime="process")
def stubborn_process(ledger: str, gate: str) -> Mark:
    """Do the same in a process."""
    return _work(ledger, 0, gate)


BY_RUNTIME = {"coroutine": in_coroutine, "thread": in_thread, "process": in_process}


def _work(ledger: str, work_ms: int, gate: str) -> Mark:
    context = tenure.context()
    with Ledger(Path(ledger)).entry(context) as mark:
        give_up_at = time.monotonic() + GATE_S_MAX
        while _is_shut(gate, context) and time.monotonic() < give_up_at:
            time.sleep(LOOK_S)
        time.sleep(work_ms / 1_000)
    return mark


def _is_shut(gate: str, context: tenure.TaskContext) -> bool:
    return bool(gate) and not Path(f"{gate}.{context.attempt}").exists()
