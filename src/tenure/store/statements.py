"""Load the named SQL statements and make them ready for one database.

Called once per store when it opens. A statement stands in `sql/shared`, or in `sql/sqlite`
and in `sql/postgres`; anything else is refused here, at start-up.

In a `.sql` file a block starts with `-- name: claim_tasks`. `:name` is a parameter,
`:name[]` the same parameter as a column of a batch (PostgreSQL), and `{claim_columns}`
stands for the block headed `-- fragment: claim_columns`. `:now_us` is the store's clock.
Under a heading, `-- echo: id` says what a batch answers on SQLite: these parameters of each
row that changed something. (A RETURNING costs more there than the change itself.)
`-- document: id, payload` says that a batch's columns come there as one JSON array of rows,
`:document`, with bytes in hexadecimal.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import Literal

Dialect = Literal["sqlite", "postgres"]

# Bound by the driver and not by the verb.
AMBIENT = frozenset({"now_us", "notify", "document"})

# PostgreSQL's driver cannot guess the type of a bare parameter, so each has one here.
_TEXT = """tenant id kind queue state unique_key root_id parent_id schedule_id tags traceparent
    before_id cause worker_id event detail part name host version queues waiting_for
    notify topic phase checksum document rule text zone policies origin trouble note verdict
    task_id held_by after_id""".split()
_INTEGER = """lane cost attempt attempts_max slots queue_slots pid stuck give_back crashed outlives
    force limited paused fired turns""".split()
_BIGINT = """run_at_us now_us delay_us timeout_us claim_no lease_us spare queue_spare limit keep_us
    started_at_us forget_us number start_us end_us cursor_us steered_us next_fire_at_us instant_us
    floor_us gap_us revision was_next_us before_us""".split()
_BYTES = "payload carry result progress error body".split()
PARAMETERS: dict[str, str] = {
    **dict.fromkeys(_TEXT, "text"),
    **dict.fromkeys(_INTEGER, "integer"),
    **dict.fromkeys(_BIGINT, "bigint"),
    **dict.fromkeys(_BYTES, "bytea"),
}

_POSTGRES_CLOCK = "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::bigint"

_HEADING = re.compile(r"^-- (name|fragment): (\w+)$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)(\[\])?")
_FRAGMENT = re.compile(r"\{(\w+)\}")
_NOTE = re.compile(r"^-- (echo|document): (.+)$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Compiled:
    """One statement as a driver sends it: text with numbered parameters, and their names."""

    name: str
    text: str
    names: tuple[str, ...]
    echo: tuple[str, ...] = ()
    document: tuple[str, ...] = ()


def load(dialect: Dialect, *, store_clock: bool) -> dict[str, Compiled]:
    """Return every statement of a dialect, by name.

    With *store_clock* PostgreSQL's own clock stands in the text; otherwise, and always on
    SQLite, `:now_us` is a parameter.
    """
    return dict(_compiled(dialect, store_clock=store_clock))


@functools.cache
def _compiled(dialect: Dialect, *, store_clock: bool) -> dict[str, Compiled]:
    statements = _merged(dialect)
    if dialect == "sqlite":
        return {name: _for_sqlite(name, text) for name, text in statements.items()}
    return {
        name: _for_postgres(name, text, store_clock=store_clock)
        for name, text in statements.items()
    }


@functools.cache
def _merged(dialect: Dialect) -> dict[str, str]:
    shared, fragments = _blocks("shared")
    sqlite, _ = _blocks("sqlite")
    postgres, _ = _blocks("postgres")
    twice = set(shared) & (set(sqlite) | set(postgres))
    once = set(sqlite) ^ set(postgres)
    assert not twice, f"in shared and in a dialect: {sorted(twice)}"
    assert not once, f"in one dialect only: {sorted(once)}"
    merged = shared | (sqlite if dialect == "sqlite" else postgres)
    return {
        name: _FRAGMENT.sub(lambda found: fragments[found[1]], text)
        for name, text in merged.items()
    }


def _blocks(folder: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the statements and the fragments of a folder."""
    found: dict[str, dict[str, str]] = {"name": {}, "fragment": {}}
    files = resources.files("tenure.store") / "sql" / folder
    for file in sorted(files.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        parts = _HEADING.split(file.read_text(encoding="utf-8"))
        for what, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            assert name not in found[what], f"{name} stands twice in {folder}"
            found[what][name] = text.strip()
    return found["name"], found["fragment"]


def _for_sqlite(name: str, text: str) -> Compiled:
    names: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        return f"?{_position(found[1], names)}"

    notes = {found[1]: tuple(found[2].split(", ")) for found in _NOTE.finditer(text)}
    return Compiled(
        name=name,
        text=_PARAMETER.sub(numbered, _COMMENT.sub("", text)),
        names=tuple(names),
        echo=notes.get("echo", ()),
        document=notes.get("document", ()),
    )


def _for_postgres(name: str, text: str, *, store_clock: bool) -> Compiled:
    names: list[str] = []

    def cast(found: re.Match[str]) -> str:
        parameter, column = found[1], found[2] or ""
        if parameter == "now_us" and store_clock:
            return _POSTGRES_CLOCK
        return f"CAST(${_position(parameter, names)} AS {PARAMETERS[parameter]}{column})"

    return Compiled(
        name=name, text=_PARAMETER.sub(cast, _COMMENT.sub("", text)), names=tuple(names)
    )


def _position(parameter: str, names: list[str]) -> int:
    assert parameter in PARAMETERS, f":{parameter} has no type in PARAMETERS"
    if parameter not in names:
        names.append(parameter)
    return names.index(parameter) + 1
