"""The whole engine under seeded trouble: fixed seeds, fresh seeds, and the same seed twice.

With `TENURE_SIM_SEED` set (`make sim SEED=17`) only that seed is run, and its trace is printed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.capture import CaptureManager

from tests.sim.conftest import ASKED
from tests.sim.corpus import FIXED, FRESH
from tests.sim.run import summary
from tests.sim.simulation import Outcome, simulate

ROOT = Path(__file__).parents[2]
SEEDS = (int(ASKED),) if ASKED else FIXED
FRESH_SEEDS = [random.SystemRandom().randrange(10**6, 10**9) for _ in range(FRESH)]

Say = Callable[[str], None]


@pytest.fixture(scope="module")
def say(request: pytest.FixtureRequest) -> Say:
    """Print past pytest, which keeps what passing tests print to itself."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert isinstance(capture, CaptureManager)

    def say_it(line: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"\n{line}")
            sys.stdout.flush()

    return say_it


@pytest.fixture(scope="module")
def outcomes(say: Say) -> Iterator[list[Outcome]]:
    """What the seeds of this file came to, told at the end."""
    gathered: list[Outcome] = []
    yield gathered
    say(summary(gathered, None))


def red(outcome: Outcome) -> str:
    """Return what to show of a run that went wrong."""
    lines = [str(outcome), *outcome.violations, f"replay: make sim SEED={outcome.seed}"]
    return "\n  ".join(lines)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_done_twice_or_stuck_whatever_befalls(
    seed: int, outcomes: list[Outcome], say: Say
) -> None:
    outcome = simulate(seed, says=say if ASKED else None)

    outcomes.append(outcome)
    assert not outcome.violations, red(outcome)


@pytest.mark.parametrize("number", range(FRESH))
def test_nothing_is_lost_done_twice_or_stuck_with_seeds_never_tried(
    number: int, outcomes: list[Outcome], say: Say
) -> None:
    say(f"fresh seed {FRESH_SEEDS[number]}")

    outcome = simulate(FRESH_SEEDS[number])

    outcomes.append(outcome)
    assert not outcome.violations, red(outcome)


def test_the_same_seed_gives_the_same_history_to_the_last_microsecond() -> None:
    first = simulate(3)

    again = simulate(3)

    assert first == again


def test_a_seed_gives_the_same_history_in_another_process() -> None:
    here = simulate(4)

    # Sets of texts come in another order there.
    told = subprocess.run(
        [sys.executable, "-m", "tests.sim.run", "--seed", "4"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "17"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert str(here) in told.stdout, told.stdout + told.stderr
