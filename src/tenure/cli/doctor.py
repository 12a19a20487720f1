"""`tenure doctor`: look at everything, and say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from tenure.cli import findings, show
from tenure.cli.choices import choose_settings, current, json_output
from tenure.cli.findings import OK, PROBLEM, Finding
from tenure.cli.problems import CHECK_FAILED
from tenure.cli.reach import reach
from tenure.cli.show import Column
from tenure.config import Configuration
from tenure.kernel.errors import ConfigError, TenureError
from tenure.service import schema
from tenure.setting_forms import mask_url
from tenure.store.open import dialect_of


@click.group(invoke_without_command=True)
@json_output
@choose_settings
@click.pass_context
def doctor(context: click.Context) -> None:
    """Find out what is wrong, and say what to do. Exit 1 if something is.

    Looks at versions, the SQLite library, the store and its tables, durability, clocks,
    workers, and the settings that are not at their defaults. Changes nothing.
    """
    if context.invoked_subcommand is not None:
        return
    configuration, trouble = _configuration()
    found = list(_findings(configuration, trouble))
    if current().is_json:
        problems = sum(finding.status == PROBLEM for finding in found)
        show.as_json({"ok": not problems, "findings": [asdict(finding) for finding in found]})
    else:
        _show(found)
    if any(finding.status == PROBLEM for finding in found):
        context.exit(CHECK_FAILED)


@doctor.command()
@click.option("--changed", is_flag=True, help="Only those that are not at their defaults.")
@json_output
@choose_settings
def settings(changed: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Print every setting in force, and where it came from."""
    every = current().configuration().rows()
    rows = [row for row in every if not changed or row.origin != "default"]
    if current().is_json:
        show.as_json({"settings": [row._asdict() for row in rows]})
        return
    show.table(
        (Column("SETTING", is_whole=True), Column("VALUE"), Column("ORIGIN")),
        [[row.key, row.value, row.origin] for row in rows],
    )


def _configuration() -> tuple[Configuration | None, str]:
    try:
        return current().configuration(), ""
    except ConfigError as error:
        return None, str(error)


def _findings(configuration: Configuration | None, trouble: str) -> Iterator[Finding]:
    chosen = None if configuration is None else configuration.settings
    yield from findings.versions(chosen)
    yield findings.library()
    if configuration is None:
        yield Finding("settings", PROBLEM, trouble, "mend it; nothing else can be looked at")
        return
    for row in configuration.rows():
        if row.origin != "default":
            yield Finding("setting", OK, f"{row.key} = {row.value} ({row.origin})")
    yield from _store(configuration)


def _store(configuration: Configuration) -> Iterator[Finding]:
    chosen = configuration.settings
    if dialect_of(chosen.url) == "sqlite":
        about_file = list(findings.sqlite_file(chosen))
        yield from about_file
        if about_file[0].status == PROBLEM and "there is no" in about_file[0].text:
            return
    try:
        with reach(chosen, needs_tables=False) as store:
            yield Finding("store", OK, f"{mask_url(chosen.url)} answers")
            yield from findings.server(store, chosen)
            yield from findings.clock(store, chosen)
            yield from findings.tables(store, chosen)
            if store.run(schema.state(dialect_of(chosen.url))).known is not None:
                yield from findings.activity(store, chosen)
    except TenureError as error:
        yield Finding("store", PROBLEM, str(error))


def _show(found: list[Finding]) -> None:
    width = max(len(finding.what) for finding in found)
    for finding in found:
        word = click.style(f"{finding.status:<7}", fg=show.STYLES[finding.status])
        text = " ".join(show.clean(finding.text).split())
        click.echo(f"{word}  {finding.what:<{width}}  {text}")
        if finding.advice:
            click.echo(f"{'':7}  {'':{width}}  -> {finding.advice}")
