"""The decorator, and the registry of kinds."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tenure import ConfigError, InvalidError, Lane, Registry, UnknownKindError, retry


@pytest.fixture
def registry() -> Registry:
    return Registry()


def plain(n: int) -> int:
    """Say what it does."""
    return n + 1


async def coroutine(n: int) -> int:
    return n + 1


def test_a_kind_is_named_for_its_function(registry: Registry) -> None:
    kind = registry.task(plain)

    assert kind.name == "plain"
    assert registry.get("plain") is kind
    assert registry.find("plain") is kind
    assert list(registry) == [kind]
    assert len(registry) == 1


def test_a_kind_looks_like_its_function(registry: Registry) -> None:
    kind = registry.task(plain)

    assert kind.__name__ == "plain"  # type: ignore[attr-defined]  # update_wrapper puts it there
    assert kind.__doc__ == "Say what it does."
    assert inspect.signature(kind) == inspect.signature(plain)


def test_calling_a_kind_runs_the_function_here(registry: Registry) -> None:
    assert registry.task(plain)(1) == 2
    assert asyncio.run(registry.task(coroutine)(1)) == 2


def test_defaults_suit_the_function(registry: Registry) -> None:
    assert registry.task(plain).settings.runtime == "thread"
    assert registry.task(coroutine).settings.runtime == "coroutine"
    assert registry.task(name="p", runtime="process")(plain).settings.runtime == "process"


def test_what_the_decorator_is_told_is_kept(registry: Registry) -> None:
    policy = retry(3, wait=5)

    kind = registry.task(
        name="mail.send",
        queue="mail",
        priority=1,
        cost=2,
        retry=policy,
        timeout=1.5,
        heartbeat=2,
    )(plain)

    assert kind.name == "mail.send"
    assert kind.settings.queue == "mail"
    assert kind.settings.priority is Lane.HIGH
    assert kind.settings.cost == 2
    assert kind.settings.retry is policy
    assert kind.settings.timeout_us == 1_500_000
    assert kind.settings.heartbeat_us == 2_000_000


def test_an_unknown_kind_is_told_with_those_known(registry: Registry) -> None:
    with pytest.raises(UnknownKindError, match="'gone'; known: none"):
        registry.get("gone")

    registry.task(plain)
    registry.task(coroutine)

    assert registry.find("gone") is None
    with pytest.raises(UnknownKindError, match="'gone'; known: coroutine, plain"):
        registry.get("gone")


def test_two_functions_of_one_name_are_refused(registry: Registry) -> None:
    registry.task(plain)

    def other(n: int) -> int:
        return n

    with pytest.raises(ConfigError) as refused:
        registry.task(name="plain")(other)

    assert refused.value.key == "plain"
    assert "kind 'plain' is registered twice" in str(refused.value)
    assert str(refused.value).count("test_task.py:") == 2
    assert "@task(name=...)" in str(refused.value)


MODULE = """
import handlers_registry

@handlers_registry.registry.task
def handler(n: int) -> int:
    return n
"""


def test_a_module_may_be_loaded_twice(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = ModuleType("handlers_registry")
    shared.registry = registry  # type: ignore[attr-defined]  # a module made by hand
    monkeypatch.setitem(importlib.import_module("sys").modules, "handlers_registry", shared)
    path = tmp_path / "handlers.py"
    path.write_text(MODULE)

    for name in ("__main__", "handlers"):
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    assert [kind.name for kind in registry] == ["handler"]


def test_one_function_may_be_in_two_registries(registry: Registry) -> None:
    first = registry.task(plain)

    second = Registry().task(first)

    assert second.function is plain


@pytest.mark.parametrize(
    ("function", "runtime", "sentence"),
    [
        (coroutine, "process", "is a coroutine function: its runtime can be 'coroutine', not"),
        (coroutine, "thread", "is a coroutine function: its runtime can be 'coroutine', not"),
        (plain, "coroutine", "is a plain function: its runtime can be 'thread' or 'process', not"),
        (plain, "gpu", "its runtime can be 'thread' or 'process', not 'gpu'"),
    ],
)
def test_a_runtime_that_does_not_suit_the_function_is_refused(
    registry: Registry, function: Any, runtime: Any, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        registry.task(runtime=runtime)(function)

    assert len(registry) == 0


def yielding(n: int) -> Iterator[int]:
    yield n


async def async_yielding(n: int) -> AsyncIterator[int]:
    yield n


@pytest.mark.parametrize("function", [yielding, async_yielding])
def test_a_generator_is_refused(registry: Registry, function: Any) -> None:
    with pytest.raises(ConfigError, match="is a generator"):
        registry.task(function)


@pytest.mark.parametrize("thing", [functools.partial(plain, 1), int, 5])
def test_what_is_no_function_is_refused(registry: Registry, thing: Any) -> None:
    with pytest.raises(ConfigError, match="is not a function"):
        registry.task(thing)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": ""}, "kind must not be empty"),
        ({"name": "two words"}, "kind 'two words' may hold"),
        ({"queue": "a b"}, "queue 'a b' may hold"),
        ({"priority": 9}, "priority is 9"),
        ({"cost": 0}, "cost is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": -1}, "timeout is -1"),
        ({"heartbeat": 0}, "heartbeat is 0"),
    ],
)
def test_an_option_of_the_decorator_that_breaks_its_rule_is_refused(
    registry: Registry, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidError, match=sentence):
        registry.task(**options)(plain)
