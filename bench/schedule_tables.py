"""Print the tables of schedules again: `python bench/schedule_tables.py schedules.jsonl`.

Also called by `schedules.py` at its end. Pools all rounds in the files. With `--foreign-max 0.3`,
only figures count during which others used at most that share of the machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median

from summarize import Record, Rows, label, load, middle, number, pick, print_versions
from systems import SUITES, TENURE

LATE_P99_MAX_MS = 1_000
NEXT_MAX_US = 50
COLUMNS = {
    "per_second": "due/s",
    "rate": "fired/s",
    "unfired": "not fired",
    "missed": "missed",
    "skipped": "skipped",
    "late_p50_ms": "late ms: p50",
    "late_p99_ms": "p99",
    "late_max_ms": "max",
    "start_p50_ms": "start ms: p50",
    "start_p99_ms": "p99",
    "worker_percent": "CPU %",
    "server_percent": "server CPU %",
    "peak_mb": "peak MB",
    "made_per_s": "made/s",
    "foreign": "foreign",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", default=[Path("schedules.jsonl")])
    parser.add_argument("--foreign-max", type=float, default=1.0)
    options = parser.parse_args()
    records = [record for file in options.files for record in load(file)]
    print_tables(records, foreign_max=options.foreign_max)


def print_tables(records: list[Record], *, foreign_max: float = 1.0) -> None:
    """Print machine and versions, how late schedules were, next instants, targets, failures."""
    print_versions(records)
    quiet = [record for record in records if record.get("foreign", 0) <= foreign_max]
    late, rules = by_system(quiet), by_rule(quiet)
    if late:
        print_lateness(late)
    if rules:
        print_next(rules)
    print_targets(late, rules)
    for record in records:
        if record["kind"] == "failure":
            print(f"FAILED {record['suite']} {label(record)} {record['phase']}: {record['error']}")


def by_system(records: list[Record]) -> Rows:
    """Return the figures of lateness by system, variant and number of schedules."""
    rows: Rows = {}
    for record in records:
        if record["kind"] == "lateness":
            key = (record["system"], record["variant"], record["schedules"])
            rows.setdefault(key, []).append(record)
    return rows


def by_rule(records: list[Record]) -> dict[tuple[str, str, str], Rows]:
    """Return the figures of next instants by rule, text and zone, and then by library."""
    rules: dict[tuple[str, str, str], Rows] = {}
    for record in records:
        if record["kind"] == "next":
            rows = rules.setdefault((record["rule"], record["text"], record["zone"]), {})
            rows.setdefault((record["library"],), []).append(record)
    return rules


def print_lateness(rows: Rows) -> None:
    names = [
        name
        for name in COLUMNS
        if any(record.get(name) is not None for row in rows.values() for record in row)
    ]
    _print_head(
        "schedules, one process that fires them",
        ["system", "schedules", "rounds", *(COLUMNS[name] for name in names)],
    )
    for (*_, count), row in rows.items():
        cells = [label(row[0]), f"{count:,}", str(len(row))]
        cells += [whole(pick(row, name)) for name in names]
        print("| " + " | ".join(cells) + " |")
    print()


def whole(values: list[float]) -> str:
    """Return the median; nothing is a plain nought."""
    return "0" if values and median(values) == 0 else middle(values)


def print_next(rules: dict[tuple[str, str, str], Rows]) -> None:
    """Print a table for each kind of rule: microseconds, and how often others agree with us."""
    for kind in dict.fromkeys(rule for rule, *_ in rules):
        chosen = {key: rows for key, rows in rules.items() if key[0] == kind}
        libraries = list(dict.fromkeys(name for rows in chosen.values() for (name,) in rows))
        head = ["rule", "zone"]
        head += [f"{name} {what}" for name in libraries for what in ("us", "cold")]
        head += [f"{name} agrees" for name in libraries if name != TENURE]
        _print_head(f"next instant, {kind} from 1990, asked about 2026, median in us", head)
        for (_, text, zone), rows in chosen.items():
            known = [rows.get((name,), []) for name in libraries]
            cells = [f"`{text}`", zone]
            cells += [middle(pick(row, field)) for row in known for field in ("warm_us", "cold_us")]
            cells += [f"{min(pick(row, 'agrees'), default=0):.1%}" for row in known[1:]]
            print("| " + " | ".join(cells) + " |")
        print()


def print_targets(late: Rows, rules: dict[tuple[str, str, str], Rows]) -> None:
    """Hold Tenure's figures against what it sets out to reach; of rules, the worst one counts."""
    lines = []
    for suite in SUITES:
        for variant in (suite, f"{suite}, scheduler only"):
            ours = [row for key, row in late.items() if key[:2] == (TENURE, variant)]
            work = f"{variant}: lateness, p99"
            values = [median(pick(row, "late_p99_ms")) for row in ours]
            lines += [_line(work, LATE_P99_MAX_MS, "ms", value) for value in values]
            gone = [max(pick(row, "unfired")) for row in ours]
            lines += [_line(f"{variant}: not fired", 0, "", value) for value in gone]
    for kind in dict.fromkeys(rule for rule, *_ in rules):
        worst = max(
            median(pick(rows[TENURE,], "warm_us")) for key, rows in rules.items() if key[0] == kind
        )
        lines.append(_line(f"next instant, the slowest {kind}", NEXT_MAX_US, "us", worst))
    if lines:
        _print_head("targets", ["work", "target", "measured", ""])
        print("\n".join(lines) + "\n")


def _line(work: str, bound: float, unit: str, measured: float) -> str:
    form: Callable[[float], str] = number if bound else "{:.0f}".format
    verdict = "met" if measured <= bound else "MISSED"
    return f"| {work} | at most {bound:,} {unit} | {form(measured)} | {verdict} |"


def _print_head(title: str, names: list[str]) -> None:
    print(f"### {title}\n\n| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))


if __name__ == "__main__":
    main()
