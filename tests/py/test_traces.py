"""Querysets whose Query waits: the same results, errors, SQL and laziness as Django's."""

import copy
import gc
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from django.db import connection, models
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Random
from django.db.models.signals import post_init

from chains import end, run
from django_cache_manager import policy
from observe import (
    assert_cached,
    assert_hit,
    assert_right,
    count_sql,
    in_another_thread,
    invalidate_all,
    portable,
)
from testapp.fields import registry, tables
from testapp.managers import CacheManager
from testapp.models import Author, Book, Country, Node, Shelf, Tag

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library", "fresh_shapes")]


@pytest.fixture
def unbuilt() -> Callable[[Any], bool]:
    """Whether a queryset has no Query yet."""
    return lambda queryset: "_query" not in vars(queryset)


def ranked(rank: int) -> QuerySet[Author]:
    return Author.objects.filter(rank=rank).order_by("name")[:5]


def test_known_shape_is_not_built(unbuilt: Callable[[Any], bool]) -> None:
    assert not unbuilt(ranked(1)) or ranked(2)
    assert unbuilt(ranked(3))
    assert_cached(lambda: list(ranked(3)))
    list(ranked(3))
    queryset = ranked(3)
    list(queryset)
    assert unbuilt(queryset), "a hit built a Query"


@pytest.mark.parametrize(
    "read",
    [
        lambda: Author.objects.get(pk=1),
        lambda: Author.objects.filter(rank=3).count(),
        lambda: Author.objects.filter(rank=3).exists(),
        lambda: Author.objects.order_by("name").first(),
        lambda: Author.objects.last(),
        lambda: list(Author.objects.values("name", "rank")),
        lambda: list(Author.objects.values_list("name", "rank")),
        lambda: list(Author.objects.values_list("name", flat=True)),
        lambda: list(Author.objects.values_list("name", "pk", named=True)),
        lambda: list(Book.objects.select_related("author__country")),
        lambda: list(Book.objects.only("title")),
        lambda: list(Tag.objects.only("pk").values("pk")),
        lambda: [vars(node)["id"] for node in Node.objects.only("pk")],
        lambda: Author.objects.in_bulk([1, 2]),
        lambda: list(Country.objects.get(pk="DE").authors.all()),
        lambda: Book.objects.select_related("editor").first().editor,
    ],
)
def test_answer_from_memory_is_djangos(read: Callable[[], Any]) -> None:
    assert_cached(read)
    for _ in range(3):
        assert_hit(read)


def test_own_uncommitted_write_is_seen() -> None:
    from django.db import transaction

    def name() -> str:
        return Author.objects.values_list("name", flat=True).get(pk=1)

    for _ in range(4):
        before = name()
    with transaction.atomic():
        Author.objects.filter(pk=1).update(name="mine")
        for _ in range(3):  # SQLite has taken its snapshot only when it has answered once
            assert name() == "mine"
        assert Author.objects.filter(name="mine").count() == 1
        transaction.set_rollback(True)
    assert name() == before


def test_query_shows_what_running_it_left_there() -> None:
    plain = QuerySet(Book).order_by("author__name")
    plain.query.caching = False
    for _ in range(4):
        for queryset in (plain, Book.objects.order_by("author__name")):
            list(queryset)
            assert list(queryset.query.alias_map) == ["testapp_book", "testapp_author"]


def test_argument_changed_after_the_call_changes_nothing() -> None:
    for _ in range(3):
        wanted = [1, 2]
        queryset = Author.objects.filter(pk__in=wanted)
        wanted.append(3)
        assert len(queryset) == 2
        assert "3" not in str(queryset.query).rpartition("IN")[2]


def test_instance_is_read_when_django_reads_it() -> None:
    for _ in range(3):
        germany = Country.objects.get(pk="DE")
        direct, related = Book.objects.filter(author__country=germany), germany.authors.all()
        germany.code = "JP"
        assert {book.author.country_id for book in direct} == {"DE"}
        assert {author.country_id for author in related} == {"JP"}


def test_query_is_built_of_what_the_instance_was() -> None:
    for _ in range(3):
        germany = Country.objects.get(pk="DE")
        books = Book.objects.filter(author__country=germany)
        germany.code = "JP"
        assert "DE" in str(books.query)
        assert "JP" not in str(books.query)


def test_unsaved_instance_raises_or_warns_as_ever() -> None:
    for _ in range(3):
        for read in (
            lambda manager: manager.filter(author=Author()),
            lambda manager: manager.filter(author__in=[Author()]),
        ):
            with pytest.raises(ValueError) as expected:
                read(QuerySet(Book))
            with pytest.raises(ValueError) as found:
                read(Book.objects)
            assert str(found.value) == str(expected.value)
        with pytest.raises(ValueError, match="primary key"):
            Author(name="new").books.count()


