"""Writes that are measured."""

from collections.abc import Callable
from itertools import count
from typing import Any

from reads import CAPITALS, PARIS

process = {"name": ""}
"""Of the process: names that are made up here differ between processes."""
numbers = count()
kept: dict[str, Any] = {}
"""Objects that are read once and saved many times."""


def leaves_stale(operation: Callable[[], Any]) -> bool:
    """Whether a cached read of what the operation writes is not answered as the database holds it.

    Only of what it writes: other kinds of process write the rest, unseen by this one.
    """
    from geo.models import City, Tag

    def read() -> tuple[int, int]:
        return City.objects.get(pk=PARIS).population, Tag.objects.count()

    read()
    before = held()
    operation()
    return any(
        now != was and seen != now for was, now, seen in zip(before, held(), read(), strict=True)
    )


def held() -> tuple[int, int]:
    """The population of Paris and the number of tags in the database, round any cache."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT population FROM geo_city WHERE id = %s", [PARIS])
        population = cursor.fetchone()[0]
        cursor.execute("SELECT COUNT(*) FROM geo_tag")
        return population, cursor.fetchone()[0]


def saved() -> None:
    """An UPDATE of one row in its transaction, as Model.save() runs it."""
    from geo.models import City

    if "city" not in kept:
        kept["city"] = City.objects.get(pk=PARIS)
    city = kept["city"]
    city.population += 1
    city.save()


def raise_population(pk: int) -> None:
    """An UPDATE of one row in autocommit, which drops what it makes old: cacheops has a method of
    its own for that, and keeps it after update().
    """
    from django.db.models import F

    from geo.models import City

    cities = City.objects.filter(pk=pk)
    update = getattr(cities, "invalidated_update", cities.update)
    update(population=F("population") + 1)


def updated() -> None:
    raise_population(PARIS)


def name() -> str:
    return f"tag {process['name']} {next(numbers)}"


def created() -> None:
    """An INSERT .. RETURNING in autocommit."""
    from geo.models import Tag

    Tag.objects.create(name=name())


def created_in_bulk() -> None:
    from geo.models import Tag

    Tag.objects.bulk_create([Tag(name=name()) for _ in range(100)])


def saved_together() -> None:
    """Ten saves in one atomic block."""
    from django.db import transaction

    from geo.models import City

    if "cities" not in kept:
        kept["cities"] = list(City.objects.filter(pk__in=CAPITALS))
    with transaction.atomic():
        for city in kept["cities"]:
            city.population += 1
            city.save()
