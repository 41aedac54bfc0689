"""Reads that are measured. Each process runs the same call: what differs is what answers it."""

from typing import Any

from asgiref.sync import async_to_sync

PARIS = 2988507
CAPITALS = (PARIS, 2950159, 3169070, 3117735, 756135, 2643743, 1850147, 1816670, 5128581, 524901)
"""And other large cities."""


def manager() -> Any:
    from geo.models import City

    return City.objects


def cities(number: int) -> Any:
    return manager().order_by("-population")[:number]


def german_100() -> Any:
    return manager().filter(country="DE").order_by("-population")[:100]


def cities_1000() -> Any:
    return cities(1000)


def cities_5000() -> Any:
    return cities(5000)


def related_1000() -> Any:
    return manager().select_related("country").order_by("-population")[:1000]


def pairs_1000() -> Any:
    return manager().order_by("-population").values_list("name", "population")[:1000]


def dicts_1000() -> Any:
    return manager().order_by("-population").values("id", "name", "population")[:1000]


def counted() -> int:
    number: int = manager().filter(country="FR").count()
    return number


def by_pk() -> Any:
    return manager().get(pk=PARIS)


def by_pk_closed() -> Any:
    """As the first read of a request, for Django closes connections after each (CONN_MAX_AGE)."""
    from django.db import connection

    connection.close()
    return by_pk()


def ten_awaited() -> Any:
    """In one task, whose synchronous code runs in this thread."""

    async def ten() -> list[Any]:
        return [await manager().aget(pk=pk) for pk in CAPITALS]

    return async_to_sync(ten)()


def by_pk_joined() -> Any:
    return manager().select_related("country").get(pk=PARIS)


def there_are() -> bool:
    found: bool = manager().filter(name="Paris").exists()
    return found


def largest() -> Any:
    return manager().filter(country="JP").order_by("-population").first()


def summed() -> Any:
    from django.db.models import Sum

    return manager().filter(country="DE").aggregate(Sum("population"))


def grouped() -> list[Any]:
    """One row a country: 252."""
    from django.db.models import Count

    return list(manager().values("country").annotate(Count("id")).order_by("country"))


def prefetched() -> list[Any]:
    return list(manager().order_by("-population").prefetch_related("tags")[:100])


def page() -> list[Any]:
    """Ten objects by key, five lists of ten, three counts, two lists of a hundred."""
    cities = manager()
    shown: list[Any] = [cities.get(pk=pk) for pk in CAPITALS]
    for country in ("DE", "FR", "IT", "ES", "PL"):
        shown += cities.filter(country=country).order_by("-population")[:10]
    for country in ("DE", "FR", "IT"):
        shown.append(cities.filter(country=country).count())
    for country in ("US", "CN"):
        shown += cities.filter(country=country).order_by("-population")[:100]
    return shown
