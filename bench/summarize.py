"""Print the tables again: `python bench/summarize.py results.jsonl claim_cost.jsonl`.

Also called by the runners at their end. Pools all rounds in the files. With `--foreign-max 0.3`,
only figures count during which others used at most that share of the machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from systems import PHASES, RAW, SUITES, TENURE
from targets import TARGETS, Target

Record = dict[str, Any]
Rows = dict[tuple[Any, ...], list[Record]]

SIZES = ("pending", "future", "finished")

TITLES = {
    "enqueue_single": "enqueue, awaiting each, tasks/s",
    "enqueue_sync": "enqueue with the sync client, one after the other, tasks/s",
    "enqueue_concurrent": "enqueue, 100 concurrent producers awaiting each, tasks/s",
    "enqueue_bulk": "enqueue in bulk, tasks/s",
    "drain": "drain, one worker process, tasks/s",
    "million": "drain a million, tasks/s",
    "latency": "idle, enqueue to start from another process, p50 in ms",
    "latency_local": "idle, enqueue to start in the same process, p50 in ms",
    "idle": "idle worker, percent of a core",
    "idle_10_queues": "idle worker with ten queues, percent of a core",
}
# The figure that leads a phase's table, and whether more of it is better.
LEADING = {"latency": "p50_ms", "latency_local": "p50_ms"} | dict.fromkeys(
    ("idle", "idle_10_queues"), "worker_percent"
)
ASIDE = {
    "client_cpu_s_per_1k": "CPU s/1k",
    "server_cpu_s_per_1k": "server CPU s/1k",
    "peak_mb": "peak MB",
    "grown_kb_per_1k": "grown KB/1k",
    "p95_ms": "p95",
    "p99_ms": "p99",
    "max_ms": "max",
    "server_percent": "server %",
    "foreign": "foreign",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", default=[Path("results.jsonl")])
    parser.add_argument("--foreign-max", type=float, default=1.0)
    options = parser.parse_args()
    records = [record for file in options.files for record in load(file)]
    print_tables(records, foreign_max=options.foreign_max)


def load(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def print_tables(records: list[Record], *, foreign_max: float = 1.0) -> None:
    """Print machine and versions, a table per suite and phase, the targets, the failures."""
    print_versions(records)
    quiet = [record for record in records if record.get("foreign", 0) <= foreign_max]
    for suite in SUITES:
        for phase in PHASES:
            if rows := group(quiet, suite, phase):
                print_phase(suite, phase, rows)
    print_claims(quiet)
    print_targets(quiet)
    for record in records:
        if record["kind"] == "failure":
            print(f"FAILED {record['suite']} {label(record)} {record['phase']}: {record['error']}")


def group(records: Iterable[Record], suite: str, phase: str) -> Rows:
    """Return the figures of one table by system and variant."""
    rows: Rows = {}
    for record in records:
        place = (record["kind"], record.get("suite"), record.get("phase"))
        if place == ("figure", suite, phase):
            rows.setdefault((record["system"], record["variant"]), []).append(record)
    return rows


def print_versions(records: list[Record]) -> None:
    seen = set()
    for record in records:
        if record["kind"] == "machine":
            text = ", ".join(
                f"{name} {record[name]}"
                for name in ("cpu", "cores", "memory_gb", "kernel", "python", "postgres")
            )
        elif record["kind"] == "system":
            packages = ", ".join(f"{name} {number}" for name, number in record["packages"].items())
            name = record["system"] if record["system"] == RAW else label(record)
            text = f"{record['suite']}: {name}: {packages}; {record['durability']}"
        else:
            continue
        if text not in seen:
            print(f"- {text}")
        seen.add(text)
    print()


def print_phase(suite: str, phase: str, rows: Rows) -> None:
    """Print one table: min, median, max, how Tenure compares, share of the raw limit, costs."""
    leading = LEADING.get(phase, "rate")
    asides = [name for name in ASIDE if any(name in row[0] for row in rows.values())]
    ours = next((row for (system, _), row in rows.items() if system == TENURE), [])
    limit = raw_limit(rows)
    head = ["system", "rounds", "min", "median", "max", "Tenure is faster by"]
    head += ["of the raw limit", *(ASIDE[name] for name in asides)]
    print(f"### {suite}: {TITLES[phase]}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows.values():
        values = pick(row, leading)
        cells = [label(row[0]), str(len(values)), *map(number, spread(values))]
        cells.append(compared(ours, row, leading))
        cells.append(share(row, limit, leading))
        cells += [middle(pick(row, name)) for name in asides]
        print("| " + " | ".join(cells) + " |")
    print()


def print_claims(records: list[Record]) -> None:
    """Print what a claim costs by size of the store, and times the smallest in the same round."""
    claims = by_scene(records)
    if not claims:
        return
    head = ["suite", "batch", *SIZES, "rounds", "min ms", "p50 ms", "of the smallest: min", "p50"]
    print("### what a claim costs\n\n| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for key, row in claims.items():
        times = [middle(claim_ratios(claims, key, field)) for field in ("min_ms", "p50_ms")]
        cells = [key[0], *(f"{size:,}" for size in key[1:]), str(len(row))]
        cells += [number(min(pick(row, "min_ms"))), middle(pick(row, "p50_ms")), *times]
        print("| " + " | ".join(cells) + " |")
    print()


def by_scene(records: list[Record]) -> Rows:
    """Return the claims by suite, batch and sizes, the smallest store first."""
    rows: Rows = {}
    for record in records:
        if record["kind"] == "claim":
            key = tuple(record[name] for name in ("suite", "batch", *SIZES))
            rows.setdefault(key, []).append(record)
    return dict(sorted(rows.items(), key=lambda row: (*row[0][:2], sum(row[0][2:]), row[0])))


def claim_ratios(claims: Rows, key: tuple[Any, ...], field: str) -> list[float]:
    """Return, round by round, a store's figure over that of the smallest one."""
    smallest = next(row for other, row in claims.items() if other[:2] == key[:2])
    return ratios(claims[key], smallest, field)


