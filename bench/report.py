"""What the benchmark prints."""

from typing import Any

from kinds import KINDS
from results import Measured, MixResult, Result


def lines(results: list[Result]) -> list[str]:
    """The table, at most 100 columns wide."""
    if not results:
        return []
    text = [f"{'case':<30}{'variant':<20}{'us':>10}{'ratio':>9}{'limit':>9}  {'verdict':<8}"]
    for result in results:
        for variant in result.case.variants:
            head = result.case.label if variant == result.baseline else ""
            line = f"{head:<30}{variant:<20}{result.microseconds(variant):>10,.1f}"
            if variant != result.baseline:
                line += f"{result.ratio(variant):>9.2f}"
                limit = result.case.limits.get(variant)
                if limit is not None:
                    verdict = "holds" if limit.holds(result.ratio(variant)) else "FAILS"
                    line += f"{limit!s:>9}  {verdict}"
                elif result.case.sort == "read" and result.statements[variant]:
                    line += f"{'':>9}  {result.statements[variant]} statements"
                elif variant in result.stale:
                    line += f"{'':>9}  reads stay stale"
            text.append(line)
    text.append("ratio: how many times faster than the first variant of the case, round by round")
    return text


def mix_lines(results: list[MixResult]) -> list[str]:
    if not results:
        return []
    text = [f"{'mix':<40}{'':<22}{'ops/s':>10}{'ratio':>8}"]
    for result in results:
        for number, kind in enumerate(result.rounds):
            head = "" if number else result.mix.label
            text.append(
                f"{head:<40}{KINDS[kind].label:<22}"
                f"{result.rate(kind):>10,.0f}{result.ratio(kind):>8.2f}"
            )
    return text


def memory_lines(memory: dict[str, dict[str, float]]) -> list[str]:
    text = [f"{'bytes of an entry of 100 rows':<52}{'bytes':>10}"]
    for kind, places in memory.items():
        text += [f"{KINDS[kind].label:<32}{where:<20}{n:>10,.0f}" for where, n in places.items()]
    return text


def as_json(found: Measured) -> dict[str, Any]:
    return {
        "memory": found.memory,
        "places": {
            place.label: {
                "versions": place.versions,
                "cases": {
                    result.case.name: {
                        variant: {
                            "us": round(result.microseconds(variant), 2),
                            "ratio": round(result.ratio(variant), 3),
                        }
                        for variant in result.case.variants
                    }
                    for result in place.results
                },
                "mixes": {
                    result.mix.label: {kind: round(result.rate(kind)) for kind in result.rounds}
                    for result in place.mixes
                },
            }
            for place in found.places
        },
    }
