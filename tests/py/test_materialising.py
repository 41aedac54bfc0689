"""Instances that the engine makes of a hit's rows equal those of Django's from_db() to the order of
`__dict__` and `_state`; where a class, a field or a receiver could tell, from_db() makes them.
"""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import django
import pytest
from django.db import connection, models
from django.db.models import Count, F, FilteredRelation, Prefetch, Q, Value
from django.test.utils import isolate_apps

from observe import assert_hit, assert_same, count_sql, difference, uncached
from testapp.managers import CacheManager
from testapp.models import (
    AllTypes,
    Author,
    Book,
    Country,
    Diner,
    Enrolment,
    Generated,
    Loan,
    Node,
    Note,
    Passport,
    Place,
    RankedAuthor,
    Restaurant,
    Tag,
)

pytestmark = [pytest.mark.usefixtures("library"), pytest.mark.cached]

Read = Callable[[], Any]


LEAF = "parent__parent__parent"

NATIVE: dict[str, Read] = {
    "plain": lambda: list(Author.objects.order_by("pk")),
    "get": lambda: Author.objects.get(pk=2),
    "first": lambda: Author.objects.first(),
    "nothing": lambda: list(Author.objects.filter(rank=99)),
    "json": lambda: list(Book.objects.all()),
    # Without the field whose converter is the application's: it runs at each hit.
    "every type": lambda: list(AllTypes.objects.defer("shout").order_by("pk")),
    "only": lambda: list(Author.objects.only("name").order_by("pk")),
    "only a foreign key": lambda: list(Author.objects.only("country").order_by("pk")),
    "defer": lambda: list(Book.objects.defer("extra", "author").order_by("pk")),
    "related": lambda: list(Book.objects.select_related("author").order_by("pk")),
    "related null": lambda: list(Book.objects.select_related("editor__country").order_by("pk")),
    "related twice": lambda: list(Book.objects.select_related("author", "editor").order_by("pk")),
    "related all": lambda: list(Author.objects.select_related("country").order_by("pk")),
    "related deep": lambda: list(Node.objects.select_related(LEAF).order_by("pk")),
    "related deferred": lambda: list(
        Book.objects.select_related("author__country")
        .only("title", "author__name", "author__country__name")
        .order_by("pk")
    ),
    "one to one": lambda: list(Passport.objects.select_related("owner__country").order_by("pk")),
    "reverse": lambda: list(Author.objects.select_related("passport").order_by("pk")),
    "reverse deep": lambda: list(Book.objects.select_related("author__passport").order_by("pk")),
    "reverse of null": lambda: list(Book.objects.select_related("editor__passport").order_by("pk")),
    "annotated": lambda: list(
        Author.objects.annotate(n=Count("books"), x=Value("x")).order_by("pk")
    ),
    "annotated related": lambda: list(
        Book.objects.select_related("editor").annotate(n=Count("tags"), up=F("pages") + 1)
    ),
    "proxy": lambda: list(RankedAuthor.objects.all()),
    "proxy related": lambda: list(RankedAuthor.objects.select_related("country")),
    "inherited": lambda: list(Restaurant.objects.all()),
    "inherited twice": lambda: list(Diner.objects.all()),
    "inherited parents": lambda: list(Diner.objects.select_related("restaurant_ptr__place_ptr")),
    "inherited children": lambda: list(
        Place.objects.select_related("restaurant__diner").order_by("pk")
    ),
    "inherited child deferred": lambda: list(
        Place.objects.select_related("restaurant").defer("restaurant__stars").order_by("pk")
    ),
    "inherited deferred": lambda: list(Diner.objects.only("hours", "name")),
    "generated": lambda: list(Generated.objects.all()),
    "prefetched": lambda: list(
        Book.objects.prefetch_related("tags", "author__books").order_by("pk")
    ),
    "prefetched foreign keys": lambda: list(Book.objects.prefetch_related("editor").order_by("pk")),
    "prefetched into": lambda: list(
        Tag.objects.prefetch_related(
            Prefetch("books", Book.objects.select_related("author"), to_attr="listed")
        )
    ),
    "generic": lambda: list(Note.objects.prefetch_related("subject").order_by("pk")),
    "generic relation": lambda: list(Book.objects.get(pk=1).notes.all()),
    "many to many": lambda: list(Tag(pk=1).books.all()),
    "through": lambda: list(Loan.objects.select_related("book__author", "reader")),
    "of an instance": lambda: list(Country.objects.get(pk="DE").authors.order_by("pk")),
    "of an instance, deferred": lambda: list(
        Country.objects.get(pk="DE").authors.only("name").order_by("pk")
    ),
    "of an instance, joined": lambda: list(
        Author.objects.get(pk=1).books.select_related("editor").order_by("pk")
    ),
    "reverse one to one": lambda: Author.objects.get(pk=1).passport,
    "slice": lambda: list(Author.objects.order_by("pk")[1:3]),
    "in bulk": lambda: Author.objects.in_bulk([1, 3]),
    "iterator": lambda: list(Author.objects.order_by("pk").iterator(chunk_size=4)),
    "union": lambda: list(Author.objects.filter(pk=1).union(Author.objects.filter(pk=2))),
    "composite key": lambda: list(Enrolment.objects.order_by("pk")),
    "distinct": lambda: list(Author.objects.filter(books__pages__gt=1).distinct().order_by("pk")),
}


