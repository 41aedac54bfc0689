"""The operations whose instructions are counted (counts.py)."""

from collections.abc import Callable
from typing import Any

import reads
import writes

LOOPS = 100
NAMES = ("get", "count", "rows-100", "rows-1000", "values-1000", "save")


def operations() -> dict[str, Callable[[], Any]]:
    """By name. Django has been set up."""
    from geo.models import City

    cities = City.objects
    return {
        "get": lambda: cities.get(pk=reads.PARIS),
        "count": lambda: cities.filter(country_id="FR").count(),
        "rows-100": lambda: list(cities.filter(country_id="DE").order_by("-population")[:100]),
        "rows-1000": lambda: list(cities.order_by("-population")[:1000]),
        "values-1000": lambda: list(
            cities.order_by("-population").values_list("name", "population")[:1000]
        ),
        "save": writes.saved,
    }
