"""What is measured: cases, each with variants that are timed in turn in the same run.

A variant names the kind of process it runs in (settings.py) and makes one operation. The first is
the baseline; `limits` says how many times faster (at least) or dearer (at most) than it another
may be. To add a case, add it here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

PARIS = 2988507
CAPITALS = (PARIS, 2950159, 3169070, 3117735, 756135, 2643743, 1850147, 1816670, 5128581, 524901)
"""And other large cities."""


@dataclass(frozen=True)
class Variant:
    process: str
    """A kind of process: "on", "off" (ENABLED is False) or "absent" (the app is not installed)."""
    operation: Callable[[], Any]


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
    variants: Mapping[str, Variant]
    limits: Mapping[str, Limit] = field(default_factory=dict)
    loops: int = 20
    """Operations that are timed together."""


def manager(cached: bool) -> Any:
    from geo.models import City

    return City.objects.all() if cached else City.objects.nocache()


def rows_100(cached: bool) -> list[Any]:
    return list(manager(cached).filter(country="DE").order_by("-population")[:100])


def values_1000(cached: bool) -> list[Any]:
    return list(manager(cached).order_by("-population").values_list("name", "population")[:1000])


def cities(cached: bool, number: int) -> Any:
    return manager(cached).order_by("-population")[:number]


def cities_1000(cached: bool) -> Any:
    return cities(cached, 1000)


def cities_5000(cached: bool) -> Any:
    return cities(cached, 5000)


def related_1000(cached: bool) -> Any:
    return cities(cached, 1000).select_related("country")


def pairs_1000(cached: bool) -> Any:
    return manager(cached).order_by("-population").values_list("name", "population")[:1000]


def dicts_1000(cached: bool) -> Any:
    return manager(cached).order_by("-population").values("id", "name", "population")[:1000]


def listed(queryset: Callable[[bool], Any], cached: bool) -> list[Any]:
    return list(queryset(cached))


def counted(cached: bool) -> int:
    number: int = manager(cached).filter(country="FR").count()
    return number


def by_pk(cached: bool) -> Any:
    return manager(cached).get(pk=PARIS)


def by_pk_joined(cached: bool) -> Any:
    return manager(cached).select_related("country").get(pk=PARIS)


def there_are(cached: bool) -> bool:
    found: bool = manager(cached).filter(name="Paris").exists()
    return found


def largest(cached: bool) -> Any:
    return manager(cached).filter(country="JP").order_by("-population").first()


def summed(cached: bool) -> Any:
    from django.db.models import Sum

    return manager(cached).filter(country="DE").aggregate(Sum("population"))


def grouped(cached: bool) -> list[Any]:
    """One row a country: 252."""
    from django.db.models import Count

    return list(manager(cached).values("country").annotate(Count("id")).order_by("country"))


def prefetched(cached: bool) -> list[Any]:
    from django_cache_manager import api

    queryset = manager(True).order_by("-population").prefetch_related("tags")[:100]
    if cached:
        return list(queryset)
    with api.uncached():
        return list(queryset)


def page(cached: bool) -> list[Any]:
    """Ten objects by key, five lists of ten, three counts, two lists of a hundred."""
    cities = manager(cached)
    shown: list[Any] = [cities.get(pk=pk) for pk in CAPITALS]
    for country in ("DE", "FR", "IT", "ES", "PL"):
        shown += cities.filter(country=country).order_by("-population")[:10]
    for country in ("DE", "FR", "IT"):
        shown.append(cities.filter(country=country).count())
    for country in ("US", "CN"):
        shown += cities.filter(country=country).order_by("-population")[:100]
    return shown


def saved() -> None:
    """An UPDATE of one row in its transaction, as Model.save() runs it."""
    from geo.models import City

    if "city" not in state:
        state["city"] = City.objects.get(pk=PARIS)
    city = state["city"]
    city.population += 1
    city.save()


def created() -> None:
    """An INSERT .. RETURNING in autocommit."""
    from geo.models import Tag

    Tag.objects.create(name=f"tag {state['process']} {next(numbers)}")


state: dict[str, Any] = {"process": ""}
numbers = count()


def read(operation: Callable[[bool], Any]) -> dict[str, Variant]:
    return {
        "uncached": Variant("on", partial(operation, False)),
        "hit": Variant("on", partial(operation, True)),
    }


def rows(queryset: Callable[[bool], Any], **floors: str) -> dict[str, Variant]:
    """A list of a queryset's items, beside what these cost at the least (floors.py)."""

    def floor(name: str) -> Any:
        import floors

        return getattr(floors, name)(queryset)

    return {
        **read(partial(listed, queryset)),
        **{label: Variant("on", partial(floor, name)) for label, name in floors.items()},
    }


INSTANCES = {"in_c": "in_c", "in_python": "in_python", "from_db": "by_from_db"}
DICTS = {"in_c": "dicts_in_c", "in_python": "dicts_in_python"}


def write(operation: Callable[[], Any]) -> dict[str, Variant]:
    return {name: Variant(name, operation) for name in ("absent", "off", "on")}


CASES = [
    Case("rows-100", "list of 100 model rows", read(rows_100), {"hit": Limit(faster=1.3)}, 10),
    Case("values-1000", "values_list of 1,000", read(values_1000), {"hit": Limit(faster=3.0)}, 10),
    Case("models-1000", "list of 1,000 model rows", rows(cities_1000, **INSTANCES), loops=5),
    Case("models-5000", "list of 5,000 model rows", rows(cities_5000, **INSTANCES), loops=2),
    Case(
        "related-1000",
        "select_related of 1,000",
        rows(related_1000, in_c="in_c", from_db="by_from_db"),
        loops=5,
    ),
    Case("pairs-1000", "the same, and its floor", rows(pairs_1000, copy="copied"), loops=10),
    Case("dicts-1000", "values of 1,000", rows(dicts_1000, **DICTS), loops=10),
    Case("count", "count() of 692 rows", read(counted), {"hit": Limit(faster=1.0)}),
    Case("get", "get(pk)", read(by_pk)),
    Case("get-joined", "get(pk), select_related", read(by_pk_joined)),
    Case("exists", "exists()", read(there_are)),
    Case("first", "first()", read(largest)),
    Case("aggregate", "aggregate(Sum)", read(summed)),
    Case("group-by", "group-by of 252 rows", read(grouped), loops=10),
    Case("prefetch-100", "100 rows, m2m prefetched", read(prefetched), loops=5),
    Case("page", "a page of 20 queries", read(page), loops=5),
    Case("save", "save() of a row", write(saved), {"on": Limit(dearer=1.10)}),
    Case("create", "create() of a row", write(created)),
]
