"""`tenure queues` and `tenure workers`."""

from __future__ import annotations

import pytest

from tenure import Client, Registry, Worker
from tests.cli.conftest import Run, answer


def test_queues_are_listed_with_and_without_ls(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.enqueue(kinds.get("add"), 1)
    client.enqueue(kinds.get("send").options(delay=60), "me")

    bare = run("queues", "--url", url)
    named = answer(run("queues", "ls", "--json", "--url", url))["queues"]

    assert [["default", "1", "0", "0"], ["mail", "0", "1", "0"]] == [
        line.split()[:4] for line in bare.stdout.splitlines()[1:]
    ]
    assert [("default", 1, 0), ("mail", 0, 1)] == [
        (queue["name"], queue["due"], queue["scheduled"]) for queue in named
    ]
    assert named[1]["next_due_at"].endswith("Z")


def test_a_queue_is_paused_limited_and_opened_again(run: Run, client: Client, url: str) -> None:
    paused = answer(run("queues", "pause", "mail", "--json", "--url", url))
    limited = answer(run("queues", "limit", "mail", "3", "--json", "--url", url))
    listed = run("queues", "--url", url).stdout
    run("queues", "resume", "mail", "--url", url)
    lifted = answer(run("queues", "limit", "mail", "--none", "--json", "--url", url))

    assert paused["paused_at"].endswith("Z")
    assert (3, paused["paused_at"]) == (limited["slots"], limited["paused_at"])
    assert "paused" in listed
    assert (None, None) == (lifted["slots"], lifted["paused_at"])


def test_a_queue_that_nobody_used_is_remarked_on(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    client.enqueue(kinds.get("send"), "me")

    known = run("queues", "pause", "mail", "--url", url)
    unknown = run("queues", "pause", "mial", "--url", url)

    assert ("queue mail is paused\n", "") == (known.stdout, known.stderr)
    assert "queue mial has no tasks yet" in unknown.stderr
    assert 0 == unknown.exit_code


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["limit", "mail", "0"], "slots is 0; it must be from 1"),
        (["limit", "mail", "-3"], "No such option"),
        (["limit", "mail"], "give either a number of slots or --none"),
        (["limit", "mail", "3", "--none"], "give either a number of slots or --none"),
        (["pause", "two words"], "queue 'two words' may hold letters"),
        (["stop", "mail"], "No such command 'stop'"),
    ],
)
def test_a_bad_argument_is_exit_code_2(
    arguments: list[str], expected: str, run: Run, client: Client, url: str
) -> None:
    result = run("queues", *arguments, "--url", url)

    assert 2 == result.exit_code
    assert expected in result.stderr


def test_workers_are_listed_while_they_live(
    run: Run, client: Client, url: str, kinds: Registry
) -> None:
    with Worker(client, registry=kinds):
        listed = run("workers", "--url", url)
        told = answer(run("workers", "--json", "--url", url))["workers"]
    afterwards = run("workers", "--url", url)

    assert told[0]["id"] in listed.stdout
    assert ("alive", ["default", "mail"]) == (told[0]["status"], told[0]["queues"])
    assert ("", True) == (afterwards.stdout, "no workers" in afterwards.stderr)
