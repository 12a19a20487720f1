"""What to send to PostgreSQL for a step of a verb, where notices always ride along.

Called by the drivers that have no brake for notices: psycopg's, and all borrowed connections,
whose transactions may end long after the statement.
"""

from __future__ import annotations

from tenure.kernel.ports import Batch, Clock, Script, Step
from tenure.store.statements import Compiled

FAILED_TRANSACTION = "the transaction has failed already: roll it back before anything else"

Sent = tuple[str, list[object] | None]


def texts(step: Step, statements: dict[str, Compiled], clock: Clock) -> list[Sent]:
    """Return what to send for a step, texts with their values; the rows of the last count."""
    if isinstance(step, Script):
        return [(step.text, None)]
    compiled = statements[step.name]
    values: list[object] = []
    for name in compiled.names:
        if name == "notify":
            values.append(step.notice)
        elif name == "now_us":
            values.append(clock.now_us())
        elif isinstance(step, Batch) and name in step.columns:
            values.append(list(step.columns[name]))
        else:
            values.append(step.params[name])
    sent: list[Sent] = [(compiled.text, values)]
    if step.notice is not None and "notify" not in compiled.names:
        # The notice goes first, so that the step's own rows are the last; it is heard at commit.
        sent.insert(0, (statements["send_notice"].text, [step.notice]))
    return sent
