"""`tenure enqueue`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tenure import Client, Worker
from tenure.cli import application
from tests.cli.conftest import Run, answer


@pytest.mark.parametrize("arguments", ['{"a": 1, "b": 2}', "[1, 2]"])
def test_a_task_is_stored_by_name_or_by_position(
    arguments: str, run: Run, client: Client, url: str, app: str
) -> None:
    result = run("enqueue", app, "add", arguments, "--url", url)

    assert 0 == result.exit_code
    payload = client.get(result.stdout.strip()).payload
    assert payload is not None
    assert {"a": 1, "b": 2} == json.loads(payload)


def test_arguments_come_from_standard_input(run: Run, client: Client, url: str, app: str) -> None:
    result = run("enqueue", app, "send", "-", "--url", url, input='{"to": "me"}\n')

    assert b'{"to": "me"}' == client.get(result.stdout.strip()).payload


def test_options_reach_the_task(run: Run, client: Client, url: str, app: str) -> None:
    options = ["--queue", "other", "--priority", "urgent", "--attempts", "2", "--timeout", "1.5"]
    options += ["--unique", "key", "--tag", "x", "--tag", "y", "--at", "2030-01-31T10:00+01:00"]

    task_id = answer(run("enqueue", app, "add", "[1]", *options, "--json", "--url", url))["id"]

    task = client.get(task_id)
    assert ("other", 0, 2, 1_500_000) == (
        task.queue,
        task.lane,
        task.attempts_max,
        task.timeout_us,
    )
    assert ("key", ("x", "y")) == (task.unique_key, task.tags)
    assert 1_896_080_400_000_000 == task.run_at_us


def test_many_are_stored_at_once(run: Run, client: Client, url: str, app: str) -> None:
    result = run("enqueue", app, "add", "[1]", "--times", "2500", "--url", url)

    assert "2500 tasks stored\n" == result.stdout
    assert [2_500] == [counts.due for counts in client.queues()]


def test_wait_prints_the_result(run: Run, client: Client, url: str, app: str) -> None:
    with Worker(client, registry=application.load(app)):
        added = run("enqueue", app, "add", "[1, 2]", "--wait", "--url", url)
        failed = run("enqueue", app, "fail", '["no luck"]', "--wait", "--url", url)

    assert "3\n" == added.stdout
    assert 1 == failed.exit_code
    assert "failed after 1 attempt: ValueError: no luck" in failed.stderr


def test_a_key_that_is_taken_is_exit_code_1(run: Run, client: Client, url: str, app: str) -> None:
    first = run("enqueue", app, "add", "[1]", "--unique", "k", "--url", url).stdout.strip()

    second = run("enqueue", app, "add", "[1]", "--unique", "k", "--json", "--url", url)

    assert 1 == second.exit_code
    assert first == json.loads(second.stderr)["error"]["existing_id"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["other", "{}"], "no handler is registered for kind 'other'; known: add, fail, send"),
        (["add", "{"], "the arguments are not JSON"),
        (["add", "3"], "the arguments must be a JSON object by name or a JSON list"),
        (["add", "{}"], "the payload does not fit the signature of 'add'"),
        (["add", '{"a": "one"}'], "Expected `int`, got `str` - at `$.a`"),
        (["add", '{"a": 1, "c": 2}'], "unknown field `c`"),
        (["add", "[1, 2, 3]"], "the call of 'add'"),
        (["add", "[1]", "--delay", "-1"], "delay is -1.0; it must not be negative"),
        (["add", "[1]", "--delay", "nan"], "delay is nan; it must be a number of seconds"),
        (["add", "[1]", "--delay", "soon"], "'soon' is not a valid float"),
        (["add", "[1]", "--at", "2030-01-31T09:00"], "which has no time zone; write"),
        (["add", "[1]", "--at", "noon"], "at is 'noon'; write a time with its zone"),
        (["add", "[1]", "--at", "2030-01-31T09:00Z", "--delay", "1"], "give either delay or at"),
        (["add", "[1]", "--attempts", "0"], "0 is not in the range"),
        (["add", "[1]", "--attempts", "99999"], "is 99999; it must be from 1 to 10000"),
        (["add", "[1]", "--timeout", "-1"], "timeout is -1.0; it must not be negative"),
        (["add", "[1]", "--timeout", "0"], "timeout is 0"),
        (["add", "[1]", "--priority", "high-ish"], "'high-ish' is not one of 'urgent'"),
        (["add", "[1]", "--queue", "two words"], "queue 'two words' may hold letters"),
        (["add", "[1]", "--unique", " k"], "must be printable text with no space"),
        (["add", "[1]", "--tag", ""], "must be printable text with no space"),
        (["add", "[1]", "--times", "0"], "0 is not in the range"),
        (["add", "[1]", "--times", "2", "--wait"], "--times goes with neither --wait nor"),
        (["send", json.dumps({"to": "x" * 2_000}), "--set", "limits.payload_bytes_max=1024"],
         "payload has 2,010 bytes; at most 1,024 are allowed"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_nothing_is_stored(
    arguments: list[str], expected: str, run: Run, app: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/tenure.db"

    result = run("enqueue", app, *arguments, "--url", url)

    assert 2 == result.exit_code
    assert expected in result.stderr
    assert 1 == result.stderr.count("error:")
    with Client(url) as client:
        assert [] == client.find()
