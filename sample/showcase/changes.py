"""The demo's second half: rows change, and every process must see it at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from django_cache_manager.api import uncached
from geo.models import City, Country, Tag
from showcase.queries import PARIS, QUERIES, digest
from showcase.workers import Workers


@dataclass(frozen=True)
class Change:
    title: str
    run: Callable[[], Any]


def save() -> None:
    city = City.objects.get(pk=PARIS)
    city.population += 1_000
    city.save()


def update() -> None:
    City.objects.filter(country="DE").update(population=F("population") + 10)


def raw_sql() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE geo_country SET population = population + %s WHERE code = %s", [1, "FR"]
        )


def add_tag() -> None:
    City.objects.get(pk=PARIS).tags.add(Tag.objects.get_or_create(name="on a river")[0])


def delete() -> None:
    Country.objects.get(code="AN").delete()


CHANGES = [
    Change("city.save(): 1,000 people move to Paris", save),
    Change("update(): every German city grows by 10", update),
    Change("raw SQL: UPDATE geo_country SET population ...", raw_sql),
    Change('city.tags.add("on a river")', add_tag),
    Change("country.delete(): the Netherlands Antilles, dissolved in 2010", delete),
]


class Stale(Exception):
    """A process saw something else than the database held."""


def truth() -> list[str]:
    with uncached():
        return [digest(query.run()) for query in QUERIES]


def check(workers: Workers, what: str) -> list[list[int]]:
    """Every process runs every query; returns the statements of each. Raises Stale."""
    expected = truth()
    answers = workers.in_turn(do="read")
    for number, answer in enumerate(answers, 1):
        for query, right, seen in zip(QUERIES, expected, answer["digests"], strict=True):
            if right != seen:
                raise Stale(f"{what}: process {number} saw an old answer to {query.label!r}")
    return [answer["statements"] for answer in answers]


def report(title: str, statements: list[list[int]], remark: str = "") -> None:
    """Which results fell: those that some process had to ask the database for."""
    fell = [query.label for query, *ran in zip(QUERIES, *statements, strict=True) if any(ran)]
    asked = ", ".join(str(sum(ran)) for ran in statements)
    print(f"  {title}")
    if remark:
        print(f"    {remark}")
    print(f"    fell: {len(fell)} of {len(QUERIES)}; statements run, process by process: {asked}")
    kept = [query.label.partition(":")[0] for query in QUERIES if query.label not in fell]
    if kept and fell:
        print_wrapped("    kept: ", ", ".join(kept))
    print(f"    every process sees what the database holds: yes ({len(statements)} processes)")


def print_wrapped(head: str, text: str) -> None:
    line = head
    for word in text.split(" "):
        if len(line) + len(word) > 98:
            print(line.rstrip())
            line = " " * len(head)
        line += word + " "
    print(line.rstrip())


def rollback(workers: Workers) -> None:
    """Inside, the writer sees its rows and no one else does; afterwards no one does."""
    before = City.objects.get(pk=PARIS).population
    with transaction.atomic():
        City.objects.update(population=0)
        own = City.objects.get(pk=PARIS).population
        others = [answer["population"] for answer in workers.in_turn(do="population", id=PARIS)]
        transaction.set_rollback(True)
    after = City.objects.get(pk=PARIS).population
    if own != 0 or after != before or any(other != before for other in others):
        raise Stale(f"rollback: {before=} {own=} {others=} {after=}")
    title = "a transaction that sets every population to 0, and is rolled back"
    report(title, check(workers, title), f"inside it the writer reads {own}, others {before:,}")


def hammer(workers: Workers, writes: int) -> int:
    """Writes, each followed at once by a read in every process. Returns how many reads."""
    reads = 0
    for _ in range(writes):
        City.objects.filter(pk=PARIS).update(population=F("population") + 1)
        with uncached():
            right = City.objects.get(pk=PARIS).population
        for number, answer in enumerate(workers.together(do="population", id=PARIS), 1):
            reads += 1
            if answer["population"] != right:
                raise Stale(f"process {number} read {answer['population']}, there is {right}")
    return reads


def show(workers: Workers) -> None:
    """All of it. Raises Stale at the first answer that is not the database's."""
    check(workers, "warm-up")
    for change in CHANGES:
        change.run()
        report(change.title, check(workers, change.title))
    rollback(workers)
    writes = 200
    reads = hammer(workers, writes)
    print(f"  {writes} writes, each read at once by every process: {reads} reads, none stale")
