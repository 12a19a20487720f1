"""With `TENURE_SIM_SEED` only that seed is run, and none of the other tests here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ASKED = os.environ.get("TENURE_SIM_SEED", "")
REPLAY = "test_nothing_is_lost_done_twice_or_stuck_whatever_befalls"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for."""
    if not ASKED:
        return
    left_out = [
        test
        for test in items
        if Path(__file__).parent in test.path.parents and not test.name.startswith(REPLAY)
    ]
    items[:] = [test for test in items if test not in left_out]
    config.hook.pytest_deselected(items=left_out)
