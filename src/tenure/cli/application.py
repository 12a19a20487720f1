"""From `app.py`, `package.module` or either with `:attribute` to a registry of kinds.

Called by the commands that need the user's handlers. A file is imported under the name that a
fresh process would import it by, with its folder on `sys.path`: handlers that run in processes
of their own are found by that name.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tenure.kernel.errors import ConfigError, TenureError
from tenure.sdk.task import Registry, registry as default_registry

OUR_FOLDER = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Place:
    """Where an application is: the folder to import from, the module, and what in it."""

    folder: Path
    module: str
    attribute: str
    file: Path | None


def load(text: str) -> Registry:
    """Import an application and return its registry, which is not empty.

    Raises:
        ConfigError: it cannot be imported, has no such attribute, or registers nothing; the
            message says which line is to blame.
    """
    place = locate(text)
    folder = str(place.folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _import(place)
    if place.file is not None and not _is_from(module, place.file):
        raise ConfigError(
            f"{place.file} cannot be imported as {place.module!r}, which is the name of another "
            f"module ({getattr(module, '__file__', None) or 'built in'}): rename the file",
            key="app",
        )
    found = _registry(module, place)
    if not len(found):
        raise ConfigError(f"{text!r} registers no kinds: {_advice(module, text)}", key="app")
    for kind in found:
        # Made here, so that an annotation that cannot be used is told before the work begins.
        kind.codec  # noqa: B018 - a cached property
    return found


def locate(text: str) -> Place:
    """Return what a text on the command line stands for, without importing anything.

    Raises:
        ConfigError: there is no such file, or it could not be imported by its name.
    """
    path, mark, attribute = text.rpartition(":")
    if not mark or not all(part.isidentifier() for part in attribute.split(".")):
        path, attribute = text, ""
    if not _is_file(path):
        if not all(part.isidentifier() for part in path.split(".")):
            raise ConfigError(
                f"{text!r} is neither a Python file nor the name of a module; write app.py, "
                "package.module or module:attribute",
                key="app",
            )
        return Place(Path.cwd(), path, attribute, None)
    file = Path(path).absolute()
    if not file.is_file():
        raise ConfigError(f"there is no file {path!r} in {Path.cwd()}", key="app")
    if "." in file.stem:
        raise ConfigError(
            f"{path!r} cannot be imported, because of the dot in {file.stem!r}: rename the file",
            key="app",
        )
    folder, names = file.parent, [file.stem]
    # Inside of a package the module's name is the dotted one, or relative imports would fail.
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        names.insert(0, folder.name)
        folder = folder.parent
    return Place(folder, ".".join(names), attribute, file)


def _is_file(path: str) -> bool:
    return path.endswith(".py") or "/" in path or "\\" in path


def _import(place: Place) -> ModuleType:
    try:
        return importlib.import_module(place.module)
    except SyntaxError as error:
        raise ConfigError(
            f"{error.filename}, line {error.lineno}: {error.msg}; mend it, then start again",
            key="app",
        ) from error
    except ModuleNotFoundError as error:
        if error.name and _is_part_of(error.name, place.module):
            raise ConfigError(
                f"there is no module {error.name!r} in {place.folder} or where Python looks: run "
                "it from the folder that holds it, or name its file",
                key="app",
            ) from error
        raise ConfigError(
            f"{_line(error)}: {error}: install it into this environment, or mend the import",
            key="app",
        ) from error
    except TenureError as error:
        raise ConfigError(f"{_line(error)}: {error}", key="app") from error
    except SystemExit as error:
        raise ConfigError(
            f"{_line(error)}: the module exits while it is imported; put what it does when it is "
            "run as a program under if __name__ == '__main__'",
            key="app",
        ) from error
    # It is the user's own code that is run here, and it may raise anything.
    except Exception as error:
        raise ConfigError(
            f"{_line(error)}: the import of {place.module!r} failed with "
            f"{type(error).__name__}: {error}",
            key="app",
        ) from error


def _is_part_of(name: str, module: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def _line(error: BaseException) -> str:
    """Return the innermost place of the user's own code."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith("<"):
            continue
        if OUR_FOLDER not in Path(frame.filename).parents:
            return f"{frame.filename}, line {frame.lineno}"
    return "the application"


def _is_from(module: ModuleType, file: Path) -> bool:
    origin = getattr(module, "__file__", None)
    return origin is not None and Path(origin).resolve() == file.resolve()


def _registry(module: ModuleType, place: Place) -> Registry:
    found: object = module
    for name in filter(None, place.attribute.split(".")):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise ConfigError(
                f"module {place.module!r} has nothing named {place.attribute!r}", key="app"
            ) from error
    return found if isinstance(found, Registry) else default_registry


def _advice(module: ModuleType, text: str) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if isinstance(value, Registry) and len(value) and value is not default_registry
    ]
    if names:
        return (
            f"its kinds are in a registry of its own; name it: {text.partition(':')[0]}:{names[0]}"
        )
    return "decorate a function in it with @tenure.task"
