"""What was chosen on the command line for all commands: settings, JSON, debugging.

Every command takes these options, and so does `tenure` itself; what stands after the command
wins. Values are only gathered here; `tenure.config` reads and checks them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tenure.kernel.errors import ConfigError

if TYPE_CHECKING:
    from tenure.config import Configuration
    from tenure.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Chosen:
    """One option that stands for a setting: its value, and how the user spelled it."""

    value: str
    spelled: str


@dataclass(slots=True)
class Choices:
    """What one command line says; one for all commands and groups of it."""

    arguments: tuple[str, ...] = ()
    file: Path | None = None
    options: dict[str, Chosen] = field(default_factory=dict)
    is_json: bool = False

    def configuration(self) -> Configuration:
        """Return the settings in force and their origins.

        Raises:
            ConfigError: a setting is wrong, with the option as the user spelled it.
        """
        from tenure.config import declared, load, option_name

        # `config` knows a setting's option by one form of name; we say what was really typed.
        spelled = {
            f"option {option_name(key)}": f"option {chosen.spelled}"
            for key, chosen in self.options.items()
        }
        try:
            loaded = load(
                file=self.file,
                options={key: chosen.value for key, chosen in self.options.items()},
            )
        except ConfigError as error:
            message = str(error)
            for name, as_typed in spelled.items():
                message = message.replace(f"({name})", f"({as_typed})")
            for key in {*declared(), *self.options}:
                message = message.replace(f"'{option_name(key)}'", f"'{key}'")
            origin = spelled.get(error.origin, error.origin)
            raise ConfigError(message, key=error.key, origin=origin) from None
        origins = {key: spelled.get(origin, origin) for key, origin in loaded.origins.items()}
        return replace(loaded, origins=MappingProxyType(origins))

    def settings(self) -> Settings:
        """Return the settings in force; errors as `configuration`."""
        return self.configuration().settings


def current() -> Choices:
    """Return the choices of the command line that is being run."""
    return click.get_current_context().find_root().ensure_object(Choices)


def choose_settings(command: F) -> F:
    """Give a command the options that stand for settings and for the treatment of errors."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def json_output(command: F) -> F:
    """Give a command `--json`: its answer is JSON, and so is an error, on standard error."""
    return click.option(
        "--json",
        "is_json",
        is_flag=True,
        expose_value=False,
        callback=_note_json,
        help="Answer in JSON; an error is a JSON object on standard error.",
    )(command)


def setting_option(*names: str, key: str, metavar: str, help: str) -> Callable[[F], F]:
    """Give a command an option of its own for a setting."""

    def note(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            current().options[key] = Chosen(value, names[0])

    return click.option(
        *names, metavar=metavar, help=help, expose_value=False, callback=note, is_eager=True
    )


def _note_file(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        current().file = Path(value)


def _note_set(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> None:
    for text in values:
        key, mark, value = text.partition("=")
        if not mark or not key:
            raise click.BadParameter(
                f"{text!r} is not SECTION.KEY=VALUE, such as worker.slots=50",
                param_hint="--set",
            )
        current().options[key.strip()] = Chosen(value.strip(), f"--set {key.strip()}")


def _note_json(_context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value:
        current().is_json = True


# By the names that click gives them.
COMMON_OPTIONS = ("url", "config", "set", "debug")

_OPTIONS = (
    setting_option(
        "--url", key="url", metavar="URL", help="Where the tasks are kept; else TENURE_URL."
    ),
    click.option(
        "--config",
        metavar="FILE",
        help="Settings file; else tenure.toml in this folder, if it is there.",
        expose_value=False,
        callback=_note_file,
        is_eager=True,
    ),
    click.option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Any setting, as in `tenure doctor settings`; repeat it for more.",
        multiple=True,
        expose_value=False,
        callback=_note_set,
        is_eager=True,
    ),
    click.option(
        "--debug",
        is_flag=True,
        help="Show the code and the traceback of an error.",
        expose_value=False,
    ),
)