@pytest.fixture
def samples(library: None) -> None:
    AllTypes.objects.create(char="full", file="a/b.txt", json={"a": [1, {"b": None}]}, text="x")
    AllTypes.objects.create()
    Generated.objects.create(word="quiet")
    Enrolment.objects.create(course=1, student="a", mark=None)


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("name", NATIVE)
def test_instances_are_djangos(made: list[int], name: str) -> None:
    assert_same(NATIVE[name])
    assert made or name == "nothing"
    assert -1 not in made


def filtered() -> Any:
    only = FilteredRelation("passport", condition=Q(passport__number="P1"))
    return list(Author.objects.annotate(p1=only).select_related("p1").order_by("pk"))


def test_filtered_relations_are_left_to_django(made: list[int]) -> None:
    assert_same(filtered)
    assert set(made) == {-1}


def test_values_of_a_class_of_its_own_are_converted_each_time(made: list[int]) -> None:
    AllTypes.objects.create(shout="loud")
    found = assert_same(lambda: list(AllTypes.objects.all()))
    assert type(found[0].shout).__name__ == "Shout"
    assert not made


# --- what is done with instances afterwards -----------------------------------------------------


def test_deferred_attributes_and_refresh_of_a_hit(made: list[int]) -> None:
    def read() -> Book:
        return Book.objects.select_related("author").only("title", "author__name").get(pk=3)

    assert_same(read)
    book = assert_hit(read)
    assert book.get_deferred_fields() == {
        *("author_id", "editor_id", "pages", "price", "published", "extra")
    } - {"author_id"}
    assert (book.pages, book.author.rank) == (120, 2)
    Book.objects.filter(pk=3).update(pages=5)
    book.refresh_from_db()
    assert book.pages == 5
    assert book.author.name == "Chiyo"
    book.save()
    assert Book.objects.get(pk=3).pages == 5


def test_foreign_key_of_a_hit_forgets_its_object_when_it_changes() -> None:
    def read() -> Book:
        return Book.objects.select_related("author").get(pk=1)

    read()
    book = assert_hit(read)
    book.author_id = 2
    assert "author" not in book._state.fields_cache
    assert book.author.name == "Boris"


def test_file_of_a_hit() -> None:
    AllTypes.objects.create(file="a/b.txt")
    AllTypes.objects.get()
    found = AllTypes.objects.get()
    assert vars(found)["file"] == "a/b.txt"
    assert found.file.name == "a/b.txt"
    assert found.file.instance is found


def test_json_of_each_instance_is_its_own(made: list[int]) -> None:
    def read() -> list[Book]:
        return list(Book.objects.select_related("author").order_by("pk"))

    assert_same(read)
    one, other = assert_hit(read), assert_hit(read)
    assert one[0].extra is not other[0].extra
    assert one[0].extra["list"] is not other[0].extra["list"]
    one[0].extra["list"][1]["deep"].append("mine")
    assert_same(read)
    assert -1 not in made


