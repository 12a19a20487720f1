"""Faults to plant into a worker, each with the tests that must then fail.

`python -m tests.e2e.faults no-fence worker app.py` is `tenure worker app.py` with a fault. The
tests of this folder start such workers to see their own checks fail.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from tenure.cli.main import main
from tenure.engine import reaper
from tenure.engine.executor import Executor
from tenure.kernel.settle import Settlement, expire
from tenure.kernel.states import Event
from tenure.store import statements
from tenure.store.statements import Dialect


def no_fence() -> None:
    """Let a settlement end whatever claim the task has now.

    The key of the history is in its way too, so that has to give as well.
    """
    sound = statements._merged

    def merged(dialect: Dialect) -> dict[str, str]:
        texts = dict(sound(dialect))
        settle = texts["settle_tasks"]
        for fence in ("AND claim_no = :claim_no", "AND task.claim_no = given.claim_no"):
            settle = settle.replace(fence, "")
        assert settle != texts["settle_tasks"], "there is no fence to take away"
        texts["settle_tasks"] = settle
        if dialect == "sqlite":
            texts["log_attempts"] = texts["log_attempts"].replace("INSERT", "INSERT OR REPLACE")
        return texts

    patch.object(statements, "_merged", merged).start()


def crashes_complete() -> None:
    """Record what a dead worker held as done."""

    def completed(*given: Any, **more: Any) -> Settlement:
        return expire(*given, **more)._replace(event=Event.COMPLETE, error=None)

    patch.object(reaper, "expire", completed).start()


def no_release() -> None:
    """Leave what has not begun to its lease, when a worker stops."""
    patch.object(Executor, "release_waiting", lambda _: 0).start()


FAULTS: dict[str, Callable[[], None]] = {
    "no-fence": no_fence,
    "crashes-complete": crashes_complete,
    "no-release": no_release,
}


if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()
    main()
