"""Exceptions to reports that outlive the process, within a bound."""

from __future__ import annotations

import traceback
from types import TracebackType

from tenure.kernel.model import ErrorReport

OWN_PACKAGE = "tenure."
# What stands between the two ends of a text that was cut.
CUT_BYTES = 50
TYPE_BYTES_MAX = 200


def report(error: BaseException, *, bytes_max: int) -> ErrorReport:
    """Return what to keep of an exception: type, message, and the user's part of the traceback.

    What is over the bound is cut in the middle, since both ends of a traceback tell most.
    """
    lines = traceback.format_exception(type(error), error, _users_part(error.__traceback__))
    told = ErrorReport(
        type=_qualified(type(error)), message=_message(error), traceback="".join(lines)
    )
    return readable(told, bytes_max=bytes_max)


def readable(told: ErrorReport, *, bytes_max: int) -> ErrorReport:
    """Return a report within the bound, and of text that every database can keep."""
    return ErrorReport(
        type=_cut(told.type, TYPE_BYTES_MAX),
        message=_cut(told.message, bytes_max // 4),
        traceback=_cut(told.traceback, bytes_max // 2),
    )


def _users_part(frames: TracebackType | None) -> TracebackType | None:
    """Skip our own frames at the top; nobody looks for his bug there."""
    users = frames
    while users is not None and _is_ours(users):
        users = users.tb_next
    return users or frames


def _is_ours(frame: TracebackType) -> bool:
    name = str(frame.tb_frame.f_globals.get("__name__", ""))
    return name.startswith(OWN_PACKAGE)


def _qualified(kind: type[BaseException]) -> str:
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not cost the attempt its report
        return "(the exception could not be shown)"


def _cut(text: str, bytes_max: int) -> str:
    # File names that are not UTF-8 come with lone surrogates; PostgreSQL keeps no NUL.
    body = text.replace("\0", "\\x00").encode(errors="backslashreplace")
    if len(body) <= bytes_max:
        return body.decode()
    half = max(1, (bytes_max - CUT_BYTES) // 2)
    head, tail = body[:half].decode(errors="ignore"), body[-half:].decode(errors="ignore")
    return f"{head}\n… {len(body) - 2 * half} bytes left out …\n{tail}"
