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
from tests.consistency.plan import DATABASES, FAMILIES, NEMESES, Plan, nemeses_for

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
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--processes", type=int, default=8)
    names = "\n".join(f"{name}: {what}" for name, what in NEMESES.items())
    parser.add_argument("--nemesis", default="all", help=f"all, none, or names by commas. {names}")
    parser.add_argument("--families", default=",".join(FAMILIES), help="which registers, by commas")
    parser.add_argument("--without-cache", action="store_true", help="must find nothing")
    parser.add_argument("--broken", default="", help="a name of broken.py: must find something")
    parser.add_argument("--keep", action="store_true", help="keep the history of any run")
    parser.add_argument("--write", action="store_true", help="write docs/proof.md")
    parser.add_argument("--replay", type=Path, help="the folder of a kept run: judges its history")
    return parser.parse_args()


def chosen(names: str, database: str) -> tuple[str, ...]:
    possible = nemeses_for(database)
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
        result.plan.database,
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
cache, while everything goes wrong that the second table names; every read is judged afterwards
(tests/consistency/judge.py). A violation is a read that was stale, rolled back, not yet
committed, torn between two instants, or blind to its own writes. See [what is
promised](consistency.md).
"""

LEGEND = """
*unknown*: writes whose outcome their process never learnt. *kills*: processes ended by SIGKILL, at
random moments and at named places.
"""


def page(results: list[supervisor.Result]) -> str:
    """docs/proof.md: what `make prove` has found."""
    rows = [row(result) for result in results]
    lines = [
        PREAMBLE,
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
        LEGEND,
        "| database | what went wrong | the command |",
        "|---|---|---|",
    ]
    for result in results:
        plan = result.plan
        lines.append(f"| {plan.database} | {', '.join(plan.nemeses)} | `{plan.command()}` |")
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
    for database in DATABASES if given.database == "all" else (given.database,):
        plan = Plan(
            database=database,
            seconds=given.seconds,
            seed=seed,
            processes=given.processes,
            nemeses=chosen(given.nemesis, database),
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
    if given.write:
        PAGE.write_text(page(results))
        print(f"written: {PAGE.relative_to(PAGE.parents[1])}")
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
