#!/usr/bin/env python3
"""`make bench`: this package against no cache and against others, in interleaved rounds.

python bench/run.py [--short] [--check] [--case NAME ...] [--mix NAME ...] [--write] [--json FILE]
Without --case and --mix everything is measured: the cases, on SQLite also by the others, then on
PostgreSQL and on the newest Django; mixes by several processes; memory. --short is this package
alone on SQLite. --check ends with status 1 where a limit of cases.py does not hold.
"""

import argparse
import json
import signal
import sys
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import page
import places
from cases import CASES
from kinds import KINDS, OWN, RIVALS
from mixes import MIXES
from processes import Processes
from report import as_json, lines, memory_lines, mix_lines
from results import Measured, MeasuredPlace
from rounds import measure, measure_mix

ROUNDS, BESIDE_ROUNDS, SHORT_ROUNDS, MIX_ROUNDS = 21, 9, 15, 7
OWN_BESIDE = ("absent", "on")
"""What is compared on PostgreSQL and on the newest Django."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures hits, misses and writes.")
    parser.add_argument("--short", action="store_true", help="without others, on SQLite only")
    parser.add_argument("--check", action="store_true", help="status 1 where a limit doesn't hold")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--mix", action="append", choices=list(MIXES))
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--json", type=Path, help="writes the figures there")
    options = parser.parse_args()
    if options.write and (options.short or options.case or options.mix):
        parser.error("--write is for everything")
    return options


class Run:
    """Measures what the options choose."""

    def __init__(self, options: argparse.Namespace) -> None:
        everything = not options.case and not options.mix
        self.short = options.short
        self.cases = [case for case in CASES if everything or case.name in (options.case or ())]
        self.mixes = list(MIXES) if everything and not self.short else options.mix or []
        self.memory = everything and not self.short

    def measure(self) -> Measured:
        found = Measured()
        if self.short:
            with places.sqlite("SQLite") as place:
                found.places.append(self.at(place, OWN, SHORT_ROUNDS, ()))
            return found
        missing = [kind.app for kind in RIVALS.values() if find_spec(kind.app) is None]
        if missing:
            raise SystemExit(f"not installed, `make bench` does it: {', '.join(missing)}")
        with places.rivals_servers() as servers, places.sqlite("SQLite", **servers) as place:
            if self.memory:
                found.memory = measure_memory(place)
            found.places.append(self.at(place, KINDS, ROUNDS, self.mixes))
        with places.postgresql("PostgreSQL") as place:
            found.places.append(self.beside(place, self.mixes))
        newest = places.newest_python()
        if newest is None:
            print("no newer Python at hand: the newest Django is left out")
        else:
            with places.sqlite("newest Django", newest) as place:
                found.places.append(self.beside(place, ()))
        return found

    def beside(self, place: places.Place, mixes: Sequence[str]) -> MeasuredPlace:
        return self.at(place, OWN_BESIDE, BESIDE_ROUNDS, mixes, floors=False)

    def at(
        self,
        place: places.Place,
        kinds: Collection[str],
        rounds: int,
        mixes: Sequence[str],
        floors: bool = True,
    ) -> MeasuredPlace:
        versions = place.versions()
        print(f"{place.label}: {versions}", flush=True)
        found = MeasuredPlace(place.label, versions, rounds)
        with Processes(place) as processes:
            for case in self.cases:
                found.results.append(measure(case.among(kinds, floors), processes, rounds))
                print(f"  {case.label}: {rounds} rounds", flush=True)
            for name in mixes:
                compared = [*OWN_BESIDE, *(kind for kind in kinds if kind in RIVALS)]
                found.mixes.append(measure_mix(name, compared, processes, MIX_ROUNDS))
                print(f"  {MIXES[name].label}: {MIX_ROUNDS} rounds", flush=True)
        return found


def measure_memory(place: places.Place) -> dict[str, dict[str, float]]:
    """Bytes of an entry, by kind and by where they are, in processes that hold nothing else."""
    with Processes(place) as processes:
        return {kind: processes.one(kind).ask(do="memory") for kind in ("on", *RIVALS)}


def main() -> int:
    options: Any = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    found = Run(options).measure()
    for place in found.places:
        print(f"\n{place.label}: {place.versions}")
        print("\n".join([*lines(place.results), *mix_lines(place.mixes)]))
    if found.memory:
        print("\n".join(["", *memory_lines(found.memory)]))
    if options.write:
        page.write(found)
    if options.json:
        options.json.write_text(json.dumps(as_json(found), indent=2) + "\n")
    failures = [failure for result in found.places[0].results for failure in result.failures()]
    for failure in failures:
        print(f"over the limit: {failure}")
    return 1 if failures and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
