"""The tree of errors, held against the drawing at the top of its module."""

from __future__ import annotations

import inspect
import re

import pytest

from tenure.kernel import errors
from tenure.kernel.errors import TenureError

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, TenureError)
]
DRAWN = re.compile(r"^ {4}(?P<branch>[ │├└─]*)(?P<name>\w+Error) +(?P<code>\w+) {2,}\w", re.M)


def drawn() -> dict[str, tuple[str, str]]:
    """Return the parent and the code of each error that is drawn."""
    found: dict[str, tuple[str, str]] = {}
    path: list[str] = []
    for line in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(line["branch"]) // 3
        path[depth:] = [line["name"]]
        found[line["name"]] = (path[depth - 1] if depth else "", line["code"])
    return found


def test_the_drawing_shows_every_class_under_its_parent_with_its_code() -> None:
    made = {
        each.__name__: (each.__base__.__name__ if each.__base__ else "", each.code)
        for each in CLASSES
        if each is not TenureError
    }

    assert made == {name: entry for name, entry in drawn().items() if name != TenureError.__name__}


def test_no_two_errors_have_the_same_code() -> None:
    codes = [each.code for each in CLASSES]

    assert sorted(set(codes)) == sorted(codes)


@pytest.mark.parametrize("error", CLASSES, ids=lambda each: each.__name__)
def test_a_code_is_a_lower_case_word_that_stays(error: type[TenureError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert "code" in vars(error)
    assert error.__doc__


def test_what_errors_carry_is_kept() -> None:
    carried = [
        errors.InvalidError("m", field="f").field,
        errors.TransitionError("m", state="s", event="e").state,
        errors.TransitionError("m", state="s", event="e").event,
        errors.DuplicateError("m", existing_id="i").existing_id,
        errors.LimitError("m", bound=3).bound,
        errors.TaskFailedError("m", state="s", error_type="t", traceback="b").error_type,
        errors.ConfigError("m", key="k", origin="o").origin,
    ]

    assert ["f", "s", "e", "i", 3, "t", "o"] == carried
    assert "m" == str(errors.LimitError("m", bound=3))
