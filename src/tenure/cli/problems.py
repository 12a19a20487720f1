"""How errors are worded on standard error, and the exit codes that go with them."""

from __future__ import annotations

import json
import traceback
from typing import Any

import click

from tenure.kernel.errors import (
    ConflictError,
    LeaseLostError,
    NotFoundError,
    StoreError,
    TaskFailedError,
    TenureError,
    WaitTimeoutError,
)

# As `tenure --help` explains them.
OK = 0
CHECK_FAILED = 1
USAGE = 2
STORE = 3
INTERRUPTED = 130

EXIT_CODES = (
    (OK, "done"),
    (CHECK_FAILED, "a check failed, what was named is not there, or its state forbids it"),
    (USAGE, "a wrong option, argument, setting or application module"),
    (STORE, "the store cannot be reached, written to, or used by this version"),
    (INTERRUPTED, "interrupted"),
)

# Errors about what is in the store, rather than about what was typed.
_ABOUT_TASKS = (
    NotFoundError,
    ConflictError,
    LeaseLostError,
    TaskFailedError,
    WaitTimeoutError,
)
_FIELDS = ("field", "key", "origin", "state", "event", "existing_id", "bound")


def exit_code(error: TenureError) -> int:
    """Return the exit code for an error."""
    if isinstance(error, StoreError):
        return STORE
    return CHECK_FAILED if isinstance(error, _ABOUT_TASKS) else USAGE


def problem(error: TenureError) -> dict[str, Any]:
    """Return an error for JSON: its code, its message, and the fields that it has."""
    found: dict[str, Any] = {"code": error.code, "message": str(error)}
    for name in _FIELDS:
        value = getattr(error, name, "")
        if value != "":
            found[name] = value
    return found


def say_error(error: TenureError, *, is_json: bool = False, is_debug: bool = False) -> None:
    """Write an error as one red line, or as a JSON object; with *is_debug* in full."""
    if is_debug:
        click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    if is_json:
        say_json(problem(error))
    else:
        say_line(f"{error} [{error.code}]" if is_debug else str(error))


def say_line(message: str) -> None:
    """Write one red line, whatever a driver had to say."""
    click.echo(click.style(f"error: {' '.join(message.split())}", fg="red"), err=True)


def say_json(fields: dict[str, Any]) -> None:
    """Write a JSON object."""
    click.echo(json.dumps({"error": fields}), err=True)
