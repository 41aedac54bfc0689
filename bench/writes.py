"""Writes that are measured."""

from itertools import count
from typing import Any

from reads import CAPITALS, PARIS

process = {"name": ""}
"""Of the process: names that are made up here differ between processes."""
numbers = count()
kept: dict[str, Any] = {}
"""Objects that are read once and saved many times."""


def saved() -> None:
    """An UPDATE of one row in its transaction, as Model.save() runs it."""
    from geo.models import City

    if "city" not in kept:
        kept["city"] = City.objects.get(pk=PARIS)
    city = kept["city"]
    city.population += 1
    city.save()


def updated() -> None:
    """An UPDATE of one row in autocommit."""
    from django.db.models import F

    from geo.models import City

    City.objects.filter(pk=PARIS).update(population=F("population") + 1)


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
