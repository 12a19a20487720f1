"""The command itself: help, versions, errors in every form, quick starts."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest

from tenure.cli import reference
from tenure.cli.main import COMMANDS, main
from tenure.cli.problems import exit_code
from tenure.kernel import errors
from tests.cli.conftest import Run


def test_help_lists_every_command_and_every_exit_code(run: Run) -> None:
    result = run("--help")

    assert 0 == result.exit_code
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout
    for code in (0, 1, 2, 3, 130):
        assert f"\n  {code} " in result.stdout


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert f"tenure {metadata.version('tenure')}\n" == run("--version").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, run: Run) -> None:
    command = main.get_command(click.Context(main), name)

    assert command is not None
    assert command.get_short_help_str(200).removesuffix(".") in run(name, "--help").stdout.replace(
        "\n  ", " "
    )
    for line in run(name, "-h").stdout.splitlines():
        assert len(line) <= 80


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["wroker"], "No such command 'wroker'"),
        (["tasks", "shwo"], "No such command 'shwo'"),
        (["tasks", "show"], "Missing argument 'ID'"),
        (["--no-such"], "No such option"),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], expected: str, run: Run) -> None:
    result = run(*arguments)

    assert 2 == result.exit_code
    assert expected in result.stderr
    assert "--help" in result.stderr


def test_a_wrong_command_line_in_json_is_a_problem(run: Run) -> None:
    result = run("tasks", "show", "--json")

    assert "usage" == json.loads(result.stderr)["error"]["code"]


def test_debug_shows_the_code_and_the_traceback(run: Run) -> None:
    result = run("tasks", "ls", "--url", "sqlite:////nowhere/x.db", "--debug")

    assert 3 == result.exit_code
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.rstrip().endswith("[store_down]")


def test_an_error_is_red_on_a_terminal_only(run: Run) -> None:
    arguments = ["tasks", "ls", "--url", "sqlite:////nowhere/x.db"]

    assert run(*arguments, color=True).stderr.startswith("\x1b[31merror: ")
    assert run(*arguments).stderr.startswith("error: ")


def all_errors() -> list[type[errors.TenureError]]:
    found = [errors.TenureError]
    for each in found:
        found.extend(each.__subclasses__())
    return [each for each in found if each.__module__ == errors.__name__]


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_every_error_has_an_exit_code(error: type[errors.TenureError]) -> None:
    made = error.__new__(error)

    code = exit_code(made)

    if issubclass(error, errors.StoreError):
        assert 3 == code
    elif error in (errors.InvalidError, errors.ConfigError, errors.UnknownKindError):
        assert 2 == code
    else:
        assert code in (1, 2)


def test_help_imports_no_driver_and_no_command() -> None:
    program = (
        "import sys\n"
        "from tenure.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name in ('rich', 'asyncpg', 'psycopg', 'uvloop')"
        " or name.startswith('tenure.cli.')])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    allowed = {"tenure.cli.main", "tenure.cli.choices", "tenure.cli.problems"}
    assert allowed == set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, run: Run) -> None:
    result = run("completion", shell)

    assert 0 == result.exit_code
    assert "_TENURE_COMPLETE" in result.stdout


def test_completion_knows_commands_and_options() -> None:
    def complete(words: str, position: int) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tenure.cli"],
            env={"_TENURE_COMPLETE": "bash_complete", "COMP_WORDS": words,
                 "COMP_CWORD": str(position), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout

    assert "plain,workers" in complete("tenure wor", 1)
    assert "plain,running" in complete("tenure tasks ls --state r", 4)
    assert "plain,--json" in complete("tenure queues --js", 2)


def test_the_reference_page_is_in_step(tmp_path: Path) -> None:
    path = tmp_path / "cli.md"

    before = reference.main(["--check"], path=path)
    written = reference.main([], path=path)
    after = reference.main(["--check"], path=path)

    assert (1, 0, 0) == (before, written, after)
    assert 2 == reference.main(["--chek"], path=path)
    root = Path(__file__).parents[2] / "docs/reference/cli.md"
    assert path.read_text() == root.read_text(), "run `python -m tenure.cli.reference`"
