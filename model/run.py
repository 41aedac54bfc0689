"""Checks the Promela models of the protocol with Spin, and that each property can fail.

`make model` runs it: every model in full within its bounds, then every variant of it that has a
step taken out or put in another order, for which the property named here has to fail. Exits
non-zero if the protocol itself has an error, if a variant has none, if a search was not complete,
or if a statement of a model is never reached.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
MEMORY_MB = 1400
DEPTH = 20_000
SECONDS = 300


@dataclass(frozen=True)
class Search:
    model: str
    bounds: str = ""
    """Macros, "DEATHS=2 READERS=0"."""
    variant: str = ""
    """The macro that takes a step out; empty: the protocol as it is."""
    only: str = ""
    """The property that has to fail; empty: all have to hold."""

    def macros(self) -> list[str]:
        only = [f"ONLY={self.only}"] if self.only else []
        return [f"-D{macro}" for macro in (*self.bounds.split(), self.variant, *only) if macro]


@dataclass
class Outcome:
    search: Search
    states: int = 0
    seconds: float = 0.0
    got: str = ""
    fault: str = ""
    """Why the run fails; empty: as expected."""
    unreached: set[str] = field(default_factory=set)


def whole(model: str, *bounds: str) -> list[Search]:
    return [Search(model, bound) for bound in bounds or ("",)]


def broken(model: str, bounds: str, variants: dict[str, str]) -> list[Search]:
    return [
        Search(model, bounds, variant, only)
        for variant, properties in variants.items()
        for only in properties.split()
    ]


MARKS_ONLY = "DEATHS=2 READERS=0"
OWNER_ONLY = "OPS=6 READS=0"

SEARCHES = [
    *whole("cells", MARKS_ONLY, "DEATHS=1 READERS=1 READS=2", "DEATHS=0 READERS=2 READS=1"),
    *whole("snapshot"),
    *whole("overlay", "OPS=6 READS=0", "OPS=7 READS=0 UPDATES=0", "OPS=5 UPDATES=0", "OPS=4"),
    *whole("connection"),
    *whole("segment", "FAILS=0 READS=2", "FAILS=1 READS=1", "FAILS=0 READS=2 LOCK_REMOVED"),
    *broken(
        "cells",
        "DEATHS=0",
        {
            "MARK_AFTER_COMMIT": "STALE",
            "MARK_ONE_CELL": "STALE",
            "STAMP_BEFORE_COMMIT": "STALE",
            "STAMP_AFTER_UNMARK": "STALE",
            "CLOCK_NOT_RAISED": "STALE",
            "UNMARK_WITHOUT_STAMP": "STALE",
            "SETTLE_UNKNOWN": "STALE",
            "SETTLE_BY_TIMER": "STALE",
            "CLOCK_AFTER_QUERY": "STALE",
            "HIT_TURNED": "STALE",
            "HIT_FIRST_CELL": "STALE",
            "HIT_WITHOUT_CHECK": "STALE",
        },
    ),
    *broken(
        "cells",
        "DEATHS=1",
        {
            "SLOT_EMPTIED_FIRST": "STALE",
            "NO_REBUILD": "STALE",
            "REBUILD_FROM_ZERO": "STALE",
        },
    ),
    *broken(
        "cells",
        MARKS_ONLY,
        {
            "MARK_AFTER_COMMIT": "LOST LOW",
            "MARK_UNLOCKED": "LOST LOW",
            "MARK_ONE_CELL": "LOST LOW",
            "STAMP_BEFORE_COMMIT": "LOST",
            "STAMP_AFTER_UNMARK": "LOST",
            "CLOCK_NOT_RAISED": "LOST",
            "UNMARK_WITHOUT_STAMP": "LOST",
            "SLOT_EMPTIED_FIRST": "LOST",
            "SETTLE_UNKNOWN": "LOST LOW",
            "SETTLE_BY_TIMER": "LOST LOW",
            "NO_REBUILD": "LOST LOW",
            "REBUILD_FROM_ZERO": "LOST LOW",
        },
    ),
    *broken(
        "snapshot",
        "",
        {
            "SNAPSHOT_RULE_OFF": "SNAPSHOT",
            "EARLY_HIT": "SNAPSHOT",
            "SNAPSHOT_CLOCK_LATE": "SNAPSHOT STALE",
            "FILL_CLOCK_NOW": "STALE",
            "HIT_TURNED": "SNAPSHOT STALE",
        },
    ),
    *broken(
        "overlay",
        OWNER_ONLY,
        {
            "OWN_DIRTY_HIT": "OWN",
            "OWN_DIRTY_FILL": "OWN",
            "OVERLAY_UNCHECKED": "OWN",
            "OVERLAY_KEPT_AT_WRITE": "OWN",
            "OVERLAY_KEPT_AT_SAVEPOINT_ROLLBACK": "OWN",
            "OVERLAY_KEPT_AT_END": "OWN",
            "OVERLAY_KEPT_AT_ERROR": "OWN",
        },
    ),
    *broken(
        "overlay",
        "OPS=4",
        {
            "OWN_DIRTY_FILL": "DIRTY",
            "DIRTY_LOST_AT_SAVEPOINT_ROLLBACK": "DIRTY STALE",
            "DIRTY_LOST_AT_RELEASE": "DIRTY STALE",
            "COMMIT_UNMARKED": "STALE",
        },
    ),
    *broken(
        "connection",
        "",
        {
            "SEQUENCE_IGNORED": "DIRTY",
            "FILL_WHILE_UNFINISHED": "STALE",
            "NOT_DRAINED": "STALE LOST",
        },
    ),
    *broken(
        "segment",
        "FAILS=1 READS=1",
        {
            "NEWCOMER_DOES_NOT_WAIT": "STALE",
            "UNMARKED_WRITE_RUNS": "STALE ACKNOWLEDGED",
            "RETIRED_HIT": "STALE",
            "LINK_UNSEEN": "STALE ACKNOWLEDGED",
        },
    ),
    *broken(
        "segment",
        "FAILS=0 READS=2",
        {"MADE_WITHOUT_LOCK": "STALE", "MARKED_UNLINKED": "STALE"},
    ),
    *broken(
        "segment",
        "FAILS=0 READS=2 LOCK_REMOVED",
        {"REPLACED_UNSTAMPED": "ACKNOWLEDGED"},
    ),
]


def variants() -> set[str]:
    """Every broken protocol there is a model of, as "model:VARIANT"."""
    return {f"{search.model}:{search.variant}" for search in SEARCHES if search.variant}


def run(search: Search) -> Outcome:
    outcome = Outcome(search)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cache-manager-model-") as folder:
        try:
            judge(outcome, explore(search, Path(folder)))
        except (subprocess.SubprocessError, OSError) as error:
            outcome.got = "no answer"
            outcome.fault = getattr(error, "output", None) or str(error)
    outcome.seconds = time.monotonic() - started
    return outcome


def explore(search: Search, folder: Path) -> str:
    """What the verifier prints."""

    def call(*command: str) -> str:
        return subprocess.run(
            command,
            cwd=folder,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
        ).stdout

    call("spin", "-a", *search.macros(), str(FOLDER / f"{search.model}.pml"))
    # Only states are searched, no cycles. A variant stops at a failed assertion alone (-E).
    call("gcc", "-O1", "-w", "-DSAFETY", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c")
    return call("./pan", f"-m{DEPTH}", *(["-E"] if search.variant else []))


def judge(outcome: Outcome, printed: str) -> None:
    search = outcome.search
    states = re.search(r"(\d+) states, stored", printed)
    outcome.states = int(states[1]) if states else 0
    error = re.search(r"^pan:\d+: (.*) \(at depth", printed, re.MULTILINE)
    failed = error is not None and re.match(r"assertion violated (?!- )", error[1]) is not None
    if error is not None:
        outcome.got = f"{search.only or 'a property'} fails" if failed else error[1]
    elif re.search(r"max search depth too small|not completed|MEMLIM", printed) or not states:
        outcome.got = "not completed"
    else:
        outcome.got = "holds"
    if outcome.got != expected(search):
        outcome.fault = error[1] if error else f"expected: {expected(search)}"
    outcome.unreached = set(re.findall(r"\.pml:(\d+), state \d+, ", printed))


def expected(search: Search) -> str:
    return f"{search.only} fails" if search.variant else "holds"


def never_reached(outcomes: list[Outcome]) -> list[str]:
    """Lines of a model that no search of the protocol as it is has come to."""
    lines: dict[str, set[str]] = {}
    for outcome in outcomes:
        model = outcome.search.model
        if not outcome.search.variant and not outcome.fault:
            lines[model] = lines.get(model, outcome.unreached) & outcome.unreached
    return [
        f"{model}.pml:{line} is never reached"
        for model, numbers in lines.items()
        for line in sorted(numbers, key=int)
    ]


ROW = "{:<11} {:<35} {:<27} {:>9} {:>6}  {:<9} {:<14} {}"


def show(outcome: Outcome) -> None:
    search = outcome.search
    row = ROW.format(
        search.model,
        search.variant or "the protocol",
        search.bounds or "-",
        outcome.states,
        f"{outcome.seconds:.1f}",
        search.only or "all",
        expected(search),
        outcome.got,
    )
    print(row + ("   <-- WRONG" if outcome.fault else ""), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="*", help="only these models")
    chosen = parser.parse_args().models
    searches = [search for search in SEARCHES if not chosen or search.model in chosen]
    if not searches:
        parser.error(f"no such model: {' '.join(chosen)}")
    heads = ("model", "variant", "bounds", "states", "s", "property", "expected", "got")
    print(ROW.format(*heads))
    outcomes = []
    with ThreadPoolExecutor(2) as pool:
        for outcome in pool.map(run, searches):
            show(outcome)
            outcomes.append(outcome)
    faults = [f"{o.search.model} {o.search.variant}: {o.fault}" for o in outcomes if o.fault]
    faults += never_reached(outcomes)
    for fault in faults:
        print(fault, file=sys.stderr)
    broken_count = sum(1 for o in outcomes if o.search.variant)
    print(
        f"{len(outcomes) - broken_count} searches of the protocol, {broken_count} of broken ones:",
        f"{len(faults)} faults" if faults else "all as expected",
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
