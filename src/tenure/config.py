"""The settings as this process has them, and where each came from.

Called by whoever starts something: the command line, a client, a test. The only module that
reads the environment. `python -m tenure.config` writes the reference page of all settings.

Sources are asked in order: defaults, file, environment, command line. A source answers only
for what it mentions, so none can overrule another by silence.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, get_type_hints

from tenure.kernel.errors import ConfigError
from tenure.setting_forms import Duration, Form, mask_url, quote
from tenure.settings import (
    ClaimerSettings,
    ElectorSettings,
    LimitsSettings,
    ListenerSettings,
    LogSettings,
    PrunerSettings,
    ReaperSettings,
    RenewerSettings,
    Settings,
    SettlerSettings,
    StoreSettings,
    WorkerSettings,
)

__all__ = [
    "ClaimerSettings", "Configuration", "ElectorSettings", "LimitsSettings", "ListenerSettings",
    "LogSettings", "PrunerSettings", "ReaperSettings", "RenewerSettings", "Setting", "SettingRow",
    "Settings", "SettlerSettings", "StoreSettings", "WorkerSettings", "declared", "load",
    "mask_url",
]  # fmt: skip

FILE_DEFAULT: Final = Path("tenure.toml")
PAGE_DEFAULT: Final = Path("docs/reference/settings.md")
ENVIRONMENT_PREFIX: Final = "TENURE_"
# The test suite and the benchmarks are told what to use by variables of their own.
ENVIRONMENT_IGNORED: Final = ("TENURE_TEST_", "TENURE_BENCH_")
# Kubernetes tells every pod of a service called tenure, or tenure-something, where that is.
KUBERNETES_LINK: Final = re.compile(r"TENURE_(\w+_)?(SERVICE_(HOST|PORT)|PORT)(_\w+)?")

PAGE_HEAD: Final = """\
<!-- Made by `python -m tenure.config` from `src/tenure/settings.py`; edit that instead. -->

# Settings

On this page you find every setting, its bounds, and when to change it.
`tenure doctor settings` prints the values in force and where each came from.

A setting is taken from the last of these that mentions it:
its default, a file, the environment, the command line.
The file is `tenure.toml` in the working directory, unless another is named:

```toml
url = "postgresql://tenure@db.example/tenure"

[worker]
slots = 50
lease_s = 30
```

In the environment, the same setting is `TENURE_WORKER__SLOTS=50`, and the first is `TENURE_URL`.
A name that is not on this page is an error, and so is a value outside its bounds.
Durations are in seconds, whole or with a fraction down to a microsecond.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One leaf of the tree: where it is, what it accepts and when to change it."""

    key: str
    section: str
    field: str
    form: Form
    when: str
    default: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What one source says of one setting. Text has still to be parsed."""

    key: str
    value: object
    origin: str
    is_text: bool


