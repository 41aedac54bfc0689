"""Interleaved rounds: each runs all variants once, in another order, so that what the machine does
meanwhile falls on all of them.
"""

import time
from collections.abc import Iterator, Sequence

from cases import Case
from kinds import RIVALS
from mixes import MIXES
from processes import Processes
from results import MixResult, Result

LEAST_MICROSECONDS = 5_000
"""That reads are timed together: while others had their turn, the processor forgot this process."""
LEAD_SECONDS = 0.05
"""For all processes of a mix to hear when it starts."""


def order(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """(round, name). Round 0 fills the caches and doesn't count."""
    for turn in range(rounds + 1):
        shift = turn % len(names)
        for name in (*names[shift:], *names[:shift]):
            yield turn, name


def measure(case: Case, processes: Processes, rounds: int) -> Result:
    found: dict[str, list[float]] = {name: [] for name in case.variants}
    statements: dict[str, int] = {}
    stale: set[str] = set()
    loops = dict.fromkeys(case.variants, case.loops)
    for turn, name in order(list(case.variants), rounds):
        process = processes.one(case.variants[name].process)
        what = {"case": case.name, "variant": name}
        spent = process.ask(do="time", loops=loops[name], **what)
        if turn:
            found[name].append(spent)
            continue
        if case.sort != "write":
            statements[name] = process.ask(do="statements", **what)
        elif process.ask(do="stale", **what):
            stale.add(name)
        if case.sort == "read":
            spent = process.ask(do="time", loops=case.loops, **what)
            loops[name] = max(case.loops, round(LEAST_MICROSECONDS / spent))
    result = Result(case, found, statements, frozenset(stale))
    result.check()
    return result


def measure_mix(name: str, kinds: Sequence[str], processes: Processes, rounds: int) -> MixResult:
    """Rivals whose processes don't see each other's writes are left out."""
    mix = MIXES[name]
    compared = [kind for kind in kinds if kind not in RIVALS or RIVALS[kind].shared]
    found: dict[str, list[float]] = {kind: [] for kind in compared}
    for turn, kind in order(compared, rounds):
        running = processes.several(kind, mix.processes)
        for number, process in enumerate(running):
            process.tell(do="prepare", mix=name, number=number, round=turn)
        for process in running:
            process.answer()
        start = time.monotonic() + LEAD_SECONDS
        for process in running:
            process.tell(do="mix", start=start)
        rate = sum(process.answer() for process in running)
        if turn:
            found[kind].append(rate)
    return MixResult(name, found)
