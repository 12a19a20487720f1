"""From events to log lines, as text and as JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from tenure.kernel.errors import StoreBusyError
from tenure.kernel.model import ErrorReport
from tenure.kernel.states import Event as TaskMove
from tenure.observe import events
from tenure.observe.events import EngineEvent
from tenure.observe.log import LINES, LOGGER_NAME, JsonLines, TextLines, configure, log_event
from tenure.settings import LogSettings

FAILED = events.AttemptFailed(
    task_id="task-1",
    kind="mail",
    attempt=2,
    attempts_max=5,
    move=TaskMove.RETRY,
    delay_us=1_500_000,
    error=ErrorReport(type="ValueError", message="no such user", traceback="line 1\nline 2\n"),
)
TICK = events.TickFailed(
    loop="settler", error=StoreBusyError("locked"), failures=3, wait_us=400_000
)

# One of each.
EVENTS: tuple[EngineEvent, ...] = (
    events.WorkerStarted(worker_id="w", url="sqlite:///t.db", queues=("a", "b"), kinds=2, slots=9),
    events.WorkerStopping(worker_id="w", running=3, grace_us=30_000_000),
    events.WorkerStopped(worker_id="w", released=1),
    events.TasksClaimed(queue="a", count=4),
    events.AttemptsSettled(count=4),
    FAILED,
    events.LeaseLost(task_id="task-1", kind="mail", claim_no=7),
    events.LeasesExpired(task_ids=("task-1", "task-2")),
    events.WorkersForgotten(worker_ids=("w",)),
    events.TasksPruned(count=10),
    events.LeadershipChanged(worker_id="w", is_leader=True),
    events.KindUnknown(kind="mail", queue="a", delay_us=5),
    events.HandlerStuck(task_id="task-1", kind="mail", stuck=1),
    events.WorkerUnhealthy(worker_id="w", stuck=9),
    events.SchedulesFired(fired=3, missed=2, skipped=1, late_us=40),
    events.ScheduleFaulty(schedule_id="s", trouble="there is no calendar 'holidays'"),
    events.SchedulesReplanned(replanned=5),
    events.SchedulesReconciled(created=1, updated=2, unchanged=3, removed=4, refused=()),
    events.ClockWentBack(back_us=3_600_000_000),
    TICK,
)
each_event = pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    """The logger, left as it was."""
    found = logging.getLogger(LOGGER_NAME)
    before = list(found.handlers), found.level, found.propagate
    yield found
    found.handlers[:], found.propagate = before[0], before[2]
    found.setLevel(before[1])


def record_of(event: EngineEvent, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    with caplog.at_level(logging.DEBUG, logger=LOGGER_NAME):
        log_event(event)
    (record,) = caplog.records
    return record


def fields_of(event: EngineEvent, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    found: dict[str, Any] = vars(record_of(event, caplog))["tenure"]
    return found


def test_there_is_a_line_for_every_event_and_for_nothing_else() -> None:
    kinds = set(get_args(EngineEvent))

    assert kinds == set(LINES)
    assert kinds == {type(event) for event in EVENTS}


def test_no_two_events_have_the_same_text() -> None:
    texts = [text for _, text in LINES.values()]

    assert len(set(texts)) == len(texts)


@each_event
def test_every_event_is_logged_with_constant_text_and_its_values_as_fields(
    event: EngineEvent, caplog: pytest.LogCaptureFixture
) -> None:
    record = record_of(event, caplog)

    assert LINES[type(event)] == (record.levelno, record.getMessage())
    assert () == record.args
    assert vars(record)["tenure"]


@each_event
def test_every_event_is_one_object_of_json(
    event: EngineEvent, caplog: pytest.LogCaptureFixture
) -> None:
    record = record_of(event, caplog)

    line = JsonLines().format(record)

    written = json.loads(line)
    assert 1 == len(line.splitlines())
    assert LINES[type(event)][1] == written["text"]
    assert record.levelname.lower() == written["level"]
    assert not {"at", "level", "text"} & vars(record)["tenure"].keys()


@each_event
def test_every_event_is_one_line_of_text_but_for_a_traceback(
    event: EngineEvent, caplog: pytest.LogCaptureFixture
) -> None:
    record = record_of(event, caplog)

    first, *below = TextLines().format(record).splitlines()

    assert record.getMessage() in first
    assert below == vars(record)["tenure"].get("traceback", "").splitlines()


def test_a_line_of_text_in_full(caplog: pytest.LogCaptureFixture) -> None:
    record = record_of(FAILED, caplog)
    record.created = 1_700_000_000.25

    assert (
        "2023-11-14T22:13:20.250Z WARNING attempt failed task_id=task-1 kind=mail attempt=2/5 "
        'then="retry in 1.5 s" error="ValueError: no such user"\nline 1\nline 2'
    ) == TextLines().format(record)


def test_a_line_of_json_in_full(caplog: pytest.LogCaptureFixture) -> None:
    record = record_of(events.LeasesExpired(task_ids=("a", "b")), caplog)
    record.created = 1_700_000_000.25

    assert {
        "at": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "text": "leases expired",
        "task_ids": ["a", "b"],
    } == json.loads(JsonLines().format(record))


@pytest.mark.parametrize(
    ("move", "then", "level"),
    [
        (TaskMove.RETRY, "retry in 1.5 s", logging.WARNING),
        (TaskMove.FAIL, "failed for good", logging.ERROR),
    ],
)
def test_a_failure_says_what_comes_of_it_and_the_last_one_is_an_error(
    move: TaskMove, then: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    last = events.AttemptFailed(
        task_id="t", kind="k", attempt=1, attempts_max=1, move=move, delay_us=1_500_000,
        error=ErrorReport(type="E", message="m"),
    )  # fmt: skip

    record = record_of(last, caplog)

    assert (level, then) == (record.levelno, vars(record)["tenure"]["then"])


def test_a_loop_that_fails_on_its_store_shows_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fields = fields_of(TICK, caplog)

    assert {
        "loop": "settler",
        "error": "StoreBusyError: locked",
        "failures": 3,
        "next_try_s": 0.4,
        "traceback": "",
    } == fields


def test_a_loop_that_fails_by_our_own_fault_shows_where(caplog: pytest.LogCaptureFixture) -> None:
    """Such a line once said KeyError: 'x', and no more."""
    try:
        raise KeyError("x")
    except KeyError as error:
        event = events.TickFailed(loop="reaper", error=error, failures=1, wait_us=1)

    assert 'raise KeyError("x")' in fields_of(event, caplog)["traceback"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ("two\nlines", '"two\\nlines"'),
        ("a=b", '"a=b"'),
        ('"', '"\\""'),
        ("zażółć", "zażółć"),
        (7, "7"),
        (True, "True"),
        (("a", "b"), "a,b"),
        (tuple(map(str, range(12))), "0,1,2,3,4,5,6,7,8,9,… (12)"),
    ],
)
def test_a_value_in_a_line_of_text_ends_where_it_ends(value: object, shown: str) -> None:
    record = logging.LogRecord("tenure", logging.INFO, "", 0, "text", (), None)
    vars(record)["tenure"] = {"name": value}

    assert TextLines().format(record).endswith(f"text name={shown}")


def test_declared_schedules_that_were_refused_are_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = events.SchedulesReconciled(
        created=1, updated=0, unchanged=0, removed=0, refused=("s: there is no calendar",)
    )

    record = record_of(told, caplog)

    assert logging.WARNING == record.levelno
    assert ("s: there is no calendar",) == vars(record)["tenure"]["refused"]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_only_what_reaches_the_level_is_written(
    level: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(LogSettings(level=level))

    for event in EVENTS:
        log_event(event)

    written = capsys.readouterr().err
    for number, text in LINES.values():
        assert (text in written) == (number >= logging.getLevelName(level.upper()))


@pytest.mark.parametrize(("form", "start"), [("text", "2"), ("json", "{")])
def test_the_form_is_as_set(form: Any, start: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format=form))

    log_event(EVENTS[0])

    assert capsys.readouterr().err.startswith(start)


def test_configuring_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings())
    configure(LogSettings())

    log_event(EVENTS[0])

    assert 1 == capsys.readouterr().err.count("worker started")


def test_the_bus_tells_every_subscriber_in_order() -> None:
    bus, heard = events.Bus(), list[tuple[str, EngineEvent]]()
    bus.subscribe(lambda event: heard.append(("first", event)))
    bus.subscribe(lambda event: heard.append(("second", event)))

    bus.emit(TICK)

    assert [("first", TICK), ("second", TICK)] == heard


@each_event
def test_events_cannot_be_changed(event: EngineEvent) -> None:
    name = next(iter(type(event).__dataclass_fields__))

    with pytest.raises(AttributeError):
        setattr(event, name, None)
