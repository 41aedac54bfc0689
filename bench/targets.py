"""What this package set out to reach, against what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass

from kinds import KINDS, RIVALS
from results import Measured, MixResult, Result


@dataclass(frozen=True)
class Target:
    """Of a case: at least so many times faster than without a cache, and than the best rival; at
    most so many times the floor.
    """

    case: str
    uncached: float = 0.0
    rival: float = 0.0
    floor: tuple[str, float] = ("", 0.0)
    """A variant of the case, and how many times its time a hit may take."""
    dearer: float = 0.0
    """Or: at most so many times the time without a cache, and less than each rival's."""


TARGETS = [
    Target("get", 50, 40),
    Target("first", 50, 40),
    Target("rows-100", 18, 6, ("in_c", 1.5)),
    Target("models-1000", 18, 6, ("in_c", 1.5)),
    Target("models-5000", 18, 6, ("in_c", 1.5)),
    Target("values-1000", 80, 25, ("copy", 2.0)),
    Target("dicts-1000", 10, 5, ("in_c", 1.5)),
    Target("count", 50, 40),
    Target("exists", 50, 40),
    Target("aggregate", 50, 40),
    Target("group-by", 50, 6),
    Target("related-1000", 12, 6, ("in_c", 1.5)),
    Target("prefetch-100", 5, 5),
    Target("page", 25, 20),
    Target("save", dearer=1.05),
    Target("update", dearer=1.05),
    Target("create", dearer=1.05),
    Target("miss-1", dearer=1.10),
    Target("miss-100", dearer=1.10),
]
SMALL = ("get", "first")
SMALL_MICROSECONDS, OF_MICROSECONDS = 3.0, 150.0
"""What these hits may take on a machine where the query takes so much."""
ZIPF, ZIPF_UNCACHED, ZIPF_RIVAL = "4-zipf", 8.0, 5.0
WRITTEN, WRITTEN_LEAST = ("4-95", "4-50"), 0.97


@dataclass(frozen=True)
class Judged:
    work: str
    target: str
    measured: str
    met: bool


def judged(found: Measured) -> list[Judged]:
    """A row for each target of what was measured, in the first place."""
    place = found.places[0]
    results = {result.case.name: result for result in place.results}
    mixes = {result.name: result for result in place.mixes}
    rows: list[Judged] = []
    for target in TARGETS:
        if target.case in results:
            rows += of_case(target, results[target.case])
    if found.memory:
        rows += of_memory(found.memory)
    if ZIPF in mixes:
        rows += at_least(mixes[ZIPF], ZIPF_UNCACHED, ZIPF_RIVAL)
    for name in WRITTEN:
        if name in mixes:
            rows += at_least(mixes[name], WRITTEN_LEAST, 1.0)
    return rows


def of_case(target: Target, result: Result) -> Iterator[Judged]:
    work, own, rival = result.case.label, result.own, result.best_rival()
    against = KINDS[rival].label if rival else ""
    if target.dearer:
        times = 1 / result.ratio(own)
        yield Judged(
            work,
            f"at most {target.dearer:.2f} times the time without a cache",
            f"{times:.2f}",
            times <= target.dearer,
        )
        if rival:
            ratio = result.ratio(own, rival)
            share = f"{1 / ratio:.2f} times that of {against}"
            yield Judged(work, "less than every rival's time", share, ratio > 1)
        return
    ratio = result.ratio(own)
    yield faster(work, target.uncached, "uncached", ratio)
    if rival:
        ratio = result.ratio(own, rival)
        yield faster(work, target.rival, f"the best rival's hit ({against})", ratio)
    elif any(name in RIVALS for name in result.case.variants):
        wanted = f"{target.rival:g} times as fast as the best rival's hit"
        yield Judged(work, wanted, "no rival hits", True)
    if target.case in SMALL:
        scaled = OF_MICROSECONDS / result.ratio(own)
        yield Judged(
            work,
            f"at most {SMALL_MICROSECONDS:g} us where uncached takes {OF_MICROSECONDS:g}",
            f"{scaled:.1f}",
            scaled <= SMALL_MICROSECONDS,
        )
    floor, times = target.floor
    if floor:
        ratio = result.ratio(floor, own)
        yield Judged(work, f"at most {times:g} times {floor}", f"{ratio:.2f}", ratio <= times)


def faster(work: str, wanted: float, than: str, ratio: float) -> Judged:
    return Judged(work, f"{wanted:g} times as fast as {than}", f"{ratio:.1f}", ratio >= wanted)


def at_least(result: MixResult, uncached: float, times_rival: float) -> Iterator[Judged]:
    work, ratio, rival = result.mix.label, result.ratio("on"), result.best_rival()
    target = f"{uncached:g} times the operations without a cache"
    yield Judged(work, target, f"{ratio:.2f}", ratio >= uncached)
    if rival:
        ratio = result.ratio("on", rival)
        target = f"{times_rival:g} times the best rival's ({KINDS[rival].label})"
        yield Judged(work, target, f"{ratio:.2f}", ratio >= times_rival)


def of_memory(memory: dict[str, dict[str, float]]) -> Iterator[Judged]:
    """Of each place where this package keeps one, against the least rival's."""
    totals = {kind: sum(places.values()) for kind, places in memory.items() if kind in RIVALS}
    least = min(totals, key=lambda kind: totals[kind])
    for place, size in memory["on"].items():
        yield Judged(
            f"an entry of 100 rows in {place}",
            f"fewer bytes than every rival's ({totals[least]:,.0f}, {KINDS[least].label})",
            f"{size:,.0f}",
            size < totals[least],
        )
