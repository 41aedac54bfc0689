"""What is measured: cases, each with variants that are timed in turn in the same run.

A variant names the kind of process it runs in (kinds.py) and makes one operation. The first is the
baseline; `limits` says how many times faster (at least) or dearer (at most) than it another may be.
To add a case, add it here.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import misses
import reads
import writes
from kinds import RIVALS

Operation = Callable[[], Any]


@dataclass(frozen=True)
class Variant:
    process: str
    """A kind of process."""
    operation: Operation
    floor: bool = False
    """Whether it is what a hit's rows cost at the least."""


@dataclass(frozen=True)
class Limit:
    """Against the baseline: at least so many times faster, or at most so many times its time."""

    faster: float = 0.0
    dearer: float = 0.0

    def holds(self, ratio: float) -> bool:
        """`ratio` is the baseline's time through the variant's."""
        return ratio >= self.faster if self.faster else 1 / ratio <= self.dearer

    def __str__(self) -> str:
        return f">= {self.faster:.2f}" if self.faster else f">= {1 / self.dearer:.2f}"


@dataclass(frozen=True)
class Case:
    name: str
    label: str
    sort: Literal["read", "write", "miss"]
    variants: Mapping[str, Variant]
    limits: Mapping[str, Limit] = field(default_factory=dict)
    loops: int = 20
    """Operations that are timed together."""

    def among(self, kinds: Collection[str], floors: bool) -> "Case":
        """The same with the variants of these kinds of process."""
        kept = {
            name: variant
            for name, variant in self.variants.items()
            if variant.process in kinds and (floors or not variant.floor)
        }
        return replace(self, variants=kept)


def beside(operation: Operation, own: Mapping[str, str]) -> dict[str, Variant]:
    """The operation in processes of ours, by the variant's name, and in each rival's."""
    kinds = {**own, **{name: name for name in RIVALS}}
    return {name: Variant(kind, operation) for name, kind in kinds.items()}


def read(operation: Operation) -> dict[str, Variant]:
    return beside(operation, {"uncached": "absent", "hit": "on"})


def listed(queryset: Operation) -> list[Any]:
    return list(queryset())


def rows(queryset: Operation, **floors: str) -> dict[str, Variant]:
    """A list of a queryset's items, beside what these cost at the least (floors.py)."""

    def floor(name: str) -> Any:
        import floors

        return getattr(floors, name)(queryset)

    return {
        **read(partial(listed, queryset)),
        **{label: Variant("on", partial(floor, name), True) for label, name in floors.items()},
    }


INSTANCES = {"in_c": "in_c", "in_python": "in_python", "from_db": "by_from_db"}
DICTS = {"in_c": "dicts_in_c", "in_python": "dicts_in_python"}


def miss(operation: Operation) -> dict[str, Variant]:
    return beside(operation, {"uncached": "absent", "fill": "on"})


def write(operation: Operation) -> dict[str, Variant]:
    return beside(operation, {name: name for name in ("absent", "off", "on")})


CASES = [
    Case("get", "get(pk)", "read", read(reads.by_pk)),
    Case("get-joined", "get(pk), select_related", "read", read(reads.by_pk_joined)),
    Case("closed", "get(pk), connection closed", "read", read(reads.by_pk_closed)),
    Case("async-10", "10 aget(pk) in a task", "read", read(reads.ten_awaited), loops=5),
    Case("first", "first()", "read", read(reads.largest)),
    Case("exists", "exists()", "read", read(reads.there_are)),
    Case("count", "count() of 692 rows", "read", read(reads.counted), {"hit": Limit(faster=1.0)}),
    Case("aggregate", "aggregate(Sum)", "read", read(reads.summed)),
    Case(
        "rows-100",
        "list of 100 model rows",
        "read",
        rows(reads.german_100, in_c="in_c"),
        {"hit": Limit(faster=1.3)},
        10,
    ),
    Case(
        "models-1000",
        "list of 1,000 model rows",
        "read",
        rows(reads.cities_1000, **INSTANCES),
        loops=5,
    ),
    Case(
        "models-5000",
        "list of 5,000 model rows",
        "read",
        rows(reads.cities_5000, **INSTANCES),
        loops=2,
    ),
    Case(
        "related-1000",
        "select_related of 1,000",
        "read",
        rows(reads.related_1000, in_c="in_c", from_db="by_from_db"),
        loops=5,
    ),
    Case(
        "values-1000",
        "values_list of 1,000",
        "read",
        rows(reads.pairs_1000, copy="copied"),
        {"hit": Limit(faster=3.0)},
        10,
    ),
    Case("dicts-1000", "values of 1,000", "read", rows(reads.dicts_1000, **DICTS), loops=10),
    Case("group-by", "group-by of 252 rows", "read", read(reads.grouped), loops=5),
    Case("prefetch-100", "100 rows, m2m prefetched", "read", read(reads.prefetched), loops=5),
    Case("page", "a page of 20 queries", "read", read(reads.page), loops=5),
    Case("miss-1", "get(pk), never read before", "miss", miss(misses.one)),
    Case("miss-100", "100 rows, never read before", "miss", miss(misses.hundred), loops=10),
    Case("save", "save() of a row", "write", write(writes.saved), {"on": Limit(dearer=1.10)}),
    Case("update", "update() of a row", "write", write(writes.updated)),
    Case("create", "create() of a row", "write", write(writes.created)),
    Case("bulk-create", "bulk_create() of 100", "write", write(writes.created_in_bulk), loops=3),
    Case("atomic", "atomic block of 10 saves", "write", write(writes.saved_together), loops=5),
]
