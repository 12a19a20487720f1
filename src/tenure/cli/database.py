"""`tenure db`: migrate, plan, check.

None of these makes tables by accident: only `migrate` writes, and says what before it does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from tenure.cli import show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.problems import CHECK_FAILED
from tenure.cli.reach import Reached, reach
from tenure.kernel.errors import ConfigError, SchemaError, StoreError
from tenure.service import schema, workers
from tenure.service.clockwork import SystemClock
from tenure.service.schema import Drift, SchemaState
from tenure.setting_forms import mask_url
from tenure.settings import Settings
from tenure.store.migrate import Applied, Migration, migrations
from tenure.store.open import dialect_of, open_sync, sqlite_options

PHASES = ("before", "after")
LINE_MAX = 160


@click.group()
def db() -> None:
    """Look after the tables: migrate, plan, check."""


@db.command()
@click.option("--phase", type=click.Choice(PHASES),
              help="Only migrations for before, or after, all processes are upgraded.")  # fmt: skip
@click.option("--yes", "-y", "is_sure", is_flag=True, help="Do not ask.")
@json_output
@choose_settings
def migrate(*, phase: str | None, is_sure: bool) -> None:
    """Bring the tables to this version; make them if there are none.

    First stop nothing and run it with --phase before, then upgrade every process, then run it
    with --phase after: that is an upgrade without an interruption. Without --phase both are
    applied. Migrations of the phase after lock out processes of the version before, so they
    are asked about, unless the tables are new.
    """
    settings = current().settings()
    clock = SystemClock()
    store = Reached(open_sync(settings, clock, check=False), clock)
    try:
        state = store.run(schema.state(dialect_of(settings.url)))
        _refuse_strange(state)
        wanted = [each for each in state.pending if phase in (None, each.phase)]
        if state.known is not None:
            _ask(store, wanted, is_sure=is_sure)
        done = store.run(schema.apply(wanted)) if wanted else []
        left = [each for each in state.pending if each not in wanted]
    finally:
        store.store.close()
    if current().is_json:
        show.as_json({
            "applied": [_migration(each) for each in done],
            "pending": [_migration(each) for each in left],
        })  # fmt: skip
        return
    for each in done:
        click.echo(f"applied {_title(each)}")
    if not done:
        click.echo(f"nothing to do{_of_phase(phase)}: the tables are {_version(state)}")
    for each in left:
        show.note(f"still pending: {_title(each)}")


@db.command()
@click.option("--phase", type=click.Choice(PHASES), help="Only migrations of this phase.")
@json_output
@choose_settings
def plan(phase: str | None) -> None:
    """Print the SQL that `migrate` would run, and run nothing."""
    state = _state(current().settings())
    wanted = [each for each in state.pending if phase in (None, each.phase)]
    if current().is_json:
        show.as_json({"pending": [{**_migration(each), "sql": each.text} for each in wanted]})
        return
    if not wanted:
        # A comment of SQL, so that the plan stays a script whatever it says.
        click.echo(f"-- nothing to do{_of_phase(phase)}: the tables are {_version(state)}")
        return
    click.echo("-- in one transaction, under a lock:")
    for each in wanted:
        click.echo(f"\n-- migration {_title(each)}, checksum {each.checksum}\n{each.text.rstrip()}")
        click.echo(f"-- and a row for {each.number:04} in the table migration")


@db.command()
@json_output
@choose_settings
def check() -> None:
    """Compare the tables with what this version expects; exit 1 if they differ.

    Tells the version, what is pending, and drift: columns, indexes and constraints that are
    not as the migrations made them. Tables that are not Tenure's are left out.
    """
    settings = current().settings()
    state = _state(settings)
    drift, obstacle = find_drift(settings, state)
    troubles = troubles_of(state, drift, obstacle)
    if current().is_json:
        show.as_json(_report(state, drift, troubles))
    else:
        _show_report(settings, state, drift, troubles)
    if troubles:
        click.get_current_context().exit(CHECK_FAILED)


def find_drift(settings: Settings, state: SchemaState) -> tuple[Drift, str]:
    """Return how the tables differ from their migrations, or why that cannot be told."""
    nothing = Drift(missing=[], extra=[])
    if state.known is None:
        return nothing, ""
    if state.unknown or state.edited:
        return nothing, "drift cannot be told: other migrations than ours were applied"
    with reach(settings, needs_tables=False) as store:
        actual = store.run(schema.description())
    try:
        expected = schema.expected_description(settings, state.known, SystemClock())
    except StoreError as error:
        return nothing, f"drift cannot be told: {error}"
    return schema.compare(actual, expected), ""


def troubles_of(state: SchemaState, drift: Drift, obstacle: str) -> list[str]:
    """Return what is wrong with the tables, a sentence each; nothing if all is well."""
    if state.known is None:
        return ["there are no tables of Tenure's: run 'tenure db migrate'"]
    troubles = [
        f"migration {_applied_title(each)} is applied and not known here: upgrade Tenure"
        for each in state.unknown
    ]
    troubles += [
        f"migration {_applied_title(each)} was applied from another file than this version has"
        for each in state.edited
    ]
    troubles += [
        f"migration {_title(each)} is pending: run 'tenure db migrate'" for each in state.pending
    ]
    if drift:
        count = len(drift.missing) + len(drift.extra)
        troubles.append(f"the tables differ from their migrations in {count} place(s)")
    if obstacle:
        troubles.append(obstacle)
    return troubles


def _state(settings: Settings) -> SchemaState:
    """Return how the tables stand; a SQLite file that is not there has none."""
    dialect = dialect_of(settings.url)
    if dialect == "sqlite" and not sqlite_options(settings).path.exists():
        return SchemaState(known=None, pending=migrations(dialect), unknown=[], edited=[])
    with reach(settings, needs_tables=False) as store:
        return store.run(schema.state(dialect))


def _refuse_strange(state: SchemaState) -> None:
    """Refuse to go on from tables that another version made."""
    for each in state.edited:
        raise SchemaError(
            f"migration {_applied_title(each)} was applied from another file than this version "
            "has: restore a backup, or run the version that made it"
        )
    for each in state.unknown:
        if each.phase == "after":
            raise SchemaError(
                f"the tables are too new: migration {_applied_title(each)} is applied and this "
                "version does not know it; upgrade Tenure here too"
            )


def _ask(store: Reached, wanted: Sequence[Migration], *, is_sure: bool) -> None:
    """Make sure that migrations which lock out older processes are meant."""
    late = [each for each in wanted if each.phase == "after"]
    if not late or is_sure:
        return
    if not is_terminal():
        raise ConfigError(
            f"migration {_title(late[0])} locks out processes of the version before: stop or "
            "upgrade them first, then say --yes; or give --phase before",
            key="yes",
        )
    running = len(store.run(workers.listing()))
    show.note(f"{running} worker(s) are registered; those of an older version would fail")
    click.confirm(f"apply {', '.join(map(_title, wanted))}?", abort=True)


def is_terminal() -> bool:
    """Return whether there is somebody to ask."""
    return sys.stdin.isatty()


def _title(each: Migration) -> str:
    return f"{each.number:04} {each.name} ({each.phase})"


def _applied_title(each: Applied) -> str:
    return f"{each.number:04} {each.name} ({each.phase})"


def _version(state: SchemaState) -> str:
    newest = max(state.known or (), key=lambda each: each.number, default=None)
    return "not there" if newest is None else f"at {_applied_title(newest)}"


def _of_phase(phase: str | None) -> str:
    return "" if phase is None else f" in phase {phase}"


def _migration(each: Migration) -> dict[str, Any]:
    return {
        "number": each.number,
        "name": each.name,
        "phase": each.phase,
        "checksum": each.checksum,
    }


def _report(state: SchemaState, drift: Drift, troubles: list[str]) -> dict[str, Any]:
    return {
        "ok": not troubles,
        "version": state.number,
        "applied": [
            {
                "number": each.number,
                "name": each.name,
                "phase": each.phase,
                "checksum": each.checksum,
                "applied_at": show.instant(each.applied_at_us),
            }
            for each in state.known or ()
        ],
        "pending": [_migration(each) for each in state.pending],
        "drift": {"missing": drift.missing, "extra": drift.extra},
        "troubles": troubles,
    }


def _show_report(settings: Settings, state: SchemaState, drift: Drift, troubles: list[str]) -> None:
    show.fields([
        ("store", mask_url(settings.url)),
        ("tables", _version(state)),
        ("check", "ok" if not troubles else ""),
    ])  # fmt: skip
    for trouble in troubles:
        click.echo(click.style(f"  problem: {trouble}", fg="red"))
    for line in drift.missing:
        click.echo(f"  - {show.clean(_difference(line, drift.extra))}")
    for line in drift.extra:
        click.echo(f"  + {show.clean(_difference(line, drift.missing))}")
    if drift:
        show.note("- is what the migrations make and is not there, + what is there instead")


def _difference(line: str, others: Sequence[str]) -> str:
    """Return what a line says that its counterpart on the other side does not.

    On SQLite a table is one line, of which a column may be all that differs.
    """
    subject = " ".join(line.split()[:2])
    twin = next((other for other in others if other.startswith(f"{subject} ")), None)
    if twin is not None:
        known = set(twin.split(", "))
        line = f"{subject}: {', '.join(part for part in line.split(', ') if part not in known)}"
    return line if len(line) <= LINE_MAX else f"{line[:LINE_MAX]}..."