def claim_times(records: list[Record], suite: str) -> float | None:
    """Return the worst of the medians, over all sizes of store and of claim."""
    claims = by_scene(records)
    worst = [median(claim_ratios(claims, key, "p50_ms")) for key in claims if key[0] == suite]
    return max(worst, default=None)


def print_targets(records: list[Record]) -> None:
    """Hold Tenure's medians against the targets of the suites that were measured."""
    known = {(record["kind"], record.get("suite")) for record in records}
    lines = [
        target_line(target, records)
        for target in TARGETS
        if ("figure", target.suite) in known
        or (target.phase == "claim" and ("claim", target.suite) in known)
    ]
    if lines:
        head = ["suite", "work", "target", "measured", "", "raw limit beside it", "fsync us"]
        print("### targets\n\n| " + " | ".join(head) + " |")
        print("|" + "---|" * len(head))
        print("\n".join(lines) + "\n")


def target_line(target: Target, records: list[Record]) -> str:
    """Return a target's row. The last two cells tell a slow disk from a slow program."""
    rows = group(records, target.suite, target.phase)
    ours = [record for (system, _), row in rows.items() if system == TENURE for record in row]
    measured = target_figure(target, ours, rows, records)
    sign = "at most" if target.at_most else "at least"
    bound = f"{sign} {number(target.bound)} {target.unit}"
    if target.against:
        bound = f"{sign} {number(target.bound)} times {target.against}"
    limit = raw_limit(rows) if target.field == "rate" else None
    cells = [target.suite, target.work, bound, "" if measured is None else number(measured)]
    cells.append(verdict(target, measured, limit))
    cells.append(f"{number(limit)}; ours {share(ours, limit, 'rate')}" if limit and ours else "")
    cells.append(middle(pick(ours, "probe_fsync_us")))
    return "| " + " | ".join(cells) + " |"


def target_figure(
    target: Target, ours: list[Record], rows: Rows, records: list[Record]
) -> float | None:
    """Return what a target is held against: our median, or the median ratio of the rounds."""
    if target.phase == "claim":
        return claim_times(records, target.suite)
    if target.phase == "million":
        # A scaled run says nothing about the memory that a million takes.
        ours = [record for record in ours if record["tasks"] >= 1_000_000]
    if not target.against:
        return median(pick(ours, target.field)) if ours else None
    # The fastest durable variant of the other is the one to beat.
    others = [row for key, row in rows.items() if key[0] == target.against and row[0]["durable"]]
    medians = [ratio for row in others if (ratio := median_ratio(ours, row, target.field))]
    return min(medians, default=None)


def verdict(target: Target, measured: float | None, limit: float | None) -> str:
    if measured is None:
        return "not measured"
    if measured <= target.bound if target.at_most else measured >= target.bound:
        return "met"
    if limit and not target.against and limit < target.bound:
        return "MISSED, and by the raw limit"
    return "MISSED"


def compared(ours: list[Record], row: list[Record], field: str) -> str:
    """Say how many times as fast Tenure is, from the rounds that have both."""
    if not ours or ours is row:
        return ""
    values = ratios(ours, row, field)
    if field != "rate":
        values = [1 / value for value in values if value]
    if not values:
        return ""
    low, middle_value, high = spread(values)
    return f"{number(middle_value)} [{number(low)}-{number(high)}]"


def ratios(ours: list[Record], row: list[Record], field: str) -> list[float]:
    """Return our figure over theirs, round by round."""
    theirs = {(record.get("call"), record["round"]): record.get(field) for record in row}
    pairs = [
        (record.get(field), theirs.get((record.get("call"), record["round"]))) for record in ours
    ]
    return [mine / other for mine, other in pairs if mine is not None and other]


def median_ratio(ours: list[Record], row: list[Record], field: str) -> float | None:
    values = ratios(ours, row, field)
    return median(values) if values else None


def raw_limit(rows: Rows) -> float | None:
    """Return the best median among the raw cases that are durable."""
    durable = [row for (system, _), row in rows.items() if system == RAW and row[0]["durable"]]
    return max((median(pick(row, "rate")) for row in durable), default=None)


def share(row: list[Record], limit: float | None, field: str) -> str:
    values = pick(row, field)
    if not limit or field != "rate" or not values:
        return ""
    return f"{median(values) / limit:.1%}"


def pick(row: list[Record], field: str) -> list[float]:
    return [record[field] for record in row if record.get(field) is not None]


def spread(values: list[float]) -> tuple[float, float, float]:
    return min(values), median(values), max(values)


def middle(values: list[float]) -> str:
    return number(median(values)) if values else ""


def label(record: Record) -> str:
    return f"{record['system']} {record['variant']}".strip()


def number(value: float) -> str:
    """Return a number with about three digits that matter."""
    formats: list[tuple[float, Callable[[float], str]]] = [
        (100, "{:,.0f}".format),
        (1, "{:.1f}".format),
        (0, "{:.3f}".format),
    ]
    form = next((form for least, form in formats if abs(value) >= least), "{:.3f}".format)
    return form(value)


if __name__ == "__main__":
    main()
