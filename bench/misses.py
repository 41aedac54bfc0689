"""Reads of what was never read before: the query runs, and a cache keeps its rows."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from reads import manager

thresholds = count(1)
keys: dict[str, Iterator[int]] = {}


def one() -> Any:
    if "cities" not in keys:
        keys["cities"] = iter(list(manager().order_by("pk").values_list("pk", flat=True)))
    return manager().get(pk=next(keys["cities"]))


def hundred() -> list[Any]:
    """The hundred largest cities of a country are above every bound that comes up here."""
    bounded = manager().filter(country="DE", population__gte=next(thresholds))
    return list(bounded.order_by("-population")[:100])
