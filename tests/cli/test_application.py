"""Importing the user's application, and what is said when that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tenure import ConfigError, Registry
from tenure.cli import application
from tests.cli.conftest import write

KIND = """
    import tenure
    registry = tenure.Registry()

    @registry.task
    def {name}() -> None: ...
"""


def test_a_file_is_imported_under_its_stem(tmp_path: Path) -> None:
    write(tmp_path / "by_stem.py", KIND.format(name="one"))

    found = application.load("by_stem.py:registry")

    assert ["one"] == [kind.name for kind in found]
    assert "by_stem" == found.get("one").function.__module__
    assert str(tmp_path) in sys.path


def test_a_module_is_found_in_the_working_directory(tmp_path: Path) -> None:
    write(tmp_path / "shop_by_module/__init__.py", "")
    write(tmp_path / "shop_by_module/tasks.py", KIND.format(name="two"))

    found = application.load("shop_by_module.tasks:registry")

    assert ["two"] == [kind.name for kind in found]


def test_a_file_in_a_package_keeps_its_relative_imports(tmp_path: Path) -> None:
    write(tmp_path / "src/shop_by_file/__init__.py", "")
    write(tmp_path / "src/shop_by_file/kinds.py", KIND.format(name="three"))
    write(tmp_path / "src/shop_by_file/tasks.py", "from .kinds import registry")

    found = application.load("src/shop_by_file/tasks.py:registry")

    assert "shop_by_file.kinds" == found.get("three").function.__module__


def test_an_attribute_that_is_no_registry_stands_for_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = Registry()
    default.task(name="four")(lambda: None)
    monkeypatch.setattr(application, "default_registry", default)
    write(tmp_path / "with_object.py", "server = object()")

    assert application.load("with_object:server") is default


BAD: dict[str, tuple[str, str]] = {
    "syntax": ("x = 1\ndef broken(:\n", "bad.py, line 2: invalid syntax"),
    "name": (
        "import tenure\n\nx = y\n",
        "bad.py, line 3: the import of 'bad' failed",
    ),
    "import": ("import os\nimport not_there_at_all\n", "bad.py, line 2: No module named"),
    "exit": ("import sys\nsys.exit(3)\n", "bad.py, line 2: the module exits"),
    "none": ("import tenure\n", "'bad.py' registers no kinds: decorate a function"),
    "own registry": (
        "import tenure\nmine = tenure.Registry()\n@mine.task\ndef one() -> None: ...\n",
        "name it: bad.py:mine",
    ),
    "twice": (
        "import tenure\nmine = tenure.Registry()\n"
        "@mine.task\ndef one() -> None: ...\n@mine.task\ndef one() -> None: ...\n",
        "bad.py, line 5: kind 'one' is registered twice: in ",
    ),
    "option": (
        "import tenure\nmine = tenure.Registry()\n@mine.task(cost=-1)\ndef one() -> None: ...\n",
        "bad.py, line 3: cost is -1; it must be from 1",
    ),
    "delay": (
        "import tenure\nmine = tenure.Registry()\n@mine.task(timeout=-1)\ndef one() -> None: ...\n",
        "bad.py, line 3: timeout is -1; it must not be negative",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_application_is_one_sentence_with_its_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "default_registry", Registry())
    monkeypatch.delitem(sys.modules, "bad", raising=False)
    text, expected = BAD[case]
    write(tmp_path / "bad.py", text)

    with pytest.raises(ConfigError) as caught:
        application.load("bad.py")

    assert expected in str(caught.value)
    sys.modules.pop("bad", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nowhere.py", "there is no file 'nowhere.py' in "),
        ("folder/", "there is no file 'folder/'"),
        ("no_such_module", "there is no module 'no_such_module' in "),
        ("no_such.module:registry", "there is no module 'no_such' in "),
        ("two words", "neither a Python file nor the name of a module"),
        ("dotted.name.py", "because of the dot in 'dotted.name'"),
        ("json.py", "which is the name of another module"),
        ("sound.py:missing", "module 'sound' has nothing named 'missing'"),
    ],
)
def test_a_place_that_is_wrong_is_told(text: str, expected: str, tmp_path: Path) -> None:
    for name in ("dotted.name.py", "json.py", "sound.py"):
        write(tmp_path / name, "")

    with pytest.raises(ConfigError) as caught:
        application.load(text)

    assert expected in str(caught.value)


def test_an_annotation_that_cannot_be_read_is_told_before_work_begins(tmp_path: Path) -> None:
    text = """
        from __future__ import annotations
        import tenure
        registry = tenure.Registry()

        @registry.task
        def one(a: Missing) -> None: ...
    """
    write(tmp_path / "bad_annotation.py", text)

    with pytest.raises(ConfigError, match="an annotation of kind 'one'"):
        application.load("bad_annotation.py:registry")
