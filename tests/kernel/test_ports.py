"""Verbs: how they are marked, fed, composed and run again."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tenure.kernel.ports import (
    Mode,
    Row,
    Rows,
    Statement,
    Step,
    Steps,
    Verb,
    queue_topic,
    read,
    single,
    transaction,
)


@single
def add(number: int) -> Steps[int]:
    """Ask for a number and add it."""
    rows = yield Statement("ask", {"number": number})
    return number + int(rows[0][0])


@transaction
def add_twice(number: int) -> Steps[int]:
    first = yield from add(number)
    return (yield from add(first))


@read
def look() -> Steps[Rows]:
    return (yield Statement("look", {}))


def feed(verb: Verb[int], answers: list[Row]) -> tuple[int, list[Step]]:
    """Run a verb without a database."""
    steps: Generator[Step, Rows, int] = verb.steps
    asked: list[Step] = []
    try:
        step = next(steps)
        while True:
            asked.append(step)
            step = steps.send([answers.pop(0)])
    except StopIteration as stop:
        return stop.value, asked


def test_a_verb_is_fed_by_hand() -> None:
    assert (5, [Statement("ask", {"number": 2})]) == feed(add(2), [(3,)])


def test_verbs_compose_and_hand_their_values_up() -> None:
    value, asked = feed(add_twice(1), [(10,), (100,)])

    assert 111 == value
    assert [Statement("ask", {"number": 1}), Statement("ask", {"number": 11})] == asked


@pytest.mark.parametrize(
    ("verb", "mode", "name"),
    [
        (add(1), Mode.SINGLE, "add"),
        (add_twice(1), Mode.TRANSACTION, "add_twice"),
        (look(), Mode.READ, "look"),
    ],
    ids=repr,
)
def test_a_verb_knows_how_it_must_be_run(verb: Verb[object], mode: Mode, name: str) -> None:
    assert (mode, name, f"Verb({name}, {mode.value})") == (verb.mode, verb.name, repr(verb))


def test_a_verb_can_be_run_again_from_its_start() -> None:
    """A verb that had been run did nothing, and said nothing, when it was run again."""
    verb = add_twice(1)
    steps = verb.steps
    next(steps)
    steps.close()

    assert 3 == feed(verb, [(1,), (1,)])[0]
    assert 5 == feed(verb, [(2,), (2,)])[0]


def test_a_verb_within_another_can_be_run_again_too() -> None:
    inner = add(1)

    @transaction
    def outer() -> Steps[int]:
        return (yield from inner)

    assert [2, 3] == [feed(outer(), [(answer,)])[0] for answer in (1, 2)]


def test_a_verb_does_nothing_until_it_is_run() -> None:
    begun: list[str] = []

    @transaction
    def begin() -> Steps[None]:
        begun.append("begun")
        yield from ()

    begin()

    assert [] == begun


def test_a_marked_function_keeps_its_name_and_its_docstring() -> None:
    assert ("add", "Ask for a number and add it.") == (add.__name__, add.__doc__)


def test_the_topic_of_a_queue_names_it() -> None:
    assert "queue:mail" == queue_topic("mail")
