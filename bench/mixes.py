"""Mixes of reads and writes of one table by several processes at once, in operations a second."""

import time
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from reads import manager
from writes import raise_population

CITIES = 1_000
"""The largest ones; how often one is asked for follows Zipf's law."""
PLANNED = 50_000
"""Operations that are drawn before the time runs; a faster process begins again."""
LISTED = 5
"""One read of so many is a list of 20."""


@dataclass(frozen=True)
class Mix:
    label: str
    processes: int
    writes: float = 0.0
    """Their share of the operations."""
    every: float = 0.0
    """Seconds between two writes of the first process, if the others only read."""
    seconds: float = 0.6


MIXES = {
    "2-95": Mix("2 processes, 95 reads to 5 writes", 2, 0.05),
    "2-50": Mix("2 processes, 50 reads to 50 writes", 2, 0.5),
    "4-95": Mix("4 processes, 95 reads to 5 writes", 4, 0.05),
    "4-50": Mix("4 processes, 50 reads to 50 writes", 4, 0.5),
    "4-zipf": Mix("4 processes read, one write a second", 4, every=1.0, seconds=2.0),
}


@cache
def largest() -> list[tuple[int, str]]:
    found = manager().order_by("-population").values_list("pk", "country_id")[:CITIES]
    return [(pk, country) for pk, country in found]


def plan(mix: Mix, draw: Random) -> list[tuple[bool, bool, int, str]]:
    """(is a write, is a list, pk, country) of each operation."""
    weights = [1 / rank for rank in range(1, CITIES + 1)]
    chosen = draw.choices(largest(), weights, k=PLANNED)
    return [
        (draw.random() < mix.writes, draw.randrange(LISTED) == 0, pk, country)
        for pk, country in chosen
    ]


def read(listed: bool, pk: int, country: str) -> Any:
    if listed:
        return list(manager().filter(country=country).order_by("-population")[:20])
    return manager().get(pk=pk)


planned: dict[str, Any] = {}


def prepare(name: str, number: int, turn: int) -> None:
    """Draws what this process will do. All kinds of process do the same in the same round."""
    mix = MIXES[name]
    writes_now_and_then = mix.every > 0 and number == 0
    planned["mix"] = mix
    planned["every"] = mix.every if writes_now_and_then else float("inf")
    planned["operations"] = plan(mix, Random(f"{turn} {number}"))


def run(start: float) -> float:
    """Operations a second of this process from `start`, by the monotonic clock, on."""
    mix, every, operations = planned["mix"], planned["every"], planned["operations"]
    time.sleep(max(0.0, start - time.monotonic()))
    begun = time.monotonic()
    end, next_write = start + mix.seconds, start + every / 2
    done = 0
    while (now := time.monotonic()) < end:
        writes, listed, pk, country = operations[done % PLANNED]
        if now >= next_write:
            next_write += every
            raise_population(pk)
        elif writes:
            raise_population(pk)
        else:
            read(listed, pk, country)
        done += 1
    return done / (now - begun)
