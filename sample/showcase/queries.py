"""The queries of the demo: what the pages of a site about cities would ask.

Each returns plain data, or model instances that `plain()` turns into plain data, untimed.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, Exists, OuterRef, Sum

from geo.models import City, Country, Tag

PARIS = 2988507


@dataclass(frozen=True)
class PageQuery:
    label: str
    run: Callable[[], Any]


def cities_of(code: str, count: int) -> list[City]:
    return list(City.objects.filter(country=code).order_by("-population")[:count])


def with_countries() -> list[City]:
    return list(City.objects.select_related("country").order_by("-population")[:50])


def with_tags() -> list[tuple[City, list[Tag]]]:
    cities = City.objects.filter(country="JP").order_by("-population").prefetch_related("tags")[:25]
    return [(city, list(city.tags.all())) for city in cities]


def tagged_capital() -> list[City]:
    return list(City.objects.filter(tags__name="capital").order_by("-population")[:50])


def by_size() -> list[dict[str, Any]]:
    counted = City.objects.values("country__name").annotate(cities=Count("id"))
    return list(counted.order_by("-cities", "country__name")[:20])


def names() -> list[tuple[str, int]]:
    return list(City.objects.order_by("-population").values_list("name", "population")[:1000])


def giants() -> list[Country]:
    giant = City.objects.filter(country=OuterRef("pk"), population__gt=5_000_000)
    return list(Country.objects.filter(Exists(giant)).order_by("name"))


def of_a_country() -> list[City]:
    italy = Country.objects.get(code="IT")
    return list(italy.cities.filter(population__gt=200_000).order_by("name"))


QUERIES = [
    PageQuery("Country.get(code)", lambda: Country.objects.get(code="FR")),
    PageQuery("City.get(pk)", lambda: City.objects.get(pk=PARIS)),
    PageQuery("list: 100 cities of a country", lambda: cities_of("DE", 100)),
    PageQuery("select_related: 50 cities, countries", with_countries),
    PageQuery("prefetch_related: 25 cities, tags", with_tags),
    PageQuery("many to many: 50 capitals", tagged_capital),
    PageQuery("values_list: 1,000 names, sizes", names),
    PageQuery("count() of a country's cities", lambda: City.objects.filter(country="US").count()),
    PageQuery(
        "exists() by name and size",
        lambda: City.objects.filter(name="London", population__gt=1_000_000).exists(),
    ),
    PageQuery(
        "aggregate: inhabitants of a country",
        lambda: City.objects.filter(country="BR").aggregate(Sum("population"), Avg("population")),
    ),
    PageQuery("annotate: cities per country, top 20", by_size),
    PageQuery("subquery: countries with giants", giants),
    PageQuery("related manager: cities of Italy", of_a_country),
    PageQuery("distinct continents", lambda: list(continents())),
]


def continents() -> Any:
    return Country.objects.order_by("continent").values_list("continent", flat=True).distinct()


def plain(result: Any) -> Any:
    """A result without identity: what two processes can compare."""
    if isinstance(result, City | Country | Tag):
        names = [field.attname for field in result._meta.concrete_fields]
        row = [type(result).__name__, *(getattr(result, name) for name in names)]
        if "country" in result._state.fields_cache:
            row.append(plain(result._state.fields_cache["country"]))
        return row
    if isinstance(result, dict):
        return {key: plain(value) for key, value in result.items()}
    if isinstance(result, list | tuple):
        return [plain(value) for value in result]
    return result


def digest(result: Any) -> str:
    text = json.dumps(plain(result), default=str, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
