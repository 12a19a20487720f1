"""Take a census of the standard library: one durable task for each of its files.

    python examples/code_census/run.py [--workers N] [--url URL] [--limit FILES]

Stores the tasks, starts worker processes, watches them, and prints the ranking. Stopped or
killed at any moment, it goes on where it was when it is run again with the same --url.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import census
import click
import tables
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import tenure

HERE = Path(__file__).resolve().parent
LOOK_S = 0.1
PLAIN_LINE_S = 2.0
STOP_S_MAX = 20.0
RANKING_S_MAX = 60.0
# What a killed worker held is measured by others after seconds, where the defaults allow for
# longer tasks and wait a minute. Few slots: no worker keeps many files while others have none.
WORKER_OPTIONS = (
    *("--slots", "20", "--threads", "1", "--lease", "5", "--log-level", "warning"),
    *("--set", "reaper.every_s=1", "--set", "elector.lease_s=3"),
)

console = Console(highlight=False, soft_wrap=True)


@click.command()
@click.option("--workers", default=max(2, min(4, os.cpu_count() or 2)), show_default=True,
              type=click.IntRange(1, 64), help="Worker processes.")  # fmt: skip
@click.option("--url", help="Where the tasks are kept. [default: a fresh SQLite file]")
@click.option("--limit", type=click.IntRange(1), help="Take only so many files.")
def main(workers: int, url: str | None, limit: int | None) -> None:
    """Take a census of Python's standard library."""
    # To be stopped tidily, as by Ctrl-C; which the background jobs of a shell do not hear of.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="code-census-"))
    log = folder / "workers.log"
    url = url or f"sqlite:///{folder / 'census.db'}"
    files = library_files()[:limit]
    name = census_name(files)
    console.print(f"Store    [bold]{shown(url)}[/]")
    console.print(f"Files    {len(files):,} of Python {platform.python_version()}'s own library")
    console.print(f"Workers  {workers}; their log is {log}\n")
    began_s = time.monotonic()
    try:
        asyncio.run(enqueue(url, name, files))
        with tenure.Client(url) as client, working(url, workers, log) as fleet:
            fresh = watch(client, len(files), fleet)
            task = census.rank_files.options(id=census.task_id(name, "ranking"))
            ranking = client.enqueue(task, name, len(files)).result(timeout=RANKING_S_MAX)
    except KeyboardInterrupt:
        leave(
            f"Stopped. What was measured is stored; go on with\n  {again(url, limit)}", status=130
        )
    except (tenure.TenureError, ChildProcessError) as error:
        leave(f"[red]{escape(str(error))}[/]", status=1)
    tables.show(ranking, console)
    say_where_next(url, name, fresh, took_s=time.monotonic() - began_s)


def library_files() -> list[str]:
    """Return the files of this interpreter's library, without what was installed into it."""
    paths = (path.relative_to(census.STDLIB) for path in census.STDLIB.rglob("*.py"))
    return sorted(path.as_posix() for path in paths if "site-packages" not in path.parts)


def census_name(files: Sequence[str]) -> str:
    """Return a name that is the same for the same files, and so finds what was done before."""
    digest = hashlib.sha256("\n".join(files).encode()).hexdigest()
    return f"python-{platform.python_version()}-{digest[:8]}"


async def enqueue(url: str, name: str, files: Sequence[str]) -> None:
    """Store one task for each file. Those that are stored already are left as they are."""
    # Concurrent callers share commits, so that this costs a few syncs to disk and not 1,800.
    async with tenure.AsyncClient(url) as client:
        await asyncio.gather(*(
            client.enqueue(census.measure_file.options(id=census.task_id(name, file)), file)
            for file in files
        ))  # fmt: skip


@contextlib.contextmanager
def working(url: str, workers: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Keep worker processes for as long as the block lasts, then let them drain."""
    app = str(HERE / "census.py")
    command = [sys.executable, "-m", "tenure.cli", "worker", app, "--workers", str(workers)]
    with log.open("wb") as lines:
        fleet = subprocess.Popen(
            [*command, *WORKER_OPTIONS],
            # The address may hold a password, which is nothing for a list of processes.
            env=os.environ | {"TENURE_URL": url},
            stdin=subprocess.DEVNULL,
            stderr=lines,
            # Ctrl-C is for us; the workers hear of it from us.
            process_group=0,
        )
    try:
        yield fleet
    finally:
        fleet.terminate()
        try:
            fleet.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            fleet.kill()


def watch(client: tenure.Client, total: int, fleet: subprocess.Popen[bytes]) -> int:
    """Show how far the census is until it is done; return how many files were left at first."""
    left = fresh = unmeasured(client)
    bar = Progress(
        TextColumn("Measuring"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    next_line_s = 0.0
    with bar:
        shown_task = bar.add_task("", total=total, completed=total - left)
        while left:
            time.sleep(LOOK_S)
            left = unmeasured(client)
            bar.update(shown_task, completed=max(0, total - left))
            if not console.is_terminal and (time.monotonic() >= next_line_s or not left):
                console.print(f"{total - left:,} of {total:,} files measured")
                next_line_s = time.monotonic() + PLAIN_LINE_S
            if left and fleet.poll() is not None:
                raise ChildProcessError("the workers have ended; their log, named above, says why")
    return fresh


def unmeasured(client: tenure.Client) -> int:
    """Return how many tasks of our queue have not ended."""
    counts = {each.queue.name: each for each in client.queues()}.get(census.QUEUE)
    return counts.due + counts.scheduled + counts.running if counts else 0


def say_where_next(url: str, name: str, fresh: int, *, took_s: float) -> None:
    """Print how long it took, and what a newcomer can look at now."""
    program = "tenure" if shutil.which("tenure") else beside(Path(sys.executable), "tenure")
    console.print(f"\n{fresh:,} files measured in {took_s:.1f} s. Every result is in the store:\n")
    for command, what in (
        ("tasks ls", "the tasks, newest first"),
        (f"tasks show {census.task_id(name, 'ranking')}", "one task: its attempts, its result"),
        ("queues", "what waits and what runs, while something does"),
    ):
        console.print(f"  {program} {command} --url {shown(url)}\n      [dim]{what}[/]")
    console.print(
        f"\nHow it is made, and the same on PostgreSQL: {beside(HERE / '-', 'README.md')}"
    )


def again(url: str, limit: int | None) -> str:
    """Return the command that goes on with this census."""
    python = beside(Path(sys.executable), Path(sys.executable).name)
    options = f"--url {shown(url)}" + (f" --limit {limit}" if limit else "")
    return f"{python} {sys.argv[0]} {options}"


def beside(path: Path, name: str) -> str:
    """Return the path of a neighbour, as short as it can be typed here."""
    neighbour = path.with_name(name)
    here = Path.cwd()
    return str(neighbour.relative_to(here) if neighbour.is_relative_to(here) else neighbour)


def shown(url: str) -> str:
    """Return the store's address without its password."""
    return re.sub(r":[^:@/]+@", ":***@", url)


def leave(text: str, *, status: int) -> NoReturn:
    """Say why, and end."""
    console.print(f"\n{text}")
    sys.exit(status)


if __name__ == "__main__":
    main()
