"""`tenure worker` as real processes: signals, several workers, and refusals to start."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tenure import Client, Registry
from tests.cli.conftest import Run, Started, until, write

Start = Callable[..., Started]

APPLICATION = """
    import asyncio
    import os
    import time
    from pathlib import Path

    import tenure

    @tenure.task
    def gated(name: str) -> str:
        while not Path(name).exists():
            time.sleep(0.01)
        return "passed"

    @tenure.task
    async def block(seconds: float) -> None:
        time.sleep(seconds)

    @tenure.task(runtime="process")
    def square(n: int) -> list[int]:
        return [n * n, os.getpid()]

    @tenure.task
    def relay(runtime: str) -> str:
        return tenure.Client().enqueue(echo if runtime == "thread" else process_echo).id

    @tenure.task
    def echo() -> str:
        return tenure.Client().settings.url

    @tenure.task(runtime="process")
    def process_echo() -> str:
        return tenure.Client().settings.url
"""


@pytest.fixture
def kinds() -> Registry:
    registry = Registry()

    @registry.task
    def gated(name: str) -> str: ...  # type: ignore[empty-body] # enqueued here, run elsewhere

    @registry.task
    def block(seconds: float) -> None: ...

    @registry.task(runtime="process")
    def square(n: int) -> list[int]: ...  # type: ignore[empty-body] # as above

    @registry.task
    def relay(runtime: str) -> str: ...  # type: ignore[empty-body] # as above

    return registry


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The file of an application, in a folder that is not the working directory."""
    return str(write(tmp_path / "elsewhere" / "real_app.py", APPLICATION))


def begun(client: Client, kinds: Registry, kind: str, argument: object) -> str:
    """Enqueue a task, wait until it runs, and return its id."""
    task_id = client.enqueue(kinds.get(kind), argument).id
    until(lambda: client.get(task_id).state.value == "running", "the task runs")
    return task_id


def test_a_signal_lets_what_runs_finish(
    client: Client, url: str, kinds: Registry, path: str, start: Start, tmp_path: Path
) -> None:
    worker = start("worker", path, "--url", url)
    task_id = begun(client, kinds, "gated", str(tmp_path / "gate"))

    worker.process.send_signal(signal.SIGTERM)
    worker.says("worker stopping")
    (tmp_path / "gate").touch()

    assert 0 == worker.ends()
    assert "completed" == client.get(task_id).state.value
    assert [] == client.workers()
    assert "Traceback" not in worker.said


def test_a_second_signal_gives_back_what_runs(
    client: Client, url: str, kinds: Registry, path: str, start: Start, tmp_path: Path
) -> None:
    worker = start("worker", path, "--url", url, "--grace", "600")
    task_id = begun(client, kinds, "gated", str(tmp_path / "gate"))

    worker.process.send_signal(signal.SIGINT)
    worker.says("worker stopping")
    worker.process.send_signal(signal.SIGTERM)

    assert 0 == worker.ends()
    task = client.get(task_id)
    assert ("pending", 0) == (task.state.value, task.attempt)


def test_a_third_signal_ends_even_a_worker_whose_loop_is_blocked(
    client: Client, url: str, kinds: Registry, path: str, start: Start
) -> None:
    worker = start("worker", path, "--url", url)
    worker.says("worker started")
    task_id = client.enqueue(kinds.get("block"), 600.0).id
    until(lambda: client.get(task_id).state.value == "running", "the task runs")

    # Signals that come at once are one to the kernel, so it may take more than three.
    def signalled() -> bool:
        worker.process.send_signal(signal.SIGTERM)
        return worker.process.poll() is not None

    until(signalled, "the worker ends")

    assert 128 + signal.SIGTERM == worker.ends()


@pytest.mark.parametrize("runtime", ["thread", "process"])
def test_a_client_that_a_handler_opens_is_of_its_workers_store(
    client: Client, url: str, kinds: Registry, path: str, start: Start, runtime: str
) -> None:
    """It was that of the file in the working directory, which nobody served."""
    worker = start("worker", path, "--url", url)

    following = client.enqueue(kinds.get("relay"), runtime).result(timeout=60)
    found = json.loads(client.result(following, timeout=60))

    worker.process.terminate()
    assert 0 == worker.ends()
    assert url == found