def countries() -> list[Country]:
    return list(Country.objects.order_by("pk"))


def test_weak_references_to_instances() -> None:
    countries()
    found = assert_hit(countries)
    references = [weakref.ref(each) for each in found]
    del found
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


def test_query_runs_when_the_first_item_is_asked_for() -> None:
    """As of Django's generators: nothing is read on the event loop that only makes the iterator."""
    queryset = Country.objects.order_by("pk")
    iterator = iter(queryset._iterable_class(queryset))
    Country.objects.create(code="FR", name="France")
    assert len(list(iterator)) == 4


def test_known_related_objects_are_the_very_ones() -> None:
    def read() -> tuple[Country, list[Author]]:
        country = Country.objects.get(pk="DE")
        return country, list(country.authors.order_by("pk"))

    read()
    country, authors = assert_hit(read)
    assert all(author.country is country for author in authors)
    joined = country.authors.select_related("country")
    list(joined)
    with count_sql() as log:
        assert all(author.country is not country for author in joined.all())
    assert not log


if django.VERSION >= (6, 1):
    MODES = [models.FETCH_ONE, models.FETCH_PEERS, models.FETCH_RAISE]

    @pytest.mark.parametrize("mode", MODES, ids=repr)
    def test_fetch_mode(made: list[int], mode: Any) -> None:
        def read() -> list[Book]:
            books = Book.objects.fetch_mode(mode).select_related("editor__country")
            return list(books.order_by("pk"))

        read()
        with uncached():
            truth = read()
        with count_sql() as log:
            found = read()
        assert not log
        assert difference(found, truth) is None
        for one, other in zip(related(found), related(truth), strict=True):
            assert list(vars(one._state)) == list(vars(other._state))
            assert vars(one._state)["fetch_mode"] is mode
            assert peers_of(one) == peers_of(other)
        assert -1 not in made

    def related(books: list[Book]) -> list[models.Model]:
        editors = [book.editor for book in books if book.editor is not None]
        return [*books, *editors]

    def peers_of(instance: Any) -> list[Any]:
        return [peer().pk for peer in vars(instance._state).get("peers", ())]

    def test_peers_of_an_iterator_are_all_its_rows() -> None:
        def read() -> list[Book]:
            books = Book.objects.fetch_mode(models.FETCH_PEERS).order_by("pk")
            return list(books.iterator(chunk_size=3))

        read()
        with count_sql() as log:
            found = read()
        assert not log
        assert {id(book._state.peers) for book in found} == {id(found[0]._state.peers)}
        assert len(found[0]._state.peers) == 10


# --- values -------------------------------------------------------------------------------------

