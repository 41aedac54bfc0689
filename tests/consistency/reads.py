"""Every kind of read. Each returns what it shows: [register, least, greatest, token] for each
register it looked at.

A kind is a function of a database alias, a number k and what the process knows of the register; the
same function inside `uncached()` is the truth to compare with. Only kinds of one statement may show
a register twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import Count, Exists, F, Max, OuterRef, Prefetch, Q, Subquery, Sum

from tests.consistency.history import GREATEST
from tests.consistency.registers.models import Box, Counter, Filler, Mark, Owned, Part, Stone, Twin

Shown = list[Any]
Read = Callable[[str, int, int], list[Shown]]


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    family: str
    """The registers it is about: "counter" for "counter:1" and so on."""
    read: Read


KINDS: list[Kind] = []


def kind(family: str) -> Callable[[Read], Read]:
    def register(read: Read) -> Read:
        KINDS.append(Kind(read.__name__, family, read))
        return read

    return register


def shown(register: str, version: int | None, token: str | None = None) -> Shown:
    """One version; None where the row is missing, which no write leaves."""
    return [register, -1, -1, None] if version is None else [register, version, version, token]


def of(family: str, k: int, row: Any) -> Shown:
    if row is None:
        return shown(f"{family}:{k}", None)
    if isinstance(row, tuple):
        return shown(f"{family}:{k}", *row)
    return shown(f"{family}:{k}", row.version, row.token)


# --- counters -------------------------------------------------------------------------------------


@kind("counter")
def get(db: str, k: int, known: int) -> list[Shown]:
    return [of("counter", k, Counter.objects.using(db).get(pk=k))]


@kind("counter")
def filter_first(db: str, k: int, known: int) -> list[Shown]:
    return [of("counter", k, Counter.objects.using(db).filter(pk=k).first())]


@kind("counter")
def list_all(db: str, k: int, known: int) -> list[Shown]:
    return [of("counter", row.pk, row) for row in Counter.objects.using(db).order_by("pk")]


@kind("counter")
def values(db: str, k: int, known: int) -> list[Shown]:
    row = Counter.objects.using(db).values("version", "token").get(pk=k)
    return [shown(f"counter:{k}", row["version"], row["token"])]


@kind("counter")
def values_list(db: str, k: int, known: int) -> list[Shown]:
    rows = Counter.objects.using(db).filter(pk=k).values_list("version", "token")
    return [of("counter", k, row) for row in rows]


@kind("counter")
def in_bulk(db: str, k: int, known: int) -> list[Shown]:
    return [of("counter", pk, row) for pk, row in Counter.objects.using(db).in_bulk([k]).items()]


@kind("counter")
def exists(db: str, k: int, known: int) -> list[Shown]:
    found = Counter.objects.using(db).filter(pk=k, version__gt=known).exists()
    return [
        [f"counter:{k}", known + 1, GREATEST, None] if found else [f"counter:{k}", 0, known, None]
    ]


@kind("counter")
def aggregate(db: str, k: int, known: int) -> list[Shown]:
    found = Counter.objects.using(db).filter(pk=k).aggregate(version=Max("version"))
    return [shown(f"counter:{k}", found["version"])]


@kind("counter")
def iterator(db: str, k: int, known: int) -> list[Shown]:
    rows = Counter.objects.using(db).order_by("pk").iterator(chunk_size=1)
    return [of("counter", row.pk, row) for row in rows]


@kind("counter")
def nested_subquery(db: str, k: int, known: int) -> list[Shown]:
    inner = Counter.objects.using(db).filter(version__gte=0, pk=k).values("pk")
    rows = Counter.objects.using(db).filter(
        pk__in=Counter.objects.filter(pk__in=inner).values("pk")
    )
    return [of("counter", k, row) for row in rows]


@kind("counter")
def async_get(db: str, k: int, known: int) -> list[Shown]:
    return [of("counter", k, async_to_sync(Counter.objects.using(db).aget)(pk=k))]


@kind("counter")
def async_list(db: str, k: int, known: int) -> list[Shown]:
    async def rows() -> list[Counter]:
        return [row async for row in Counter.objects.using(db).order_by("pk")]

    return [of("counter", row.pk, row) for row in async_to_sync(rows)()]


@kind("counter")
def refresh_from_db(db: str, k: int, known: int) -> list[Shown]:
    row = Counter(pk=k)
    row.refresh_from_db(using=db)
    return [of("counter", k, row)]


@kind("counter")
def sliced_and_excluded(db: str, k: int, known: int) -> list[Shown]:
    rows = Counter.objects.using(db).filter(Q(pk=k) | Q(pk=-k)).exclude(version=-1)[:2]
    return [of("counter", k, row) for row in rows]


@kind("counter")
def union(db: str, k: int, known: int) -> list[Shown]:
    rows = Counter.objects.using(db).values_list("version", "token")
    return [of("counter", k, row) for row in rows.filter(pk=k).union(rows.filter(pk=-k))]


# --- twins ----------------------------------------------------------------------------------------


@kind("twin")
def twins(db: str, k: int, known: int) -> list[Shown]:
    rows = Twin.objects.using(db).filter(pk__in=[2 * k, 2 * k + 1])
    return [of("twin", k, row) for row in rows]


@kind("twin")
def twins_by_subquery(db: str, k: int, known: int) -> list[Shown]:
    other = Twin.objects.filter(pk=OuterRef("pk") + 1)
    rows = (
        Twin.objects.using(db)
        .filter(pk=2 * k)
        .annotate(v=Subquery(other.values("version")), t=Subquery(other.values("token")))
    )
    return [one for row in rows for one in (of("twin", k, row), of("twin", k, (row.v, row.t)))]


@kind("twin")
def twins_grouped(db: str, k: int, known: int) -> list[Shown]:
    rows = Twin.objects.using(db).filter(pk__in=[2 * k, 2 * k + 1]).values("token")
    found = rows.annotate(version=Max("version"), rows=Count("pk")).values_list("version", "token")
    return [of("twin", k, row) for row in found]


# --- owned rows and their parts -------------------------------------------------------------------


@kind("owned")
def get_owned(db: str, k: int, known: int) -> list[Shown]:
    return [of("owned", k, Owned.objects.using(db).filter(pk=k).first())]


@kind("owned")
def only(db: str, k: int, known: int) -> list[Shown]:
    return [of("owned", k, Owned.objects.using(db).only("version", "token").filter(pk=k).last())]


@kind("owned")
def owned_values(db: str, k: int, known: int) -> list[Shown]:
    rows = Owned.objects.using(db).order_by("pk").values_list("pk", "version", "token")
    return [of("owned", pk, (version, token)) for pk, version, token in rows]


@kind("part")
def select_related(db: str, k: int, known: int) -> list[Shown]:
    part = Part.objects.using(db).select_related("owned").filter(pk=k).first()
    if part is None:
        return [of("part", k, None)]
    return [of("part", k, part), of("owned", k, part.owned)]


@kind("part")
def join_values(db: str, k: int, known: int) -> list[Shown]:
    rows = Part.objects.using(db).filter(owned__pk=k, owned__version__gte=0)
    names = ("version", "token", "owned__version", "owned__token")
    return [
        one
        for row in rows.values_list(*names)
        for one in (of("part", k, row[:2]), of("owned", k, row[2:]))
    ]


@kind("part")
def reverse_foreign_key(db: str, k: int, known: int) -> list[Shown]:
    owned = Owned(pk=k)
    owned._state.db = db
    rows = owned.parts.all()
    return [of("part", k, row) for row in rows] or [of("part", k, None)]


@kind("part")
def prefetch_related(db: str, k: int, known: int) -> list[Shown]:
    for owned in Owned.objects.using(db).filter(pk=k).prefetch_related("parts"):
        return [of("owned", k, owned), *[of("part", k, part) for part in owned.parts.all()]]
    return [of("owned", k, None)]


@kind("part")
def annotated_subquery(db: str, k: int, known: int) -> list[Shown]:
    parts = Part.objects.filter(owned=OuterRef("pk"))
    owned = (
        Owned.objects.using(db)
        .annotate(v=Subquery(parts.values("version")[:1]), t=Subquery(parts.values("token")[:1]))
        .get(pk=k)
    )
    return [of("owned", k, owned), of("part", k, None if owned.v is None else (owned.v, owned.t))]


@kind("part")
def joined_aggregate(db: str, k: int, known: int) -> list[Shown]:
    found = Owned.objects.using(db).filter(pk=k).aggregate(version=Sum("parts__version"))
    return [shown(f"part:{k}", found["version"])]


@kind("part")
def exists_subquery(db: str, k: int, known: int) -> list[Shown]:
    later = Part.objects.filter(owned=OuterRef("pk"), version__gt=known)
    found = Owned.objects.using(db).filter(Exists(later), pk=k).count()
    return [[f"part:{k}", known + 1, GREATEST, None] if found else [f"part:{k}", 0, known, None]]


# --- piles ----------------------------------------------------------------------------------------


@kind("pile")
def count(db: str, k: int, known: int) -> list[Shown]:
    return [shown(f"pile:{k}", Stone.objects.using(db).filter(pile=k).count() - 1)]


@kind("pile")
def top_stone(db: str, k: int, known: int) -> list[Shown]:
    row = Stone.objects.using(db).filter(pile=k).order_by("-number").first()
    return [shown(f"pile:{k}", row.number, row.token)]


@kind("pile")
def pile_exists(db: str, k: int, known: int) -> list[Shown]:
    found = Stone.objects.using(db).filter(pile=k, number=known + 1).exists()
    return [[f"pile:{k}", known + 1, GREATEST, None] if found else [f"pile:{k}", 0, known, None]]


@kind("pile")
def pile_aggregate(db: str, k: int, known: int) -> list[Shown]:
    found = Stone.objects.using(db).filter(pile=k).aggregate(Count("pk"), Max("number"))
    register = f"pile:{k}"
    return [shown(register, found["pk__count"] - 1), shown(register, found["number__max"])]


@kind("pile")
def piles_grouped(db: str, k: int, known: int) -> list[Shown]:
    rows = Stone.objects.using(db).values("pile").annotate(n=Count("pk")).order_by("pile")
    return [shown(f"pile:{row['pile']}", row["n"] - 1) for row in rows]


# --- boxes ----------------------------------------------------------------------------------------


def _marks(k: int, rows: list[Any]) -> list[Shown]:
    return [of("box", k, row) for row in rows] or [of("box", k, None)]


@kind("box")
def many_to_many(db: str, k: int, known: int) -> list[Shown]:
    box = Box(pk=k)
    box._state.db = db
    return _marks(k, list(box.marks.using(db).all()))


@kind("box")
def filter_many_to_many(db: str, k: int, known: int) -> list[Shown]:
    return _marks(k, list(Mark.objects.using(db).filter(boxes=k)))


@kind("box")
def many_to_many_values(db: str, k: int, known: int) -> list[Shown]:
    rows = Box.objects.using(db).filter(pk=k).values_list("marks__version", "marks__token")
    return _marks(k, list(rows))


@kind("box")
def prefetch_many_to_many(db: str, k: int, known: int) -> list[Shown]:
    marks = Prefetch("marks", Mark.objects.using(db).order_by("pk"))
    box = Box.objects.using(db).prefetch_related(marks).get(pk=k)
    return _marks(k, list(box.marks.all()))


@kind("box")
def ordered_through_many_to_many(db: str, k: int, known: int) -> list[Shown]:
    boxes = Box.objects.using(db).annotate(v=F("marks__version")).filter(pk=k).order_by("v")
    return [shown(f"box:{k}", box.v) for box in boxes]


def filler(db: str, first: int) -> None:
    """Rows read only to evict others."""
    len(Filler.objects.using(db).filter(pk__gte=first, pk__lt=first + 5))


BY_FAMILY: dict[str, list[Kind]] = {}
for one in KINDS:
    BY_FAMILY.setdefault(one.family, []).append(one)

TRUTH: dict[str, Read] = {
    "counter": get,
    "twin": twins,
    "owned": get_owned,
    "part": select_related,
    "pile": top_stone,
    "box": filter_many_to_many,
}
"""A read that shows version and token, to be run inside `uncached()`."""
