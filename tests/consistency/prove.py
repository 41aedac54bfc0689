"""Never stale: real processes read and write registers through the cache while everything goes
wrong, and every read is judged.

`python -m tests.consistency.prove --database postgresql --seconds 60 --seed 7 --nemesis
kill,rollback`. Without --database all, without --nemesis all that the database can meet. The
history of a failed run is kept; --replay judges one again.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from tests.consistency import history, judge, supervisor
from tests.consistency.plan import DATABASES, FAMILIES, NEMESES, STORES, Plan, nemeses_for

ALL_RUNS = (
    ("sqlite-wal", "segment", 1.4),
    ("sqlite-delete", "segment", 2.5),
    ("postgresql", "segment", 0.9),
    ("mariadb", "segment", 0.75),
    ("postgresql", "redis", 0.25),
    ("sqlite-wal", "locmem", 0.25),
)
"""Each with its share of --seconds: SQLite's readers wait for its writers."""
HEADINGS = (
    "database",
    "reads",
    "hits",
    "writes",
    "unknown",
    "kills",
    "violations",
    "seconds",
    "seed",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=(*DATABASES, "all"), default="all")
    parser.add_argument("--store", choices=STORES, default="segment", help="where rows are kept")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--turns", type=float, default=5, help="seconds of a nemesis's turn; 0: all at all times"
    )
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--processes", type=int, default=12)
    names = "\n".join(f"{name}: {what}" for name, what in NEMESES.items())
    parser.add_argument("--nemesis", default="all", help=f"all, none, or names by commas. {names}")
    parser.add_argument("--families", default=",".join(FAMILIES), help="which registers, by commas")
    parser.add_argument("--without-cache", action="store_true", help="must find nothing")
    parser.add_argument("--broken", default="", help="a name of broken.py: must find something")
    parser.add_argument("--keep", action="store_true", help="keep the history of any run")
    parser.add_argument("--write", action="store_true", help="write docs/proof.md")
    parser.add_argument("--replay", type=Path, help="the folder of a kept run: judges its history")
    return parser.parse_args()


def chosen(names: str, database: str, store: str) -> tuple[str, ...]:
    possible = nemeses_for(database, store)
    if names == "all":
        return possible
    wanted = () if names == "none" else tuple(names.split(","))
    for name in wanted:
        if name not in NEMESES:
            raise SystemExit(f"no nemesis {name}: {', '.join(NEMESES)}")
        if name not in possible:
            raise SystemExit(f"{database} can't meet {name}")
    return wanted


def row(result: supervisor.Result) -> tuple[str, ...]:
    verdict = result.verdict
    hits = f"{verdict.hits} ({100 * verdict.hits // max(verdict.reads, 1)} %)"
    counts = (
        str(verdict.reads),
        hits,
        str(verdict.writes),
        str(verdict.unknown),
        str(result.kills),
    )
    violations = ", ".join(f"{rule} {n}" for rule, n in verdict.violations.items()) or "0"
    return (
        result.plan.name,
        *counts,
        violations,
        f"{result.seconds:.0f}",
        str(result.plan.seed),
    )


def table(rows: list[tuple[str, ...]]) -> str:
    lines = [HEADINGS, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


PAGE = Path(__file__).resolve().parents[2] / "docs" / "proof.md"

PREAMBLE = """# The proof, as last run

Written by `make prove`. Real processes read and write registers in a real database through the
cache, while everything goes wrong that the second table names: all of it together for a few
seconds, then one of it alone, then the next one alone, and again. Every read is judged afterwards
(tests/consistency/judge.py). A violation is a read that was stale, rolled back, not yet
committed, torn between two instants, or blind to its own writes. See [what is
promised](consistency.md).
"""

LEGEND = """
*unknown*: writes whose outcome their process never learnt. *kills*: processes ended by SIGKILL, at
random moments and at named places.
"""


def total(results: list[supervisor.Result]) -> str:
    verdicts = [result.verdict for result in results]
    reads, hits, violations = (
        sum(verdict.reads for verdict in verdicts),
        sum(verdict.hits for verdict in verdicts),
        sum(verdict.violations.total() for verdict in verdicts),
    )
    kills = sum(result.kills for result in results)
    return f"In all: {reads} reads, {hits} hits, {kills} kills, {violations} violations."


def page(results: list[supervisor.Result]) -> str:
    """docs/proof.md: what `make prove` has found."""
    rows = [row(result) for result in results]
    lines = [
        PREAMBLE,
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
        "",
        total(results),
        LEGEND,
        "| database | what went wrong | the command |",
        "|---|---|---|",
    ]
    for result in results:
        plan = result.plan
        lines.append(f"| {plan.name} | {', '.join(plan.nemeses)} | `{plan.command()}` |")
    return "\n".join(lines) + "\n"


def show(verdict: judge.Verdict) -> None:
    for rule, examples in verdict.examples.items():
        for example in examples:
            print(f"{rule}: {example}")


def replay(folder: Path) -> int:
    verdict = judge.judge(history.read(folder / "history"))
    show(verdict)
    print(f"{verdict.reads} reads, {verdict.hits} hits, violations: {dict(verdict.violations)}")
    return 1 if verdict.violations else 0


def main() -> int:
    given = arguments()
    if given.replay:
        return replay(given.replay)
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    results = []
    one = ((given.database, given.store, 1.0),)
    for database, store, share in ALL_RUNS if given.database == "all" else one:
        plan = Plan(
            database=database,
            store=store,
            turns=given.turns,
            seconds=given.seconds * share,
            seed=seed,
            processes=given.processes,
            nemeses=chosen(given.nemesis, database, store),
            cache=not given.without_cache,
            broken=given.broken,
            families=tuple(given.families.split(",")),
        )
        print(f"-- {plan.command()}", flush=True)
        result = supervisor.run(plan, given.keep)
        results.append(result)
        show(result.verdict)
        missed = [
            k for k, n in sorted(result.verdict.kinds.items()) if not result.verdict.hits_by_kind[k]
        ]
        if plan.cache and missed:
            print(f"kinds without a hit: {', '.join(missed)}")
        if result.killed_at:
            print(
                f"killed at: {', '.join(f'{at} {n}' for at, n in sorted(result.killed_at.items()))}"
            )
        if result.kept:
            print(f"the history is in {result.kept}")
    print(table([row(result) for result in results]))
    print(total(results))
    if given.write:
        PAGE.write_text(page(results))
        print(f"written: {PAGE.relative_to(PAGE.parents[1])}")
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
