"""The command `tenure`: finds its commands when they are asked for, and words every error.

A command is a module of this package, imported only when it is run or helped with, so that
`tenure --help` stays quick. No error that Tenure raises on purpose reaches the user as a
traceback, unless `--debug` asks for one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from tenure.cli.choices import Choices, choose_settings
from tenure.cli.problems import (
    EXIT_CODES,
    INTERRUPTED,
    OK,
    USAGE,
    exit_code,
    say_error,
    say_json,
    say_line,
)
from tenure.kernel.errors import TenureError

# Name, module, attribute, and the line of `tenure --help`.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "worker": ("tenure.cli.worker", "worker", "Run tasks until told to stop."),
    "enqueue": ("tenure.cli.enqueue", "enqueue", "Store a task by kind and JSON arguments."),
    "tasks": ("tenure.cli.tasks", "tasks", "Look at tasks, cancel them, revive them."),
    "schedules": ("tenure.cli.schedules", "schedules", "Make schedules, try them, switch them."),
    "calendars": ("tenure.cli.calendars", "calendars", "Look after days without runs."),
    "queues": ("tenure.cli.queues", "queues", "Look at queues, pause them, limit them."),
    "workers": ("tenure.cli.workers", "workers", "List the workers."),
    "db": ("tenure.cli.database", "db", "Look after the tables: migrate, plan, check."),
    "doctor": ("tenure.cli.doctor", "doctor", "Find out what is wrong, and show the settings."),
    "completion": ("tenure.cli.completion", "completion", "Print a shell's completion script."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when one is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order they are declared."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing one."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=line)
            for name, (_, _, line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def main(self, args: Sequence[str] | None = None, *others: Any, **options: Any) -> NoReturn:
        """Run the command line and exit; errors are worded here."""
        arguments = tuple(sys.argv[1:] if args is None else args)
        is_json, is_debug = "--json" in arguments, "--debug" in arguments
        options |= {"standalone_mode": False, "prog_name": "tenure"}
        options["obj"] = Choices(arguments=arguments)
        try:
            status = super().main(list(arguments), *others, **options)
        except click.ClickException as error:
            _say_usage(error, is_json=is_json)
            sys.exit(USAGE)
        except click.Abort:
            if is_json:
                say_json({"code": "interrupted", "message": "interrupted"})
            else:
                say_line("interrupted")
            sys.exit(INTERRUPTED)
        except TenureError as error:
            say_error(error, is_json=is_json, is_debug=is_debug)
            sys.exit(exit_code(error))
        sys.exit(status if isinstance(status, int) else OK)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tenure", message="tenure %(version)s")
@choose_settings
def main() -> None:
    """Durable tasks: run them, look at them, look after their store.

    The options below may also stand after the command. Without --url the store is that of
    tenure.toml or TENURE_URL, else the file tenure.db in this folder.
    """


def _say_usage(error: click.ClickException, *, is_json: bool) -> None:
    if is_json:
        say_json({"code": "usage", "message": error.format_message()})
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(context.get_usage(), err=True)
        click.echo(f"Try '{context.command_path} --help'.", err=True)
    say_line(error.format_message())