def test_changed_query_is_no_longer_the_trace() -> None:
    for _ in range(3):
        queryset = Author.objects.filter(rank__gte=0)
        assert len(queryset.all()) > 1
        queryset.query.set_limits(high=1)
        assert len(queryset) == 1
        assert len(queryset.all()) == 1
        assert queryset.count() == 1


def test_query_changed_by_its_private_name_is_no_longer_the_trace() -> None:
    for _ in range(3):
        queryset = Author.objects.filter(rank__gte=0)
        assert len(queryset.all()) > 1
        queryset._query.set_limits(high=1)  # type: ignore[attr-defined]
        assert len(queryset.all()) == 1
        assert len(queryset) == 1


def test_attributes_put_in_place_are_used() -> None:
    from django.db.models.query import ValuesListIterable

    class Loud(ValuesListIterable):
        def __iter__(self) -> Iterator[Any]:
            return (f"{row}!" for row in super().__iter__())

    for _ in range(4):
        pairs = Author.objects.filter(pk=1).values_list("pk", "rank")
        assert list(pairs) == [(1, 0)]
        pairs = pairs.all()
        pairs._iterable_class = Loud
        assert list(pairs.all()) == ["(1, 0)!"]
        assert list(pairs) == ["(1, 0)!"]
        books = Book.objects.filter(pk=1).prefetch_related("tags")
        assert "tags" in books[0]._prefetched_objects_cache  # type: ignore[attr-defined]
        books = books.all()
        books._prefetch_related_lookups = ()  # type: ignore[attr-defined]
        assert "_prefetched_objects_cache" not in vars(books.all()[0])
        assert "_prefetched_objects_cache" not in vars(books[0])


def test_query_put_in_place_is_no_longer_the_trace() -> None:
    for _ in range(3):
        queryset = Author.objects.filter(rank__gte=0)
        queryset.query = QuerySet(Author).filter(pk=1).query
        assert [author.pk for author in queryset] == [1]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda q: pickle.loads(pickle.dumps(q))]
)
def test_copies(copied: Callable[[Any], Any]) -> None:
    for _ in range(3):
        queryset = copied(ranked(3))
        plain = QuerySet(Author).filter(rank=3).order_by("name")[:5]
        assert [vars(a)["name"] for a in queryset] == [vars(a)["name"] for a in plain]
        assert str(queryset.query) == str(ranked(3).query)


def test_operators_build() -> None:
    for _ in range(3):
        one, two = Author.objects.filter(pk=1), Author.objects.filter(pk=2)
        assert {author.pk for author in one | two} == {1, 2}
        assert not one & two
        assert len(one.union(two)) == 2
        assert len(Author.objects.filter(pk__in=one)) == 1


def test_own_methods_of_a_queryset_are_traced(unbuilt: Callable[[Any], bool]) -> None:
    for _ in range(3):
        queryset = Shelf.objects.named("a").filter(height__gt=1)
        assert_right(lambda: list(Shelf.objects.named("a").filter(height__gt=1)))
    assert unbuilt(queryset)


def test_class_with_an_own_filter_is_built() -> None:
    from testapp.managers import CachingQuerySet

    class Doubtful(CachingQuerySet):
        def filter(self, *args: Any, **kwargs: Any) -> Any:
            return super().filter(*args, **kwargs, rank=3)

    for _ in range(3):
        queryset = Doubtful(Author)
        assert queryset._trace is None
        assert queryset.get(name="Ánna") if queryset.filter(name="Ánna") else True
        assert all(author.rank == 3 for author in queryset.filter(pk__gt=0))


def test_ordering_of_meta_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        forward = list(Tag.objects.values_list("label", flat=True))
    monkeypatch.setattr(Tag._meta, "ordering", ["-label"])
    for _ in range(3):
        assert list(Tag.objects.values_list("label", flat=True)) == forward[::-1]
    monkeypatch.setattr(Tag._meta, "ordering", None)
    for _ in range(3):
        assert set(Tag.objects.values_list("label", flat=True)) == set(forward)


def read(queryset: QuerySet[Author], found: list[Any]) -> None:
    try:
        found.append(portable(list(queryset.all())))
        found.append(str(queryset.query))
    finally:
        connection.close()


