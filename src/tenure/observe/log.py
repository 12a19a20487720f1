"""Events to log lines: the only place that words them.

Text is constant and the values are fields, so that lines can be searched by either.
"""

from __future__ import annotations

import json
import logging
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tenure.kernel.errors import TenureError
from tenure.kernel.states import Event as TaskMove
from tenure.observe import events
from tenure.settings import LogSettings

LOGGER_NAME = "tenure"

# A level and a constant text for every event.
LINES: dict[type[Any], tuple[int, str]] = {
    events.WorkerStarted: (logging.INFO, "worker started"),
    events.WorkerStopping: (logging.INFO, "worker stopping"),
    events.WorkerStopped: (logging.INFO, "worker stopped"),
    events.TasksClaimed: (logging.DEBUG, "tasks claimed"),
    events.AttemptsSettled: (logging.DEBUG, "attempts settled"),
    events.AttemptFailed: (logging.WARNING, "attempt failed"),
    events.LeaseLost: (logging.WARNING, "lease lost"),
    events.LeasesExpired: (logging.WARNING, "leases expired"),
    events.WorkersForgotten: (logging.WARNING, "workers forgotten"),
    events.TasksPruned: (logging.INFO, "tasks pruned"),
    events.LeadershipChanged: (logging.INFO, "leadership changed"),
    events.KindUnknown: (logging.WARNING, "no handler for this kind here; put back"),
    events.HandlerStuck: (logging.ERROR, "handler ignores that its time is over"),
    events.WorkerUnhealthy: (logging.ERROR, "worker claims no more: too many stuck handlers"),
    events.SchedulesFired: (logging.DEBUG, "schedules fired"),
    events.ScheduleFaulty: (logging.ERROR, "a schedule cannot be planned; set aside"),
    events.SchedulesReplanned: (logging.INFO, "schedules planned anew"),
    events.SchedulesReconciled: (logging.INFO, "declared schedules stored"),
    events.ClockWentBack: (logging.WARNING, "the store's clock was set back"),
    events.TickFailed: (logging.ERROR, "a loop failed and will try again"),
}


def log_event(event: events.EngineEvent) -> None:
    """Write one event to the logger `tenure`; for `Bus.subscribe`."""
    level, text = LINES[type(event)]
    if isinstance(event, events.AttemptFailed) and event.move is TaskMove.FAIL:
        level = logging.ERROR
    if isinstance(event, events.SchedulesReconciled) and event.refused:
        level = logging.WARNING
    logger = logging.getLogger(LOGGER_NAME)
    if logger.isEnabledFor(level):
        logger.log(level, text, extra={"tenure": _fields(event)})


def configure(settings: LogSettings) -> None:
    """Send the log lines of this process to standard error, as settings say."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.format == "json" else TextLines())
    logger = logging.getLogger(LOGGER_NAME)
    logger.handlers[:] = [handler]
    logger.setLevel(settings.level.upper())
    logger.propagate = False


class TextLines(logging.Formatter):
    """Time, level, text, then the fields as name=value; a traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = dict(getattr(record, "tenure", {}))
        below = fields.pop("traceback", "")
        shown = " ".join(f"{name}={_short(value)}" for name, value in fields.items())
        line = f"{_time(record)} {record.levelname:<7} {record.getMessage()} {shown}".rstrip()
        return f"{line}\n{below.rstrip()}" if below else line


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = getattr(record, "tenure", {})
        line = {"at": _time(record), "level": record.levelname.lower(), "text": record.getMessage()}
        return json.dumps(line | fields, default=str)


def _fields(event: events.EngineEvent) -> dict[str, Any]:
    match event:
        case events.AttemptFailed():
            return {
                "task_id": event.task_id,
                "kind": event.kind,
                "attempt": f"{event.attempt}/{event.attempts_max}",
                "then": _then(event),
                "error": f"{event.error.type}: {event.error.message}",
                "traceback": event.error.traceback,
            }
        case events.TickFailed():
            return {
                "loop": event.loop,
                "error": f"{type(event.error).__name__}: {event.error}",
                "failures": event.failures,
                "next_try_s": event.wait_us / 1_000_000,
                "traceback": _traceback(event.error),
            }
        case _:
            return asdict(event)


def _traceback(error: BaseException) -> str:
    """Return where an error comes from, unless it is one that we raise on purpose."""
    return "" if isinstance(error, TenureError) else "".join(traceback.format_exception(error))


def _then(event: events.AttemptFailed) -> str:
    if event.move is TaskMove.RETRY:
        return f"retry in {event.delay_us / 1_000_000:.1f} s"
    return "failed for good" if event.move is TaskMove.FAIL else event.move.value


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value[:10])) + (f",… ({len(value)})" if len(value) > 10 else "")
    text = str(value)
    # Whatever could be taken for the end of the value, or of the line, is quoted.
    is_plain = text.isprintable() and not set(text) & {" ", '"', "="}
    return text if is_plain and text else json.dumps(text, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