class SettingRow(NamedTuple):
    """One line of `tenure doctor settings`, every field as it is shown."""

    key: str
    value: str
    default: str
    origin: str
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings in force, and for each key outside the source it came from."""

    settings: Settings
    origins: Mapping[str, str]

    def value(self, key: str) -> int | str:
        """Return the value of a key outside, as it is kept inside."""
        setting = declared()[key]
        holder = getattr(self.settings, setting.section) if setting.section else self.settings
        value: int | str = getattr(holder, setting.field)
        return value

    def rows(self) -> list[SettingRow]:
        """Return all settings as they are shown, with units and without passwords."""
        return [
            SettingRow(
                key=key,
                value=setting.form.show(self.value(key)),
                default=setting.form.show(setting.default),
                origin=self.origins[key],
                when=setting.when,
            )
            for key, setting in declared().items()
        ]


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Configuration:
    """Return the settings from all sources, a later source over an earlier one.

    *file* must exist if it is given; otherwise `tenure.toml` in the working directory is
    read if it is there. *environment* is the process's own unless another is given.
    *options* go by key outside; text is parsed, and None says nothing.

    Raises:
        ConfigError: a setting is unknown, out of bounds or at odds with another, in any
            source, also where a later source overrules it.
    """
    known = declared()
    given = [
        *_from_file(file or FILE_DEFAULT, known, must_exist=file is not None),
        *_from_environment(os.environ if environment is None else environment, known),
        *_from_options(options or {}, known),
    ]
    values: dict[str, int | str] = {}
    origins = dict.fromkeys(known, "default")
    for each in given:
        values[each.key] = _keep(each, known[each.key].form)
        origins[each.key] = each.origin
    configuration = Configuration(settings=_build(values, known), origins=MappingProxyType(origins))
    _check_together(configuration)
    return configuration


@cache
def declared() -> Mapping[str, Setting]:
    """Return every setting by its key outside, in the order of declaration."""
    found = list(_leaves(Settings, section=""))
    for name, section in _sections().items():
        found.extend(_leaves(section, section=name))
    return MappingProxyType({setting.key: setting for setting in found})


def _from_file(path: Path, known: Mapping[str, Setting], *, must_exist: bool) -> list[Given]:
    """Return what the TOML file says; nothing if it is absent and need not exist."""
    origin = f"file {path}"
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError as error:
        if not must_exist:
            return []
        raise ConfigError(f"settings file '{path}' does not exist", origin=origin) from error
    except OSError as error:
        raise ConfigError(
            f"settings file '{path}' cannot be read: {error.strerror}", origin=origin
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"settings file '{path}' is not TOML in UTF-8: {error}", origin=origin
        ) from error
    found: list[Given] = []
    for key, value in _flatten(table, known):
        if key not in known:
            raise _unknown(key, known, name=key, origin=origin, spell=str)
        found.append(Given(key=key, value=value, origin=origin, is_text=False))
    return found


def _from_environment(environment: Mapping[str, str], known: Mapping[str, Setting]) -> list[Given]:
    """Return what the variables that begin with `TENURE_` say."""
    keys = {environment_name(key): key for key in known}
    found: list[Given] = []
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or name.startswith(ENVIRONMENT_IGNORED):
            continue
        if KUBERNETES_LINK.fullmatch(name):
            continue
        origin = f"environment {name}"
        if name not in keys:
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            raise _unknown(key, known, name=name, origin=origin, spell=environment_name)
        found.append(Given(key=keys[name], value=environment[name], origin=origin, is_text=True))
    return found


def _from_options(options: Mapping[str, object], known: Mapping[str, Setting]) -> list[Given]:
    """Return what the command line says. None is how an option says nothing."""
    found: list[Given] = []
    for key, value in options.items():
        origin = f"option {option_name(key)}"
        if key not in known:
            raise _unknown(key, known, name=option_name(key), origin=origin, spell=option_name)
        if value is not None:
            found.append(Given(key=key, value=value, origin=origin, is_text=True))
    return found


def environment_name(key: str) -> str:
    """Return the variable of a setting: `worker.slots` is `TENURE_WORKER__SLOTS`."""
    return ENVIRONMENT_PREFIX + key.upper().replace(".", "__")


def option_name(key: str) -> str:
    """Return a setting as messages call its option: `worker.slots` is `--worker-slots`."""
    return "--" + key.replace(".", "-").replace("_", "-")


def _sections() -> dict[str, type]:
    hints: dict[str, type] = get_type_hints(Settings)
    return {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}


def _leaves(section_class: type, *, section: str) -> Iterator[Setting]:
    hints = get_type_hints(section_class, include_extras=True)
    defaults = section_class()
    for field, hint in hints.items():
        if dataclasses.is_dataclass(hint):
            continue
        form, when = hint.__metadata__
        name = field.removesuffix("_us") + "_s" if isinstance(form, Duration) else field
        yield Setting(
            key=f"{section}.{name}" if section else name,
            section=section,
            field=field,
            form=form,
            when=when,
            default=getattr(defaults, field),
        )


def _keep(given: Given, form: Form) -> int | str:
    """Return what was given as it is kept inside.

    Raises:
        ConfigError: the value has the wrong type or is out of bounds.
    """
    is_text = given.is_text and isinstance(given.value, str)
    kept = form.read(form.parse(f"{given.value}") if is_text else given.value)
    if kept is None:
        raise ConfigError(
            f"setting '{given.key}' is {quote(given.value)} ({given.origin});"
            f" it must be {form.allowed}",
            key=given.key,
            origin=given.origin,
        )
    return kept


def _build(values: Mapping[str, int | str], known: Mapping[str, Setting]) -> Settings:
    arguments: dict[str, dict[str, object]] = {name: {} for name in ("", *_sections())}
    for key, value in values.items():
        arguments[known[key].section][known[key].field] = value
    top = arguments.pop("")
    for name, section in _sections().items():
        top[name] = section(**arguments[name])
    make: Callable[..., Settings] = Settings
    return make(**top)


def _check_together(configuration: Configuration) -> None:
    """Hold settings that only make sense together against each other."""
    settings = configuration.settings
    reaper, settler, listener = settings.reaper, settings.settler, settings.listener
    renews_in_time = 2 * settings.renewer.every_us < settings.worker.lease_us
    backs_off = reaper.backoff_us <= reaper.backoff_max_us
    gives_up_in_time = listener.patience_us <= listener.probe_us
    for holds, key, relation, other in (
        (renews_in_time, "renewer.every_s", "less than half of", "worker.lease_s"),
        (backs_off, "reaper.backoff_s", "at most", "reaper.backoff_max_s"),
        (settler.batch <= settler.backlog_max, "settler.batch", "at most", "settler.backlog_max"),
        (gives_up_in_time, "listener.patience_s", "at most", "listener.probe_s"),
    ):
        if not holds:
            shown = {row.key: f"{row.value} ({row.origin})" for row in configuration.rows()}
            raise ConfigError(
                f"setting '{key}' is {shown[key]}; it must be {relation}"
                f" '{other}', which is {shown[other]}",
                key=key,
                origin=configuration.origins[key],
            )


def _flatten(
    table: Mapping[str, object], known: Mapping[str, Setting]
) -> Iterator[tuple[str, object]]:
    """Yield the leaves with dotted keys. An empty table is a leaf unless it is a section."""
    names = {setting.section for setting in known.values()}
    for name, value in table.items():
        if not isinstance(value, dict) or not (value or name in names):
            yield name, value
            continue
        for inner, leaf in value.items():
            yield f"{name}.{inner}", leaf


def _unknown(
    key: str,
    known: Mapping[str, Setting],
    *,
    name: str,
    origin: str,
    spell: Callable[[str], str],
) -> ConfigError:
    nearest = _nearest(key, known)
    hint = f"; did you mean '{spell(nearest)}'?" if nearest else ""
    return ConfigError(f"unknown setting '{name}' ({origin}){hint}", key=key, origin=origin)


def _nearest(key: str, known: Mapping[str, Setting]) -> str:
    """Return the known key most like *key*, or the only one that ends like it, or nothing."""
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return close[0]
    last = key.rpartition(".")[2]
    same = [candidate for candidate in known if candidate.rpartition(".")[2] == last]
    return same[0] if len(same) == 1 else ""


def reference_page() -> str:
    """Return the reference page of all settings in Markdown."""
    lines = [PAGE_HEAD]
    for name, section in {"": Settings, **_sections()}.items():
        if name:
            lines += [f"## {name}", "", f"{section.__doc__}", ""]
        lines += [
            "| setting | default | it must be | when to change it |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| `{key}` | {setting.form.show(setting.default)} | {setting.form.allowed}"
            f" | {setting.when} |"
            for key, setting in declared().items()
            if setting.section == name
        ]
        lines.append("")
    return "\n".join(lines)


def main(arguments: Sequence[str], *, path: Path = PAGE_DEFAULT) -> int:
    """Write the reference page, or with `--check` return 1 if it is not in step."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python -m tenure.config [--check]\n")
        return 2
    if not arguments:
        path.write_text(reference_page(), encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == reference_page():
        return 0
    sys.stderr.write(f"{path} is not in step; run `python -m tenure.config`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