def test_aggregates_of_other_arguments_have_other_keys() -> None:
    from django.db.models import Avg, Count, FloatField, Max, Min, Sum, Value

    arguments: list[Any] = [
        Sum("rank"), Avg("rank"), Min("rank"), Max("rank"), Count("rank"), Count("country"),
        Count("country", distinct=True), Sum("rank", filter=Q(pk__lt=3)), Sum("rank", default=7),
        Sum(F("rank") + 1), Sum("rank", output_field=FloatField()), Count("*"), Max("name"),
        Count("books"), Sum(Value(1)),
    ]  # fmt: skip
    for authors in (Author.objects.all(), Author.objects.filter(rank__lt=0)):
        plain = QuerySet(Author) if authors.exists() else QuerySet(Author).filter(rank__lt=0)
        expected = [plain.aggregate(x=each) for each in arguments]
        for _ in range(3):
            assert [authors.aggregate(x=each) for each in arguments] == expected
        assert authors.aggregate(Sum("rank")) == {"rank__sum": expected[0]["x"]}


def test_aggregate_is_answered_from_memory_and_not_shared() -> None:
    from django.db.models import Count, Sum

    def read() -> dict[str, Any]:
        return Author.objects.filter(rank__gte=0).aggregate(Sum("rank"), n=Count("pk"))

    assert_cached(read)
    read()["n"] = "changed"
    assert_hit(read)
    total = Sum("rank")
    assert Author.objects.aggregate(x=total) == Author.objects.aggregate(x=total)
    total.distinct = True
    assert Author.objects.aggregate(x=total) == QuerySet(Author).aggregate(x=total)