VALUES: dict[str, Read] = {
    "values": lambda: list(Book.objects.values("pk", "title", "extra")),
    "values of all": lambda: list(Book.objects.values()),
    "values grouped": lambda: list(Book.objects.values("author__name").annotate(n=Count("pk"))),
    "values in another order": lambda: list(
        Book.objects.annotate(up=F("pages") + 1).values("up", "pk")
    ),
    "values_list": lambda: list(Book.objects.values_list("pk", "extra", "price")),
    "values_list of immutables": lambda: list(Book.objects.values_list("pk", "price")),
    "named": lambda: list(Book.objects.values_list("pk", "extra", "price", named=True)),
    "named of all": lambda: list(Book.objects.values_list(named=True)),
    "flat": lambda: list(Book.objects.values_list("extra", flat=True)),
    "flat of immutables": lambda: list(Book.objects.values_list("price", flat=True)),
    "dates": lambda: list(Book.objects.dates("published", "month")),
    "iterator": lambda: list(Book.objects.values("pk", "extra").iterator(chunk_size=3)),
    "none of them": lambda: list(Book.objects.filter(pk=0).values("pk")),
    "in bulk": lambda: Author.objects.in_bulk([1, 2]),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_are_djangos(name: str) -> None:
    assert_same(VALUES[name])


def test_mutable_values_are_never_shared() -> None:
    for read in (
        lambda: Book.objects.order_by("pk").values("extra")[0]["extra"],
        lambda: Book.objects.order_by("pk").values_list("extra")[0][0],
        lambda: Book.objects.order_by("pk").values_list("extra", named=True)[0].extra,
        lambda: Book.objects.order_by("pk").values_list("extra", flat=True)[0],
        lambda: list(Book.objects.order_by("pk").values_list("extra"))[-10][0],
    ):
        for _ in range(3):
            extra = read()
            assert extra == {"n": 0, "list": [0, {"deep": ["ä", None, 1.5]}]}
            extra["list"][1]["deep"].clear()
            extra["n"] = "mine"


def test_dicts_are_nobody_elses() -> None:
    for _ in range(4):
        first, *others = Book.objects.order_by("pk").values("pk", "pages")
        assert list(first) == ["pk", "pages"]
        assert first["pk"] == 1
        assert [*map(len, others)] == [2] * 9
        first["pk"] = others[0]["more"] = "mine"
        del first["pages"]


def test_tuples_of_immutables_are_shared() -> None:
    def read() -> list[tuple[Any, ...]]:
        return list(Book.objects.order_by("pk").values_list("pk", "price"))

    read()
    read()
    one, other = assert_hit(read), assert_hit(read)
    assert one is not other
    assert one[0] is other[0]


@isolate_apps("testapp")
def test_one_statement_of_two_models_is_converted_for_each() -> None:
    class Rough(models.Model):
        price = models.DecimalField(max_digits=8, decimal_places=1)
        objects = CacheManager()

        class Meta:
            app_label = "testapp"
            db_table = Book._meta.db_table
            managed = False

    def exact() -> list[Any]:
        return list(Book.objects.order_by("id").values_list("price", flat=True))

    def rough() -> list[Any]:
        return list(Rough.objects.order_by("id").values_list("price", flat=True))

    for _ in range(2):
        assert str(assert_same(exact)[1]) == "1.50"
        assert str(assert_same(rough)[1]) == ("1.5" if connection.vendor == "sqlite" else "1.50")


def test_plan_is_made_once_a_shape() -> None:
    from django_cache_manager import row_plans

    for name, read in NATIVE.items():
        read()
        read()
        before = dict(row_plans._plans)
        read()
        assert row_plans._plans == before, name


@pytest.mark.databases("postgresql")
def test_lists_of_the_driver_are_never_shared() -> None:
    from django.contrib.postgres.aggregates import ArrayAgg

    grouped = Author.objects.values("country").annotate(names=ArrayAgg("name"))
    reads: list[Callable[[], Any]] = [
        lambda: Author.objects.aggregate(names=ArrayAgg("name"))["names"],
        lambda: next(iter(grouped.order_by("country")))["names"],
        lambda: next(iter(grouped.order_by("country").values_list("names", "country")))[0],
        lambda: next(iter(grouped.order_by("country").values_list("names", flat=True))),
        lambda: (
            next(iter(Author.objects.raw("SELECT *, ARRAY[id] AS ids FROM testapp_author"))).ids
        ),
    ]
    for read in reads:
        assert_same(read)
        read().append("mine")
        with count_sql() as log:
            assert "mine" not in read()
        assert not log


# --- L1 -----------------------------------------------------------------------------------------


def test_converted_rows_are_kept_and_counted() -> None:
    from django_cache_manager import _engine, stores

    def read() -> list[Any]:
        queryset = Book.objects.values_list("pk", "extra", "price")
        assert queryset.query  # it is keyed by its SQL from here on
        return list(queryset)

    with connection.cursor() as cursor:
        cursor.execute("SELECT id, extra, price FROM testapp_book")
        drivers = _engine.footprint(cursor.fetchall())
    stores._local.reset()
    read()
    after = stores.local_stats()
    assert after["entries"] == 1
    if connection.vendor == "sqlite":
        assert after["bytes"] > drivers + 10 * 200  # ten dicts of three levels
    read()
    assert stores.local_stats() == after
