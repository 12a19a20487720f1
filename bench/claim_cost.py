"""Measure whether a claim stays as cheap when the table is large.

    python bench/claim_cost.py --suite sqlite,postgres --out claim_cost.jsonl

Makes one store for each scene: 10,000 to 1,000,000 tasks that are due, and beside them a million
for later and a million finished ones. Then goes through the scenes in turn, round by round, and
claims from each; a scene is compared with the smallest one in the same round, so that a slow
minute of the machine hits both. The aim is at most 1.3 times; exits with 1 if it is missed.

What is done to a store is in `peers/tenure_scene.py`, which is started in Tenure's environment.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import summarize
import venvs
from postgres import Cluster
from programs import HERE, environment, figures_in
from run import Out, cluster_for, scratch_directory, words
from targets import CLAIM_TIMES_MAX

# How many claims are timed in a round, by the size of a claim.
TURNS = {1: 300, 10: 150, 100: 60}
ROUNDS = 3
SMALLEST = 10_000
STEP_WAIT_S = 900


@dataclass(frozen=True, kw_only=True)
class Scene:
    """How many tasks of each sort the store holds."""

    pending: int
    future: int = 0
    finished: int = 0

    @property
    def name(self) -> str:
        return f"scene_{self.pending}_{self.future}_{self.finished}"


SCENES = (
    Scene(pending=SMALLEST),
    Scene(pending=100_000),
    Scene(pending=1_000_000),
    Scene(pending=SMALLEST, future=1_000_000),
    Scene(pending=SMALLEST, finished=1_000_000),
    Scene(pending=1_000_000, future=1_000_000, finished=1_000_000),
)


def main() -> int:
    """Fill all scenes, claim from all in turns, print the table."""
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scenes = list(dict.fromkeys(scaled(scene, options.scale) for scene in SCENES))
    out = Out(options.out)
    with scratch_directory() as scratch, cluster_for(options.suite, scratch) as cluster:
        stores = [Store(scratch, cluster, suite) for suite in options.suite]
        for store in stores:
            for scene in scenes:
                print(f"filling {store.suite} {scene.name}", file=sys.stderr, flush=True)
                store.fill(scene)
        for number in range(options.reps):
            for store in stores:
                for scene in scenes:
                    for record in store.claim(scene):
                        out.write(kind="claim", round=number, **record)
    print()
    records = summarize.load(options.out)
    summarize.print_claims(records)
    summarize.print_targets(records)
    times = [summarize.claim_times(records, suite) for suite in options.suite]
    return int(any(each > CLAIM_TIMES_MAX for each in times if each is not None))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=words, default=["sqlite", "postgres"])
    parser.add_argument("--reps", type=int, default=ROUNDS, help="rounds")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the large numbers")
    parser.add_argument("--out", type=Path, default=Path("claim_cost.jsonl"))
    return parser.parse_args()


def scaled(scene: Scene, scale: float) -> Scene:
    """Return a smaller scene; the smallest number stays, so that every claim is a full one."""
    sizes = {name: max(SMALLEST, int(size * scale)) for name, size in asdict(scene).items() if size}
    return replace(scene, **sizes)


class Store:
    """The scenes' stores on one database, each in its own file or database."""

    def __init__(self, scratch: Path, cluster: Cluster | None, suite: str) -> None:
        self.suite = suite
        self._scratch = scratch
        self._cluster = cluster if suite == "postgres" else None

    def fill(self, scene: Scene) -> None:
        """Make the scene's store."""
        (self._scratch / scene.name).mkdir(exist_ok=True)
        if self._cluster:
            self._cluster.renew_database(scene.name)
        self._call(scene, "fill", json.dumps(asdict(scene)))

    def claim(self, scene: Scene) -> list[dict[str, Any]]:
        """Claim in each size; return one record for each."""
        records = []
        for batch, turns in TURNS.items():
            figures = figures_in(self._call(scene, "claim", str(batch), str(turns)))
            assert figures is not None, "no figures were reported"
            records.append({"suite": self.suite, "batch": batch, **asdict(scene), **figures})
        return records

    def _call(self, scene: Scene, *arguments: str) -> str:
        python = venvs.environment("tenure") / "bin" / "python"
        answer = subprocess.run(
            [python, HERE / "peers" / "tenure_scene.py", *arguments],
            check=False,
            env=environment("tenure")
            | {
                "BENCH_DATA": str(self._scratch / scene.name),
                "BENCH_VARIANT": self.suite,
                "BENCH_POSTGRES_URL": self._cluster.url(scene.name) if self._cluster else "",
                "BENCH_SERVER_PID": str(self._cluster.pid if self._cluster else 0),
                "BENCH_RUNNER_PID": str(os.getpid()),
            },
            stdout=subprocess.PIPE,
            text=True,
            timeout=STEP_WAIT_S,
        )
        if answer.returncode:
            sentence = f"{self.suite} {scene.name} could not be measured; the reason is above"
            raise SystemExit(sentence)
        return answer.stdout


if __name__ == "__main__":
    sys.exit(main())