class Fickle:
    """Names another alias each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def db_for_read(self, model: Any, **hints: Any) -> str:
        self.asked += 1
        return ["default", "other"][self.asked % 2]


@pytest.mark.parametrize("terminal", ["list", "count", "get", "first", "exists"])
def test_router_is_asked_once_and_its_answer_kept(terminal: str) -> None:
    from django.test import override_settings

    Author.objects.using("other").all().delete()
    Author.objects.using("other").create(pk=1, name="elsewhere")

    def read(manager: Any) -> Any:
        if terminal == "get":
            return portable(manager.values_list("name").get(pk=1))
        return run(manager.filter(pk=1).values_list("name"), [], terminal)

    expected = {alias: read(QuerySet(Author, using=alias)) for alias in ("default", "other")}
    for _ in range(3):
        router = Fickle()
        with override_settings(DATABASE_ROUTERS=[router]):
            for n in range(1, 5):
                assert read(Author.objects) == expected[["default", "other"][n % 2]]
                assert router.asked == n


def test_query_leaves_no_mark_on_a_queryset_that_threads_share() -> None:
    """While it runs, another thread may use the queryset, or show its Query to somebody."""
    seen: list[dict[str, Any]] = []
    for terminal in ("count", "exists", "first", "last", "list", "aggregate"):
        queryset = Author.objects.filter(rank__gte=0)
        before = {name: vars(queryset).get(name) for name in ("_db", "_is_private")}

        def look(
            execute: Callable[..., Any], *args: Any, queryset: QuerySet[Author] = queryset
        ) -> Any:
            seen.append({name: vars(queryset).get(name) for name in ("_db", "_is_private")})
            return execute(*args)

        invalidate_all()
        with connection.execute_wrapper(look):
            if terminal == "aggregate":
                queryset.aggregate(models.Sum("rank"))
            else:
                end(queryset, terminal)
        assert seen
        assert all(each == before for each in seen)
        seen.clear()


def test_related_queryset_that_threads_share_never_loses_its_filter() -> None:
    """Its filter is put off, and taken up by whoever comes first: at each line that he runs,
    another thread reads the same queryset."""
    from django_cache_manager import traces

    germany, seen = Country.objects.get(pk="DE"), list[set[int]]()

    def read(queryset: Any) -> set[int]:
        return {author.pk for author in queryset.all()}

    expected = {author.pk for author in QuerySet(Author).filter(country="DE")}
    for _ in range(4):  # everything known, and all authors too
        assert read(germany.authors.all()) == expected
        assert read(Author.objects.all()) > expected
    shared = germany.authors.all()

    def at_each_line(frame: types.FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != traces.__file__:
            return None
        if event == "line":
            seen.append(in_another_thread(lambda: read(copied(shared))))
        return at_each_line

    def copied(queryset: Any) -> Any:
        """In the state that it has just now."""
        copy = object.__new__(type(queryset))
        copy.__dict__ = dict(vars(queryset))
        return copy

    sys.settrace(at_each_line)
    try:
        assert read(shared) == expected
    finally:
        sys.settrace(None)
    assert len(seen) > 5
    assert all(each == expected for each in seen)


def test_shape_keeps_no_instance() -> None:
    gone = []
    for _ in range(3):
        germany = Country.objects.get(pk="DE")
        list(germany.authors.filter(rank__gte=0).order_by("name"))
        gone.append(weakref.ref(germany))
    del germany
    connection.queries_log.clear()
    gc.collect()
    assert [each() for each in gone] == [None] * 3


def test_threads_share_a_queryset() -> None:
    list(ranked(3))
    list(ranked(3))
    expected = portable(list(ranked(3)))
    for _ in range(20):
        queryset, found = ranked(3), list[Any]()
        threads = [threading.Thread(target=read, args=(queryset, found)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert all(item in (expected, str(ranked(3).query)) for item in found)


def test_shapes_are_bounded() -> None:
    from django_cache_manager import traces

    for n in range(300):
        queryset = Author.objects.order_by(*["name"] * (n % 30 + 1))
        for _ in range(n % 30):
            queryset = queryset.filter(rank=n)
        assert queryset._trace is None or len(queryset._trace.calls) <= traces.STEPS_MAX
    assert traces._count <= traces.MEMO_SHAPES


def test_empty_result_set_runs_no_sql() -> None:
    for _ in range(3):
        with count_sql() as log:
            assert not Author.objects.filter(pk__in=[])
            assert Author.objects.filter(pk__in=[]).count() == 0
            assert Author.objects.filter(pk__in=[]).first() is None
        assert not log


@pytest.mark.parametrize("on", ["the class", "the field"])
def test_lookup_registered_later_is_used(on: str) -> None:
    from django.db.models import CharField, lookups

    class Anything(lookups.Exact):
        def as_sql(self, compiler: Any, connection: Any) -> Any:
            return "1 = 1", []

    def named() -> int:
        return Author.objects.filter(name="nobody").count()

    for _ in range(3):
        assert named() == 0
    owner: Any = CharField if on == "the class" else Author._meta.get_field("name")
    owner.register_lookup(Anything)
    try:
        for _ in range(3):
            assert named() > 1
    finally:
        owner._unregister_lookup(Anything)
    for _ in range(3):
        assert named() == 0


def test_using_by_its_name(unbuilt: Callable[[Any], bool]) -> None:
    for alias in ("default", "other", "default"):
        assert list(ranked(3).using(alias=alias)) == list(ranked(3).using(alias))
    assert unbuilt(ranked(3).using("other"))
    for wrong in (((), {"database": "other"}), (("other",), {"database": "other"})):
        args, kwargs = wrong
        with pytest.raises(TypeError, match="unexpected keyword"):
            ranked(3).using(*args, **kwargs)


def test_an_instance_with_a_key_that_django_refuses() -> None:
    def written_by(key: Any) -> QuerySet[Book]:
        return Book.objects.filter(author=Author(pk=key))

    assert_cached(lambda: list(written_by(1)))
    with pytest.raises(ValueError, match="expected a number"):
        written_by("no number")


class Shop(models.Model):
    code = models.CharField(max_length=5, unique=True)
    objects = CacheManager()

    class Meta:
        app_label = "testapp"
        apps = registry


class Sale(models.Model):
    shop = models.ForeignKey(Shop, models.CASCADE, to_field="code")
    objects = CacheManager()

    class Meta:
        app_label = "testapp"
        apps = registry


def test_an_instance_that_is_not_saved() -> None:
    with tables(Shop, Sale):
        Sale.objects.create(shop=Shop.objects.create(code="a"))
        for _ in range(2):
            assert Sale.objects.filter(shop=Shop(pk=1, code="a")).count() == 1
        with pytest.raises(ValueError, match="must be saved"):
            Sale.objects.filter(shop=Shop(code="a"))


def test_a_slice_of_everything_is_none() -> None:
    def ranked_from(start: int) -> QuerySet[Author]:
        return Author.objects.all()[start:].filter(rank=1).order_by("pk")

    assert_cached(lambda: list(ranked_from(0)))
    with pytest.raises(TypeError, match="slice has been taken"):
        ranked_from(3)


def test_a_read_within_one_that_is_not_kept_is_not_its_answer() -> None:
    def look(instance: Any, **_: Any) -> None:
        Tag.objects.get(pk=1)

    post_init.connect(look, sender=Book)
    try:
        for _ in range(3):
            # Of random() nothing is kept.
            for book in Book.objects.annotate(x=Random()).filter(pk=1):
                assert type(book) is Book
            with mock.patch.object(policy, "terms_of", return_value=policy.Terms(None, 1, True)):
                assert type(Book.objects.get(pk=1)) is Book
                assert_right(lambda: list(Book.objects.filter(pk=1)))
    finally:
        post_init.disconnect(look, sender=Book)


def test_no_rows_are_no_chunks() -> None:
    def chunks() -> Any:
        return Author.objects.filter(rank=-55).query.get_compiler("default").execute_sql("multi")

    assert [list(chunks()) for _ in range(3)] == [[], [], []]