@pytest.mark.parametrize("loop", ["--uvloop", "--no-uvloop"])
def test_a_process_handler_is_found_by_the_file_that_was_named(
    loop: str, path: str, start: Start, kinds: Registry, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/tenure.db"
    worker = start("worker", path, "--url", url, loop)

    with Client(url) as client:
        square, child = client.enqueue(kinds.get("square"), 7).result(timeout=60)

    worker.process.terminate()
    assert 0 == worker.ends()
    assert 49 == square
    assert child != worker.process.pid


def test_a_worker_that_dies_is_started_again_and_all_end_together(
    client: Client, url: str, path: str, start: Start
) -> None:
    parent = start("worker", path, "--url", url, "--workers", "2")
    first = until(lambda: pids(client, 2), "two workers")

    os.kill(min(first), signal.SIGKILL)
    until(lambda: alive(client) - first, "another worker")
    parent.process.terminate()

    assert 0 == parent.ends()
    assert "worker process died; it will be started again" in parent.said
    assert "SIGKILL" in parent.said
    assert parent.process.pid not in alive(client)
    assert max(first) not in alive(client)


def test_workers_drain_when_their_parent_is_killed(
    client: Client, url: str, path: str, start: Start
) -> None:
    parent = start("worker", path, "--url", url, "--workers", "2")
    until(lambda: pids(client, 2), "two workers")

    parent.process.kill()

    until(lambda: not client.workers(), "the workers are gone")


def test_several_workers_of_a_bad_application_say_so_once(start: Start, tmp_path: Path) -> None:
    write(tmp_path / "broken.py", "def :\n")

    parent = start("worker", "broken.py", "--workers", "3")

    assert 2 == parent.ends()
    assert 1 == parent.said.count("error:")
    assert "Traceback" not in parent.said
    assert not (tmp_path / "tenure.db").exists()


def test_check_tells_the_kinds_and_makes_the_tables(run: Run, app: str, url: str) -> None:
    result = run("worker", app, "--check", "--url", url)

    assert 0 == result.exit_code
    assert "3 kind(s): add, fail, send" in result.stdout
    assert 0 == run("db", "check", "--url", url).exit_code


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--slots", "-4"], "setting 'worker.slots' is '-4' (option --slots); it must be a whole"),
        (["--threads", "0"], "setting 'worker.threads' is '0' (option --threads)"),
        (["--processes", "two"], "setting 'worker.processes' is 'two' (option --processes)"),
        (["--grace", "-1"], "setting 'worker.grace_s' is '-1' (option --grace)"),
        (["--log-level", "loud"], "it must be one of: debug, info, warning, error"),
        (["--set", "worker.slot=4"], "unknown setting 'worker.slot' (option --set worker.slot);"),
        (["--set", "worker.slot=4"], "did you mean 'worker.slots'?"),
        (["--set", "worker"], "'worker' is not SECTION.KEY=VALUE"),
        (["--workers", "0"], "0 is not in the range"),
        (["--queue", "two words"], "queue 'two words' may hold letters"),
        (["--queue", ""], "queue must not be empty"),
        (["--config", "nowhere.toml"], "settings file 'nowhere.toml' does not exist"),
        (["--url", "mysql://host/name"], "it must be sqlite:///file"),
        (["--url", "postgresql://me:se/cret@host/d"], "setting 'url'"),
        (["--no-such-option"], "No such option"),
    ],
)
def test_a_bad_option_is_one_sentence_and_exit_code_2(
    options: list[str], expected: str, run: Run, app: str, tmp_path: Path
) -> None:
    result = run("worker", app, *options)

    assert 2 == result.exit_code
    assert expected in result.stderr
    assert "cret" not in result.stderr
    assert not (tmp_path / "tenure.db").exists()


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.db", "postgresql://me:secret@127.0.0.1:1/x"]
)
def test_an_unreachable_store_is_one_sentence_and_exit_code_3(url: str, run: Run, app: str) -> None:
    result = run("worker", app, "--url", url)

    assert 3 == result.exit_code
    assert result.stderr.startswith("error: cannot open ")
    assert 1 == len(result.stderr.splitlines())
    assert "secret" not in result.stderr


def test_a_file_that_is_no_database_is_left_alone(run: Run, app: str, tmp_path: Path) -> None:
    write(tmp_path / "letter.txt", "Dear reader, " * 100)

    result = run("worker", app, "--url", f"sqlite:///{tmp_path}/letter.txt")

    assert 3 == result.exit_code
    assert "not a sound SQLite database" in result.stderr
    assert "Dear reader, " * 100 == (tmp_path / "letter.txt").read_text()


def test_tables_of_somebody_else_are_left_alone(run: Run, app: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "tenure.db") as connection:
        connection.execute("CREATE TABLE task (id INTEGER)")

    result = run("worker", app)

    assert 3 == result.exit_code
    assert "a table 'task' that is not Tenure's" in result.stderr


def pids(client: Client, count: int) -> set[int]:
    """Return the pids of the workers once there are so many, else nothing."""
    found = alive(client)
    return found if len(found) >= count else set()


def alive(client: Client) -> set[int]:
    return {worker.pid for worker in client.workers()}
