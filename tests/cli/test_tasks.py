"""`tenure tasks`: what is listed, shown, cancelled and revived."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from tenure import Client, Registry, RetryPolicy, Worker
from tests.cli.conftest import Run, answer, until

MISSING = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What the handler `wait` waits for."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def handlers(kinds: Registry, gate: threading.Event) -> Registry:
    """Handlers that can be run here."""

    @kinds.task(retry=RetryPolicy(attempts_max=1))
    def fail(text: str) -> None:
        raise ValueError(text)

    @kinds.task
    def wait() -> None:
        gate.wait(60)

    return kinds


def finish(client: Client, registry: Registry, *ids: str) -> None:
    """Run tasks to their end."""
    with Worker(client, registry=registry):
        for task_id in ids:
            until(lambda: client.get(task_id).ended_at_us, "the task ends")  # noqa: B023 - called now


def test_ls_lists_the_newest_first_in_plain_columns(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    first = client.enqueue(kinds.get("add"), 1).id
    second = client.enqueue(kinds.get("send").options(delay=3_600), "me").id

    result = run("tasks", "ls", "--url", url)

    lines = result.stdout.splitlines()
    assert ["ID", "STATE", "KIND", "QUEUE", "TRY", "WHEN"] == lines[0].split()
    assert [second, "scheduled", "send", "mail", "0/5", "in"] == lines[1].split()[:6]
    assert [first, "available", "add", "default", "0/5"] == lines[2].split()[:5]
    assert "\x1b" not in result.stdout


def test_ls_chooses_by_state_queue_and_kind(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    added = client.enqueue(kinds.get("add"), 1).id
    sent = client.enqueue(kinds.get("send"), "me").id
    client.cancel(sent)

    chosen = {
        options: run("tasks", "ls", "--ids", "--url", url, *options).stdout.split()
        for options in [
            ("--state", "cancelled"),
            ("--queue", "default"),
            ("--kind", "send"),
            ("--kind", "other"),
        ]
    }

    assert [[sent], [added], [sent], []] == list(chosen.values())


def test_ls_goes_on_from_where_a_page_ended(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    ids = [client.enqueue(kinds.get("add"), number).id for number in range(5)]

    first = answer(run("tasks", "ls", "--json", "-n", "3", "--url", url))
    second = answer(run("tasks", "ls", "--json", "--before", first["next_before"], "--url", url))

    assert ids[::-1] == [task["id"] for task in [*first["tasks"], *second["tasks"]]]
    assert second["next_before"] is None


def test_the_json_of_a_task_has_all_its_fields_and_times_with_z(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    kind = kinds.get("add").options(unique="k", tags=["x"], timeout=1.5, priority=0)
    task_id = client.enqueue(kind, 1).id

    task = answer(run("tasks", "ls", "--json", "--url", url))["tasks"][0]

    assert {
        "id": task_id,
        "kind": "add",
        "state": "pending",
        "label": "available",
        "priority": 0,
        "tags": ["x"],
        "timeout_s": 1.5,
        "unique_key": "k",
        "ended_at": None,
    }.items() <= task.items()
    assert task["created_at"].endswith("Z")
    assert 27 == len(task["created_at"])


def test_show_gives_the_payload_as_it_is_stored(
    run: Run, client: Client, url: str, app: str
) -> None:
    stored = run("enqueue", app, "add", '{"b":2,   "a" : 1}', "--url", url).stdout.strip()

    result = run("tasks", "show", stored, "--json", "--url", url)

    assert '"payload":{"b":2,   "a" : 1}' in result.stdout
    assert {"a": 1, "b": 2} == json.loads(result.stdout)["payload"]


def test_show_tells_what_happened(run: Run, client: Client, url: str, handlers: Registry) -> None:
    task_id = client.enqueue(handlers.get("fail"), "no \x1b[31m luck").id
    finish(client, handlers, task_id)
    client.revive(task_id)

    result = run("tasks", "show", task_id, "--url", url)

    assert 0 == result.exit_code
    assert "state    available" in result.stdout
    assert "ValueError: no \N{REPLACEMENT CHARACTER}[31m luck" in result.stdout
    assert "last traceback" in result.stdout
    assert "revive" in result.stdout
    assert "\x1b" not in result.stdout


def test_show_in_json_has_attempts_errors_and_events(
    run: Run, client: Client, url: str, handlers: Registry
) -> None:
    failed = client.enqueue(handlers.get("fail"), "no luck").id
    added = client.enqueue(handlers.get("add"), 1).id
    finish(client, handlers, failed, added)
    client.revive(failed)

    story = answer(run("tasks", "show", failed, "--json", "--url", url))
    other = answer(run("tasks", "show", added, "--json", "--url", url))

    assert ["fail"] == [attempt["event"] for attempt in story["attempts"]]
    assert "no luck" == story["attempts"][0]["error"]["message"]
    assert ["revive"] == [event["event"] for event in story["events"]]
    assert (2, None, "completed") == (other["result"], other["carry"], other["task"]["label"])


@pytest.mark.parametrize("command", ["show", "cancel", "revive"])
def test_an_unknown_id_is_exit_code_1(command: str, run: Run, client: Client, url: str) -> None:
    result = run("tasks", command, MISSING, "--url", url)

    assert 1 == result.exit_code
    assert f"error: there is no task '{MISSING}'\n" == result.stderr


def test_an_error_in_json_is_a_problem_on_standard_error(
    run: Run, client: Client, url: str
) -> None:
    result = run("tasks", "show", MISSING, "--json", "--url", url)

    assert "" == result.stdout
    problem = json.loads(result.stderr)["error"]
    assert ("not_found", f"there is no task '{MISSING}'") == (problem["code"], problem["message"])


def test_cancel_goes_on_after_one_that_refuses(
    run: Run, client: Client, url: str, handlers: Registry
) -> None:
    done = client.enqueue(handlers.get("add"), 1).id
    finish(client, handlers, done)
    pending = client.enqueue(handlers.get("add"), 1).id

    result = run("tasks", "cancel", done, pending, "--reason", "a mistake", "--url", url)

    assert 1 == result.exit_code
    assert f"{pending}  cancelled\n" == result.stdout
    assert f"task '{done}' is completed: only a task that has not ended" in result.stderr
    assert "a mistake" == client.get(pending).cause


def test_cancel_asks_a_running_task_and_force_cuts_it_short(
    run: Run, client: Client, url: str, handlers: Registry, gate: threading.Event
) -> None:
    task_id = client.enqueue(handlers.get("wait")).id
    with Worker(client, registry=handlers):
        until(lambda: client.get(task_id).state.value == "running", "the task runs")

        asked = run("tasks", "cancel", task_id, "--url", url)
        shown = run("tasks", "ls", "--url", url)
        forced = run("tasks", "cancel", task_id, "--force", "--url", url)
        gate.set()

    assert f"{task_id}  asked to stop\n" == asked.stdout
    assert "cancelling" in shown.stdout
    assert f"{task_id}  cancelled\n" == forced.stdout


def test_revive_in_json_answers_for_each_id(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    pending = client.enqueue(kinds.get("add"), 1).id
    cancelled = client.enqueue(kinds.get("add"), 2).id
    client.cancel(cancelled)

    result = run("tasks", "revive", pending, cancelled, "--json", "--url", url)

    refused, revived = answer(result)["tasks"]
    assert 1 == result.exit_code
    assert ("transition", "pending") == (refused["error"]["code"], refused["error"]["state"])
    assert {"id": cancelled, "outcome": "pending", "error": None} == revived


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--limit", "0"], "limit is 0; it must be from 1 to 1000"),
        (["--limit", "-5"], "limit is -5; it must be from 1 to 1000"),
        (["--limit", "many"], "'many' is not a valid integer"),
        (["--state", "sleeping"], "'sleeping' is not one of 'pending'"),
    ],
)
def test_a_bad_option_is_exit_code_2(
    options: list[str], expected: str, run: Run, client: Client, url: str
) -> None:
    result = run("tasks", "ls", *options, "--url", url)

    assert 2 == result.exit_code
    assert expected in result.stderr
