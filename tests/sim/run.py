"""Hunt: run many seeds, or one with its trace.

python -m tests.sim.run --seeds 1000 --from 5000
python -m tests.sim.run --seed 17 --trace
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.sim.simulation import Outcome, simulate


def main() -> int:
    """Run what the command line asks for; the exit status tells whether all was well."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--seed", type=int, help="run this seed only")
    parser.add_argument("--trace", action="store_true", help="print every line of the trace")
    options = parser.parse_args()
    seeds = [options.seed] if options.seed is not None else _range(options.first, options.seeds)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    for seed in seeds:
        outcome = simulate(seed, says=_say if options.trace else None)
        outcomes.append(outcome)
        if outcome.violations or len(seeds) == 1:
            _say(str(outcome))
            for violation in outcome.violations:
                _say(f"  RED {violation}")
    _say(summary(outcomes, time.monotonic() - began))
    return 1 if any(outcome.violations for outcome in outcomes) else 0


def summary(outcomes: list[Outcome], wall_s: float | None) -> str:
    """Return the sums of many runs as one line."""
    counts = [outcome.counts for outcome in outcomes]
    red = [outcome.seed for outcome in outcomes if outcome.violations]
    return (
        f"{len(outcomes)} seeds{'' if wall_s is None else f' in {wall_s:.1f} s'}: "
        f"{sum(outcome.virtual_us for outcome in outcomes) / 1e6:,.0f} virtual s, "
        f"{sum(outcome.tasks for outcome in outcomes):,} tasks, "
        f"{sum(outcome.fired for outcome in outcomes):,} of schedules, "
        f"{sum(each.handler_runs for each in counts):,} runs of handlers, "
        f"{sum(each.workers for each in counts):,} workers, "
        f"{sum(each.deaths for each in counts):,} deaths, "
        f"{sum(each.freezes for each in counts):,} stalls, "
        f"{sum(each.leases_lost for each in counts):,} leases lost, "
        f"{sum(each.expired for each in counts):,} expired, "
        f"{sum(each.clock_steps for each in counts):,} clock steps, "
        f"{sum(outcome.changes for outcome in outcomes):,} changes checked; "
        f"{len(red)} red {red[:20] if red else ''}"
    )


def _range(first: int, count: int) -> list[int]:
    return list(range(first, first + count))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
